/**
 * The audit of one chain: block in, findings out. Pure but for the injected signature verifier: it reads no file, no clock, no network.
 *
 * Order matters and is the caller's: blocks come by ascending number. The cheap checks (links, hashes, ids, duplicates) are done when
 * `check` returns; the signatures settle later, so that several blocks are in work at once.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import type { TrustRoot } from '../../api/client/genesis.ts';
import {
  type Block,
  type BlockHeader,
  checkBlockBody,
  checkBlockLinks,
  checkCertificate,
  computeTxId,
  HEADER_TYPES,
  headerHash,
  type ParsedEnvelope,
  parseEnvelope,
  signatureFault,
  type VerifySignature,
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

/** A finding before it is known whom it concerns. */
export type BlockFinding = Omit<Finding, 'sources'>;

export interface CheckedBlock {
  /** Header hash, hex. */
  readonly hash: string;
  /** Ids as computed, in order; undefined for an envelope that cannot be read. */
  readonly txIds: readonly (string | undefined)[];
  /** Settles when every signature of the block is checked. In order: block, certificate, transactions. */
  readonly findings: Promise<readonly BlockFinding[]>;
}

export interface ChainAudit {
  /**
   * Checks everything about the block: links, certificate, transactions. `certified: false`: it was stored before its certificate
   * was complete, so there is none to check.
   */
  check(block: Block, certified: boolean): CheckedBlock;
  /**
   * Checks only what may differ between two copies of the block that was checked last: metadata and certificate. The transactions
   * are the same bytes.
   */
  checkCopy(block: Block, certified: boolean): Promise<readonly BlockFinding[]>;
  /** The block cannot be read: the next one is taken without its link to this one. */
  skip(): void;
  /** Hash of the last header, hex; equal hashes mean equal history. */
  readonly tipHash: string | undefined;
  clone(): ChainAudit;
}

function finding(code: FindingCode, block: number, message: string): BlockFinding {
  return { code, block, message };
}

/** Types that a Sluice chain may hold after its genesis block: configuration changes are not there yet. */
const ORDERED_TYPES: ReadonlySet<number> = new Set([
  HEADER_TYPES.ENDORSER_TRANSACTION,
  HEADER_TYPES.MESSAGE,
]);

interface Transaction {
  readonly envelope: ParsedEnvelope;
  readonly txId: string;
}

/** What can be said of a transaction without its signature. */
function inspectTransaction(
  { envelope, txId }: Transaction,
  channel: string,
): [FindingCode, string] | undefined {
  const { channelHeader } = envelope;
  if (channelHeader.channelId !== channel) {
    return ['wrong_channel', `it names channel ${JSON.stringify(channelHeader.channelId)}`];
  }
  if (!ORDERED_TYPES.has(channelHeader.type)) {
    const what = `it has header type ${channelHeader.type}`;
    return ['unexpected_type', `${what}, which no replica orders after the genesis block`];
  }
  if (channelHeader.txId !== txId) {
    return ['bad_tx_id', `it names id ${JSON.stringify(channelHeader.txId)}, not ${txId}`];
  }
  return undefined;
}

/** Starts the audit of a chain; `previous` is the header before the first block to come, when it is known. */
export function createChainAudit(dependencies: AuditDependencies): ChainAudit {
  return auditFrom(dependencies, undefined, createTxIdTable());
}

function auditFrom(
  dependencies: AuditDependencies,
  start: BlockHeader | undefined,
  txIds: TxIdTable,
): ChainAudit {
  const { trust, verifier, judgeCreator } = dependencies;
  let tip = start;
  let beforeTip: BlockHeader | undefined;

  const verifyConsenter: VerifySignature = (key, message, signature) =>
    verifier === undefined || verifier.verify({ key, message, signature });

  function linkFindings(block: Block, previous: BlockHeader | undefined): BlockFinding[] {
    const { number } = block.header;
    const linked = previous !== undefined || number === 0;
    const result = linked
      ? checkBlockLinks(block, previous, sha256)
      : checkBlockBody(block, sha256);
    return result.kind === 'ok' ? [] : [finding('bad_block', number, result.reason)];
  }

  async function certificateFindings(block: Block, certified: boolean): Promise<BlockFinding[]> {
    const { number } = block.header;
    if (number === 0 || !certified) return [];
    const result = await checkCertificate(block, trust.consenters, verifyConsenter);
    return result.kind === 'ok' ? [] : [finding('bad_certificate', number, result.reason)];
  }

  function genesisFindings(block: Block): BlockFinding[] {
    const hash = bytesToHex(headerHash(block.header, sha256));
    if (trust.genesisHash === undefined || hash === trust.genesisHash) return [];
    const message = `its hash is ${hash}, the trusted genesis block has ${trust.genesisHash}`;
    return [finding('wrong_genesis', 0, message)];
  }

  function signatureFinding(envelope: ParsedEnvelope): Promise<[FindingCode, string] | undefined> {
    const verdict = judgeCreator(envelope.signatureHeader.creator);
    if (verdict.kind === 'invalid') return Promise.resolve(['bad_creator', verdict.reason]);
    const { algorithm, bytes: publicKey } = verdict.publicKey;
    const { payload: message, signature } = envelope;
    const fault = signatureFault(algorithm, signature);
    if (fault !== undefined) return Promise.resolve(['bad_signature', `its signature ${fault}`]);
    if (verifier === undefined) return Promise.resolve(undefined);
    return verifier
      .verify({ key: { algorithm, publicKey }, message, signature })
      .then((valid) =>
        valid
          ? undefined
          : ['bad_signature', "its signature does not fit the payload and the creator's key"],
      );
  }

  /** Duplicates are found now, in order; signatures settle later. */
  function checkTransaction(
    entry: Uint8Array,
    block: number,
    transaction: number,
  ): { txId: string | undefined; findings: Promise<BlockFinding[]> } {
    const parsed = parseEnvelope(entry);
    // Its form is part of `checkBlockBody`, which may have stopped at an earlier fault.
    if (parsed.kind === 'malformed') {
      const { reason: message } = parsed;
      const malformed: BlockFinding = { code: 'bad_block', block, transaction, message };
      return { txId: undefined, findings: Promise.resolve([malformed]) };
    }
    const envelope = parsed.value;
    const { nonce, creator } = envelope.signatureHeader;
    const txId = computeTxId(nonce, creator, sha256);
    const found: [FindingCode, string][] = [];
    const fault = inspectTransaction({ envelope, txId }, trust.channel);
    if (fault !== undefined) found.push(fault);
    const first = txIds.add(hexToBytes(txId), block);
    if (first !== undefined) {
      found.push(['duplicate_transaction', `${txId} stands in block ${first} already`]);
    }
    const findings = signatureFinding(envelope).then((signature) => {
      if (signature !== undefined) found.push(signature);
      return found.map(([code, message]) => ({ code, block, transaction, message }));
    });
    return { txId, findings };
  }

  return {
    get tipHash() {
      return tip === undefined ? undefined : bytesToHex(headerHash(tip, sha256));
    },
    check(block, certified) {
      const { header, data } = block;
      const links = linkFindings(block, tip);
      const parts: Promise<readonly BlockFinding[]>[] = [certificateFindings(block, certified)];
      const ids: (string | undefined)[] = [];
      if (header.number === 0) {
        // Trusted by its hash; its envelope need not be signed (configtxgen signs nothing).
        links.push(...genesisFindings(block));
      } else {
        for (const [index, entry] of data.entries()) {
          const { txId, findings } = checkTransaction(entry, header.number, index);
          ids.push(txId);
          parts.push(findings);
        }
      }
      beforeTip = tip;
      tip = header;
      return {
        hash: bytesToHex(headerHash(header, sha256)),
        txIds: ids,
        findings: Promise.all(parts).then((found) => [...links, ...found.flat()]),
      };
    },
    async checkCopy(block, certified) {
      return [...linkFindings(block, beforeTip), ...(await certificateFindings(block, certified))];
    },
    skip() {
      beforeTip = tip;
      tip = undefined;
    },
    clone: () => auditFrom(dependencies, tip, txIds.clone()),
  };
}
