/**
 * The audit of one chain: block in, findings out. Pure but for the injected signature verifier: it reads no file, no clock, no network.
 *
 * Order matters and is the caller's: blocks come by ascending number. The cheap checks (links, hashes, ids, duplicates) are done when
 * `check` returns; the signatures settle later, so that several blocks are in work at once.
 */
import { hash as hashOf } from 'node:crypto';
import type { TrustRoot } from '../../api/client/genesis.ts';
import {
  type Block,
  type BlockHeader,
  checkBlockBody,
  checkBlockLinks,
  checkCertificate,
  HEADER_TYPES,
  headerHash,
  isHexOf,
  type ParsedEnvelope,
  type ParsedEnvelopes,
  parseEnvelope,
  signatureFault,
  toHex,
  txIdDigest,
} from '../../ledger/format/index.ts';
import type { Finding, FindingCode } from './findings.ts';
import type { SignatureVerifier } from './signatures.ts';
import { createTxIdTable, type TxIdTable } from './tx-ids.ts';
import type { CreatorVerdict } from './x509.ts';

export interface AuditDependencies {
  readonly trust: TrustRoot;
  /** Undefined: no signature is checked, of nobody. */
  readonly verifier: SignatureVerifier | undefined;
  readonly judgeCreator: (creator: Uint8Array) => CreatorVerdict;
}

/** OpenSSL's: a second implementation is for what one might get subtly wrong, and a hash is right or wrong for all to see. */
const sha256 = (bytes: Uint8Array): Uint8Array => hashOf('sha256', bytes, 'buffer');

/** A finding before it is known whom it concerns. */
export type BlockFinding = Omit<Finding, 'sources'>;

export interface CheckedBlock {
  /** Header hash, hex. */
  readonly hash: string;
  /** Ids as computed, in order; undefined for an envelope that cannot be read. Empty for the genesis block. */
  readonly txIds: readonly (string | undefined)[];
  /** Block and certificate: what may differ between two copies. Settles when the signatures are checked. */
  readonly copy: Promise<readonly BlockFinding[]>;
  /** Transactions, in order. Settles when their signatures are checked. */
  readonly transactions: Promise<readonly BlockFinding[]>;
}

interface CheckedTransaction {
  readonly txId: string | undefined;
  /** At once when no signature has to be waited for. */
  readonly findings: readonly BlockFinding[] | Promise<readonly BlockFinding[]>;
}

const NONE: readonly BlockFinding[] = [];

type Fault = readonly [FindingCode, string];

/** Types that a Sluice chain may hold after its genesis block: configuration changes are not there yet. */
const ORDERED_TYPES: ReadonlySet<number> = new Set([
  HEADER_TYPES.ENDORSER_TRANSACTION,
  HEADER_TYPES.MESSAGE,
]);

/** What can be said of a transaction without its signature. */
function headerFault(
  envelope: ParsedEnvelope,
  digest: Uint8Array,
  channel: string,
): Fault | undefined {
  const { channelHeader } = envelope;
  if (channelHeader.channelId !== channel) {
    return ['wrong_channel', `it names channel ${JSON.stringify(channelHeader.channelId)}`];
  }
  if (!ORDERED_TYPES.has(channelHeader.type)) {
    const what = `it has header type ${channelHeader.type}`;
    return ['unexpected_type', `${what}, which no replica orders after the genesis block`];
  }
  if (!isHexOf(channelHeader.txId, digest)) {
    const what = `it names id ${JSON.stringify(channelHeader.txId)}, not ${toHex(digest)}`;
    return ['bad_tx_id', what];
  }
  return undefined;
}

function linkFindings(
  block: Block,
  previous: BlockHeader | undefined,
  envelopes: ParsedEnvelopes,
): BlockFinding[] {
  const { number } = block.header;
  const linked = previous !== undefined || number === 0;
  const result = linked
    ? checkBlockLinks(block, previous, sha256, envelopes)
    : checkBlockBody(block, sha256, envelopes);
  if (result.kind === 'ok') return [];
  return [{ code: 'bad_block', block: number, message: result.reason }];
}

async function certificateFindings(
  block: Block,
  { trust, verifier }: AuditDependencies,
): Promise<BlockFinding[]> {
  const result = await checkCertificate(
    block,
    trust.consenters,
    (key, message, signature) =>
      verifier === undefined || verifier.verify({ key, message, signature }),
  );
  if (result.kind === 'ok') return [];
  return [{ code: 'bad_certificate', block: block.header.number, message: result.reason }];
}

function genesisFindings(block: Block, { genesisHash }: TrustRoot): BlockFinding[] {
  const hash = toHex(headerHash(block.header, sha256));
  if (genesisHash === undefined || hash === genesisHash) return [];
  const message = `its hash is ${hash}, the trusted genesis block has ${genesisHash}`;
  return [{ code: 'wrong_genesis', block: 0, message }];
}

function signatureFindings(
  envelope: ParsedEnvelope,
  { judgeCreator, verifier }: AuditDependencies,
): Fault | undefined | Promise<Fault | undefined> {
  const verdict = judgeCreator(envelope.signatureHeader.creator);
  if (verdict.kind === 'invalid') return ['bad_creator', verdict.reason];
  const { algorithm, bytes: publicKey } = verdict.publicKey;
  const { payload: message, signature } = envelope;
  const fault = signatureFault(algorithm, signature);
  if (fault !== undefined) return ['bad_signature', `its signature ${fault}`];
  if (verifier === undefined) return undefined;
  return verifier.verify({ key: { algorithm, publicKey }, message, signature }).then((valid) => {
    if (valid) return undefined;
    return ['bad_signature', "its signature does not fit the payload and the creator's key"];
  });
}

/** The audit of a chain from some block on, and what it must remember: the last header and every transaction id. */
export class ChainAudit {
  readonly #dependencies: AuditDependencies;
  readonly #txIds: TxIdTable;
  #tip: BlockHeader | undefined;
  #beforeTip: BlockHeader | undefined;

  constructor(dependencies: AuditDependencies, txIds = createTxIdTable()) {
    this.#dependencies = dependencies;
    this.#txIds = txIds;
  }

  /** Hash of the last header, hex; equal hashes mean equal history. */
  get tipHash(): string | undefined {
    return this.#tip === undefined ? undefined : toHex(headerHash(this.#tip, sha256));
  }

  /**
   * Checks everything about the block: links, certificate, transactions. `certified: false`: it was stored before its certificate
   * was complete, so there is none to check.
   */
  check(block: Block, certified: boolean): CheckedBlock {
    const { header, data } = block;
    const hash = toHex(headerHash(header, sha256));
    const envelopes = data.map(parseEnvelope);
    const copy = this.#checkCopy(block, certified, this.#tip, envelopes);
    this.#beforeTip = this.#tip;
    this.#tip = header;
    // Block 0 is trusted by its hash; its envelope need not be signed (configtxgen signs nothing).
    const checked =
      header.number === 0
        ? []
        : envelopes.map((envelope, index) =>
            this.#checkTransaction(envelope, header.number, index),
          );
    const txIds = checked.map(({ txId }) => txId);
    const open = checked.map(({ findings }) => findings).filter((findings) => findings !== NONE);
    const transactions = Promise.all(open).then((found) => found.flat());
    return { hash, txIds, copy, transactions };
  }

  /**
   * Checks only what may differ between two copies of the block that was checked last: metadata and certificate. The transactions
   * are the same bytes.
   */
  checkCopy(block: Block, certified: boolean): Promise<readonly BlockFinding[]> {
    return this.#checkCopy(block, certified, this.#beforeTip, block.data.map(parseEnvelope));
  }

  /** The block cannot be read: the next one is taken without its link to this one. */
  skip(): void {
    this.#beforeTip = this.#tip;
    this.#tip = undefined;
  }

  clone(): ChainAudit {
    const copy = new ChainAudit(this.#dependencies, this.#txIds.clone());
    copy.#tip = this.#tip;
    copy.#beforeTip = this.#beforeTip;
    return copy;
  }

  async #checkCopy(
    block: Block,
    certified: boolean,
    previous: BlockHeader | undefined,
    envelopes: ParsedEnvelopes,
  ): Promise<readonly BlockFinding[]> {
    const links = linkFindings(block, previous, envelopes);
    if (block.header.number === 0) {
      return [...links, ...genesisFindings(block, this.#dependencies.trust)];
    }
    return certified
      ? [...links, ...(await certificateFindings(block, this.#dependencies))]
      : links;
  }

  /** Duplicates are found now, in order; the signature settles later. */
  #checkTransaction(
    parsed: ParsedEnvelopes[number],
    block: number,
    transaction: number,
  ): CheckedTransaction {
    // Its form is part of `checkBlockBody`, which may have stopped at an earlier fault.
    if (parsed.kind === 'malformed') {
      const { reason: message } = parsed;
      return { txId: undefined, findings: [{ code: 'bad_block', block, transaction, message }] };
    }
    const envelope = parsed.value;
    const { nonce, creator } = envelope.signatureHeader;
    const digest = txIdDigest(nonce, creator, sha256);
    const found: Fault[] = [];
    const fault = headerFault(envelope, digest, this.#dependencies.trust.channel);
    if (fault !== undefined) found.push(fault);
    // As a rule it is what the envelope names, and nobody has to make another text of it.
    const { txId: named } = envelope.channelHeader;
    const txId = isHexOf(named, digest) ? named : toHex(digest);
    const first = this.#txIds.add(digest, block);
    if (first !== undefined) {
      found.push(['duplicate_transaction', `${txId} stands in block ${first} already`]);
    }
    const findingsOf = (signature: Fault | undefined): readonly BlockFinding[] => {
      if (signature !== undefined) found.push(signature);
      if (found.length === 0) return NONE;
      return found.map(([code, message]) => ({ code, block, transaction, message }));
    };
    const signature = signatureFindings(envelope, this.#dependencies);
    const findings =
      signature instanceof Promise ? signature.then(findingsOf) : findingsOf(signature);
    return { txId, findings };
  }
}
