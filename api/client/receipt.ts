/** Reads a receipt out of a replica's answer and checks it: nothing in it is believed. */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { type BlockHeader, decodeBlockHeader, headerHash } from '../../ledger/format/index.ts';
import { fromBase64 } from './pem.ts';
import type { BlockVerifier, Checked } from './verify.ts';

export interface VerifiedReceipt {
  /** Lower-case hex. */
  readonly txId: string;
  readonly blockNumber: number;
  /** Position in the block's data, from 0. */
  readonly index: number;
  /** SHA-256 of the DER header, hex. */
  readonly blockHash: string;
  readonly header: BlockHeader;
  /** Serialized `common.Metadata` with the signatures. */
  readonly certificate: Uint8Array;
  /** Consenter numbers whose signatures were found valid: at least a quorum. */
  readonly signers: readonly number[];
  /**
   * `block`: the block was fetched and holds this very envelope at `index`.
   * `certificate`: a block with this header is certified; that the transaction is in it
   * is the word of the one replica that said so.
   */
  readonly proof: 'block' | 'certificate';
  /** The replica that gave it. */
  readonly url: string;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * Checks the answer `{txId, blockNumber, index, blockHash, header,
 * certificate}` (the last two base64).
 */
export async function checkReceipt(
  answer: Record<string, unknown>,
  expected: { txId: string; url: string },
  verifier: BlockVerifier,
): Promise<Checked<VerifiedReceipt>> {
  const invalid = (reason: string) => ({ kind: 'invalid', reason }) as const;
  const { txId, blockNumber, index, blockHash } = answer;
  if (txId !== expected.txId) return invalid(`the receipt is for transaction ${String(txId)}`);
  if (!isCount(blockNumber) || !isCount(index)) return invalid('it names no block and index');
  const headerBytes = fromBase64(String(answer.header));
  const certificate = fromBase64(String(answer.certificate));
  if (headerBytes === undefined || certificate === undefined) return invalid('it is not base64');
  const header = decodeBlockHeader(headerBytes);
  if (header.kind === 'malformed') return invalid(header.reason);
  if (header.value.number !== blockNumber) {
    return invalid(`its header is that of block ${header.value.number}, not of ${blockNumber}`);
  }
  const hash = bytesToHex(headerHash(header.value, sha256));
  if (hash !== blockHash) return invalid(`its header hashes to ${hash}, not to what it says`);
  const signers = await verifier.header(header.value, certificate);
  if (signers.kind === 'invalid') return signers;
  return {
    kind: 'ok',
    value: {
      txId,
      blockNumber,
      index,
      blockHash: hash,
      header: header.value,
      certificate,
      signers: signers.value,
      proof: 'certificate',
      url: expected.url,
    },
  };
}
