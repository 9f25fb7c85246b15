/**
 * What the client checks itself, so that it needs to trust no replica: certificates against the
 * trusted consenters, hashes, links, and that a transaction is where the receipt says.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import {
  type Block,
  type BlockHeader,
  bytesEqual,
  checkBlockBody,
  checkBlockLinks,
  checkCertificate,
  decodeBlock,
  headerHash,
  METADATA,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import { verifySignatureNoble } from '../../ledger/signature/index.ts';
import type { TrustRoot } from './genesis.ts';
import { CLIENT_LIMITS } from './limits.ts';

export type Checked<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'invalid'; readonly reason: string };

/** A block whose hashes and certificate hold. */
export interface VerifiedBlock {
  readonly number: number;
  /** SHA-256 of the DER header, hex. */
  readonly hash: string;
  readonly block: Block;
  /** Serialized `common.Block`, as it came. */
  readonly bytes: Uint8Array;
  /** Consenter numbers that signed it; empty for the genesis block. */
  readonly signers: readonly number[];
}

export interface BlockVerifier {
  readonly trust: TrustRoot;
  /** Certificate (serialized `common.Metadata`) over a header. Answers the signers. */
  header(header: BlockHeader, certificate: Uint8Array): Promise<Checked<readonly number[]>>;
  /** A serialized block that must have this number; linked to `previous` when that is given. */
  block(
    bytes: Uint8Array,
    number: number,
    previous: BlockHeader | undefined,
  ): Promise<Checked<VerifiedBlock>>;
}

function invalid(reason: string): { kind: 'invalid'; reason: string } {
  return { kind: 'invalid', reason };
}

/** Makes the verifier of one channel; it remembers the last headers that it found certified. */
export function createBlockVerifier(trust: TrustRoot): BlockVerifier {
  const known = new Map<string, readonly number[]>();

  async function header(
    blockHeader: BlockHeader,
    certificate: Uint8Array,
  ): Promise<Checked<readonly number[]>> {
    const hash = bytesToHex(headerHash(blockHeader, sha256));
    const key = `${hash}${bytesToHex(sha256(certificate))}`;
    const before = known.get(key);
    if (before !== undefined) return { kind: 'ok', value: before };
    const metadata = [certificate];
    const result = await checkCertificate(
      { header: blockHeader, metadata },
      trust.consenters,
      verifySignatureNoble,
    );
    if (result.kind === 'invalid') return invalid(result.reason);
    if (known.size >= CLIENT_LIMITS.checkedHeadersMax) {
      const oldest = known.keys().next().value;
      if (oldest !== undefined) known.delete(oldest);
    }
    known.set(key, result.signers);
    return { kind: 'ok', value: result.signers };
  }

  async function block(
    bytes: Uint8Array,
    number: number,
    previous: BlockHeader | undefined,
  ): Promise<Checked<VerifiedBlock>> {
    const decoded = decodeBlock(bytes);
    if (decoded.kind === 'malformed') return invalid(decoded.reason);
    const { value } = decoded;
    if (value.header.number !== number) {
      return invalid(`block ${value.header.number} came where block ${number} was asked for`);
    }
    const links =
      previous !== undefined || number === 0
        ? checkBlockLinks(value, previous, sha256)
        : checkBlockBody(value, sha256);
    if (links.kind === 'invalid') return invalid(links.reason);
    const hash = bytesToHex(headerHash(value.header, sha256));
    if (number === 0) {
      if (trust.genesisHash !== undefined && hash !== trust.genesisHash) {
        return invalid(`block 0 has hash ${hash}, the trusted genesis block ${trust.genesisHash}`);
      }
      return { kind: 'ok', value: { number, hash, block: value, bytes, signers: [] } };
    }
    const entry = value.metadata[METADATA.SIGNATURES] ?? new Uint8Array(0);
    const signers = await header(value.header, entry);
    if (signers.kind === 'invalid') return signers;
    return { kind: 'ok', value: { number, hash, block: value, bytes, signers: signers.value } };
  }

  return { trust, header, block };
}

/** Position of a transaction in a block by its id, or undefined. */
export function indexOfTransaction(block: Block, txId: string): number | undefined {
  const index = block.data.findIndex((entry) => {
    const envelope = parseEnvelope(entry);
    return envelope.kind === 'ok' && envelope.value.channelHeader.txId === txId;
  });
  return index < 0 ? undefined : index;
}

/** Does the block hold exactly this envelope at `index`? */
export function holdsEnvelope(block: Block, index: number, envelope: Uint8Array): boolean {
  const entry = block.data[index];
  return entry !== undefined && bytesEqual(entry, envelope);
}
