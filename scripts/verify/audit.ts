/**
 * The audit of one chain: block in, findings out. Pure but for the injected signature verifier: it reads no file, no clock, no network.
 *
 * Order matters and is the caller's: blocks come by ascending number. The cheap checks (links, hashes, ids, duplicates) are done when
 * `check` returns; the signatures settle later, so that several blocks are in work at once.
 */
import { createHash, hash as hashOf } from 'node:crypto';
import type { TrustRoot } from '../../api/client/genesis.ts';
import {
  type Block,
  type BlockHeader,
  checkBlockBody,
  checkBlockLinks,
  checkCertificate,
  type Decoded,
  type EnvelopeForm,
  HEADER_TYPES,
  headerHash,
  ID_WORDS,
  isHexOf,
  type KnownOfBlock,
  type ParsedEnvelope,
  parseEnvelope,
  signatureFault,
  toHex,
  txIdDigest,
  writeIdWords,
} from '../../ledger/format/index.ts';
import { CreatorMemory } from './creators.ts';
import type { Finding, FindingCode } from './findings.ts';
import { VERIFY_LIMITS } from './limits.ts';
import { ORDERED_TYPES, PlainTransactions } from './plain.ts';
import type { SignatureVerifier } from './signatures.ts';
import { createTxIdTable, type TxIdMemory } from './tx-ids.ts';
import type { CreatorVerdict } from './x509.ts';

export interface AuditDependencies {
  readonly trust: TrustRoot;
  /** Undefined: no signature is checked, of nobody. */
  readonly verifier: SignatureVerifier | undefined;
  readonly judgeCreator: (creator: Uint8Array) => CreatorVerdict;
}

/** OpenSSL's: a second implementation is for what one might get subtly wrong, and a hash is right or wrong for all to see. */
const sha256 = (bytes: Uint8Array): Uint8Array => hashOf('sha256', bytes, 'buffer');

const room = new Uint8Array(VERIFY_LIMITS.hashRoomBytes);

/** `dataHash`, without bringing a whole block together: a copy of it would have to come fresh from the system, for each block. */
function hashOfAll(entries: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  let filled = 0;
  for (const entry of entries) {
    if (filled + entry.length > room.length) {
      hash.update(room.subarray(0, filled));
      filled = 0;
    }
    if (entry.length > room.length) hash.update(entry);
    else {
      room.set(entry, filled);
      filled += entry.length;
    }
  }
  return hash.update(room.subarray(0, filled)).digest();
}

/** A finding before it is known whom it concerns. */
export type BlockFinding = Omit<Finding, 'sources'>;

export interface CheckedBlock {
  /** Header hash, hex. */
  readonly hash: string;
  /** Ids as computed, in order, `ID_WORDS` words each; zeros for an envelope that cannot be read. Empty for the genesis block. */
  readonly idWords: Uint32Array;
  /** Block and certificate: what may differ between two copies. Settles when the signatures are checked. */
  readonly copy: Promise<readonly BlockFinding[]>;
  /** The same for another copy, whose header and data are the same bytes: only metadata and certificate are looked at. */
  readonly checkCopy: (block: Block, certified: boolean) => Promise<readonly BlockFinding[]>;
  /** Transactions, in order. Settles when their signatures are checked. */
  readonly transactions: Promise<readonly BlockFinding[]>;
}

/** At once when no signature has to be waited for. */
type TransactionFindings = readonly BlockFinding[] | Promise<readonly BlockFinding[]>;

const NONE: readonly BlockFinding[] = [];

interface CheckedContent extends Pick<CheckedBlock, 'idWords'> {
  readonly envelopes: KnownOfBlock['envelopes'];
  /** Findings of transactions that have any, or will perhaps. */
  readonly open: readonly TransactionFindings[];
}

/** The header outlives the block, whose bytes may be overwritten. */
function copyOf({ number, previousHash, dataHash }: BlockHeader): BlockHeader {
  return { number, previousHash: previousHash.slice(), dataHash: dataHash.slice() };
}

/** Block 0 is trusted by its hash; its envelope need not be signed (configtxgen signs nothing). */
function genesisContent({ data }: Block): CheckedContent {
  const envelopes = data.map(parseEnvelope);
  return { envelopes, idWords: new Uint32Array(0), open: [] };
}

type Fault = readonly [FindingCode, string];

/** What the checks of a block look at in a plain transaction: all of them have a signature, and none is a configuration. */
const PLAIN_FORM: Decoded<EnvelopeForm> = {
  kind: 'ok',
  value: { channelHeader: { type: HEADER_TYPES.ENDORSER_TRANSACTION }, signature: { length: 1 } },
};

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
  known: KnownOfBlock,
): BlockFinding[] {
  const { number } = block.header;
  const linked = previous !== undefined || number === 0;
  const result = linked
    ? checkBlockLinks(block, previous, sha256, known)
    : checkBlockBody(block, sha256, known);
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
  readonly #txIds: TxIdMemory;
  /** Undefined when signatures are checked, which every transaction's parts are needed for. */
  readonly #plain: PlainTransactions | undefined;
  #tip: BlockHeader | undefined;

  constructor(dependencies: AuditDependencies, txIds: TxIdMemory = createTxIdTable()) {
    const { trust, verifier, judgeCreator } = dependencies;
    this.#dependencies = dependencies;
    this.#txIds = txIds;
    if (verifier === undefined) {
      this.#plain = new PlainTransactions(trust.channel, new CreatorMemory(judgeCreator));
    }
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
    const { header } = block;
    const hash = toHex(headerHash(header, sha256));
    const checked = header.number === 0 ? genesisContent(block) : this.#checkContent(block);
    const { envelopes, idWords, open } = checked;
    const known = { envelopes, dataHash: hashOfAll(block.data) };
    const previous = this.#tip;
    this.#tip = copyOf(header);
    const checkCopy: CheckedBlock['checkCopy'] = (copy, isCertified) =>
      this.#checkCopy(copy, isCertified, previous, known);
    const transactions = Promise.all(open).then((found) => found.flat());
    return { hash, idWords, copy: checkCopy(block, certified), checkCopy, transactions };
  }

  /** The block cannot be read: the next one is taken without its link to this one. */
  skip(): void {
    this.#tip = undefined;
  }

  clone(): ChainAudit {
    const copy = new ChainAudit(this.#dependencies, this.#txIds.clone());
    copy.#tip = this.#tip;
    return copy;
  }

  async #checkCopy(
    block: Block,
    certified: boolean,
    previous: BlockHeader | undefined,
    known: KnownOfBlock,
  ): Promise<readonly BlockFinding[]> {
    const links = linkFindings(block, previous, known);
    if (block.header.number === 0) {
      return [...links, ...genesisFindings(block, this.#dependencies.trust)];
    }
    return certified
      ? [...links, ...(await certificateFindings(block, this.#dependencies))]
      : links;
  }

  /**
   * The transactions of any block but the genesis block. First all are looked at, then all ids are remembered, in order: so the memory
   * can be told of all of them at once before.
   */
  #checkContent({ header: { number }, data }: Block): CheckedContent {
    const idWords = new Uint32Array(ID_WORDS * data.length);
    const envelopes = data.map((bytes, index): Decoded<EnvelopeForm> | undefined =>
      this.#plain?.recognizes(bytes, idWords, ID_WORDS * index) === true ? PLAIN_FORM : undefined,
    );
    const open: TransactionFindings[] = [];
    this.#txIds.approach?.(idWords);
    for (let index = 0; index < data.length; index++) {
      const at = ID_WORDS * index;
      // An id that is there already stays as it is, and the thorough check finds it again.
      const isNew =
        envelopes[index] !== undefined && this.#txIds.add(idWords, at, number, index) === undefined;
      if (isNew) continue;
      const envelope = parseEnvelope(data[index] as Uint8Array);
      envelopes[index] = envelope;
      const findings = this.#checkTransaction(envelope, number, index, idWords);
      if (findings !== NONE) open.push(findings);
    }
    return { envelopes: envelopes as Decoded<EnvelopeForm>[], idWords, open };
  }

  /** Duplicates are found now, in order; the signature settles later. The id goes to its place among those of the block. */
  #checkTransaction(
    parsed: Decoded<ParsedEnvelope>,
    block: number,
    transaction: number,
    idWords: Uint32Array,
  ): TransactionFindings {
    const at = ID_WORDS * transaction;
    // Its form is part of `checkBlockBody`, which may have stopped at an earlier fault.
    if (parsed.kind === 'malformed') {
      idWords.fill(0, at, at + ID_WORDS);
      return [{ code: 'bad_block', block, transaction, message: parsed.reason }];
    }
    const envelope = parsed.value;
    const { nonce, creator } = envelope.signatureHeader;
    const digest = txIdDigest(nonce, creator, sha256);
    const found: Fault[] = [];
    const fault = headerFault(envelope, digest, this.#dependencies.trust.channel);
    if (fault !== undefined) found.push(fault);
    writeIdWords(idWords, at, digest);
    const first = this.#txIds.add(idWords, at, block, transaction);
    if (first !== undefined) {
      found.push(['duplicate_transaction', `${toHex(digest)} stands in block ${first} already`]);
    }
    const findingsOf = (signature: Fault | undefined): readonly BlockFinding[] => {
      if (signature !== undefined) found.push(signature);
      if (found.length === 0) return NONE;
      return found.map(([code, message]) => ({ code, block, transaction, message }));
    };
    const signature = signatureFindings(envelope, this.#dependencies);
    return signature instanceof Promise ? signature.then(findingsOf) : findingsOf(signature);
  }
}
