/**
 * Chain checks that server, client and auditor share: what a Fabric peer verifies before it takes a
 * block, without tolerance: whatever passes here re-encodes to the same bytes, and no byte of a
 * checked block is without protection (docs/formats.md, "Which bytes are protected by what").
 */

import { type Block, type BlockHeader, dataHash, headerHash, METADATA } from './block.ts';
import { bytesEqual, toHex } from './bytes.ts';
import {
  type CertificateBody,
  decodeCertificate,
  decodeOrdererBlockMetadata,
  encodeIdentifierHeader,
  signedBytes,
} from './certificate.ts';
import { HEADER_TYPES, parseEnvelope, type Sha256 } from './envelope.ts';
import { FORMAT_LIMITS } from './limits.ts';
import { signatureFault } from './signature-form.ts';
import type { Decoded } from './wire-reader.ts';

export interface ConsenterKey {
  /** The consenter's number in the channel configuration, as in IdentifierHeader.identifier. */
  number: number;
  algorithm: 'ed25519' | 'p256';
  /** Ed25519: 32 bytes; P-256: 65 bytes, uncompressed SEC1. */
  publicKey: Uint8Array;
}

export type VerifySignature = (
  key: ConsenterKey,
  message: Uint8Array,
  signature: Uint8Array,
) => boolean | Promise<boolean>;

export type CheckResult = { kind: 'ok' } | { kind: 'invalid'; reason: string };
export type CertificateResult =
  | { kind: 'ok'; signers: number[] }
  | { kind: 'invalid'; reason: string };

/**
 * SIGNATURES entry of a genesis block: OrdererBlockMetadata naming block 0 as configuration, and no
 * signature. It is the only content allowed there, because nothing signs or hashes it.
 */
export const GENESIS_SIGNATURES_METADATA: Uint8Array = Uint8Array.from([0x0a, 0x02, 0x0a, 0x00]);

/** Replicas that may be faulty among n: floor((n - 1) / 3). */
export function faultsOf(n: number): number {
  return Math.floor((n - 1) / 3);
}

/**
 * Signatures that certify a block among n consenters: ceil((n + f +
 * 1) / 2), f = floor((n - 1) / 3).
 */
export function quorumOf(n: number): number {
  return Math.ceil((n + faultsOf(n) + 1) / 2);
}

/**
 * Checks a block's certificate: at least a quorum of signatures, each by another known consenter
 * and each valid. Stricter than Fabric, which skips invalid signatures beyond the quorum: a byte
 * nobody checks could be changed unnoticed. `header` must be the header of the block at hand; that
 * it fits the data is `checkBlockLinks`'s answer.
 */
export async function checkCertificate(
  block: Pick<Block, 'header' | 'metadata'>,
  consenters: readonly ConsenterKey[],
  verify: VerifySignature,
): Promise<CertificateResult> {
  const certificate = readCertificate(block);
  if (certificate.kind === 'invalid') return certificate;
  const { value, signatures } = certificate.value;
  const quorum = quorumOf(consenters.length);
  if (consenters.length === 0 || signatures.length < quorum) {
    return invalid(
      `certificate has ${signatures.length} signatures, ${quorum} of ${consenters.length} consenters must sign`,
    );
  }
  // No more than one signature by each is worth a verification.
  const keys = new Map(consenters.map((key) => [key.number, key]));
  const signers: number[] = [];
  for (const { identifier, signature } of signatures) {
    const key = keys.get(identifier);
    if (key === undefined) {
      return invalid(
        signers.includes(identifier)
          ? `consenter ${identifier} signed more than once`
          : `certificate names unknown consenter ${identifier}`,
      );
    }
    keys.delete(identifier);
    signers.push(identifier);
    const fault = signatureFault(key.algorithm, signature);
    if (fault !== undefined) return invalid(`signature of consenter ${identifier} ${fault}`);
  }
  const byNumber = new Map(consenters.map((key) => [key.number, key]));
  for (const { identifier, nonce, signature } of signatures) {
    const key = byNumber.get(identifier);
    const message = signedBytes(value, encodeIdentifierHeader(identifier, nonce), block.header);
    if (key === undefined || !(await verify(key, message, signature))) {
      return invalid(`signature of consenter ${identifier} does not fit the block`);
    }
  }
  return { kind: 'ok', signers };
}

/** What the checks of a block must know of an envelope; a `ParsedEnvelope` is one. */
export interface EnvelopeForm {
  readonly channelHeader: { readonly type: number };
  readonly signature: { readonly length: number };
}

/** What a caller has found out of a block already, and need not be found out again. */
export interface KnownOfBlock {
  /** What `parseEnvelope` says of each entry of its data. */
  readonly envelopes: readonly Decoded<EnvelopeForm>[];
  /** `dataHash` of its data. */
  readonly dataHash: Uint8Array;
}

/**
 * Checks a block against the header before it (`undefined` for block 0 only): number,
 * previous hash, data hash, five metadata entries of which only SIGNATURES may hold bytes,
 * every envelope canonical, a configuration transaction alone in its block. The
 * certificate is `checkCertificate`'s.
 */
export function checkBlockLinks(
  block: Block,
  previous: BlockHeader | undefined,
  sha256: Sha256,
  known?: KnownOfBlock,
): CheckResult {
  const { number, previousHash } = block.header;
  if (previous === undefined) {
    if (number !== 0) {
      return invalid(
        `block ${number} needs the header of block ${number - 1} to be checked against`,
      );
    }
    if (previousHash.length > 0) return invalid('block 0 names a previous block');
    const entry = block.metadata[METADATA.SIGNATURES];
    if (entry === undefined || !bytesEqual(entry, GENESIS_SIGNATURES_METADATA)) {
      return invalid('SIGNATURES metadata of block 0 is not the genesis entry (hex 0a020a00)');
    }
  } else {
    if (number !== previous.number + 1) {
      return invalid(`block number is ${number}, ${previous.number + 1} must follow`);
    }
    const expected = headerHash(previous, sha256);
    if (!bytesEqual(previousHash, expected)) {
      return invalid(
        `previous hash of block ${number} is ${toHex(previousHash)}, the header before it hashes to ${toHex(expected)}`,
      );
    }
  }
  return checkBlockBody(block, sha256, known);
}

/**
 * The part of `checkBlockLinks` that needs no other block: for a single
 * block proven by its certificate.
 */
export function checkBlockBody(block: Block, sha256: Sha256, known?: KnownOfBlock): CheckResult {
  const { header, data, metadata } = block;
  const computed = known?.dataHash ?? dataHash(data, sha256);
  if (!bytesEqual(header.dataHash, computed)) {
    return invalid(
      `data hash of block ${header.number} is ${toHex(header.dataHash)}, its data hashes to ${toHex(computed)}`,
    );
  }
  if (metadata.length !== FORMAT_LIMITS.metadataEntries) {
    return invalid(
      `block ${header.number} has ${metadata.length} metadata entries instead of ${FORMAT_LIMITS.metadataEntries}`,
    );
  }
  for (let slot = METADATA.LAST_CONFIG; slot < FORMAT_LIMITS.metadataEntries; slot += 1) {
    if ((metadata[slot]?.length ?? 0) > 0) {
      return invalid(
        `metadata entry ${slot} of block ${header.number} is not empty: nothing protects it`,
      );
    }
  }
  if (data.length === 0) return invalid(`block ${header.number} has no transactions`);
  const envelopes = known?.envelopes ?? data.map(parseEnvelope);
  for (const [index, envelope] of envelopes.entries()) {
    const fault = envelopeFault(envelope, header.number, data.length);
    if (fault !== undefined) {
      return invalid(`transaction ${index} of block ${header.number}: ${fault}`);
    }
  }
  return { kind: 'ok' };
}

function envelopeFault(
  envelope: Decoded<EnvelopeForm>,
  number: number,
  count: number,
): string | undefined {
  if (envelope.kind === 'malformed') return envelope.reason;
  const { channelHeader, signature } = envelope.value;
  const { type } = channelHeader;
  const isConfig = type === HEADER_TYPES.CONFIG || type === HEADER_TYPES.ORDERER_TRANSACTION;
  if (isConfig && count > 1) return 'a configuration transaction must stand alone in its block';
  if (number === 0 && type !== HEADER_TYPES.CONFIG) {
    return 'the genesis block must hold a configuration transaction';
  }
  // Configtxgen signs nothing: the genesis block is trusted by its hash.
  if (number > 0 && signature.length === 0) return 'no signature';
  return undefined;
}

/**
 * Decodes certificate and signed value, and checks what they say about the block without any key.
 */
function readCertificate(
  block: Pick<Block, 'header' | 'metadata'>,
): { kind: 'ok'; value: CertificateBody } | { kind: 'invalid'; reason: string } {
  const { number } = block.header;
  if (number === 0)
    return invalid('block 0 has no certificate: compare its hash with the trusted one');
  const entry = block.metadata[METADATA.SIGNATURES];
  if (entry === undefined || entry.length === 0)
    return invalid(`block ${number} has no certificate`);
  const certificate = decodeCertificate(entry);
  if (certificate.kind === 'malformed') return invalid(certificate.reason);
  const orderer = decodeOrdererBlockMetadata(certificate.value.value);
  if (orderer.kind === 'malformed') return invalid(orderer.reason);
  if (orderer.value.lastConfigIndex > number) {
    return invalid(
      `block ${number} names block ${orderer.value.lastConfigIndex} as its newest configuration`,
    );
  }
  return certificate;
}

function invalid(reason: string): { kind: 'invalid'; reason: string } {
  return { kind: 'invalid', reason };
}
