/**
 * ledger/format: Hyperledger Fabric's transaction and block formats, and the checks of a chain.
 * Runs in browsers: no Node imports, Uint8Array only, SHA-256 and signature verification injected.
 * Any room may import it. Described in docs/formats.md.
 */
export * from './block.ts';
export * from './bytes.ts';
export * from './certificate.ts';
export * from './check.ts';
export {
  type ChannelHeader,
  computeTxId,
  decodeChannelHeader,
  decodeSignatureHeader,
  encodeChannelHeader,
  encodeEnvelope,
  encodePayload,
  encodeSignatureHeader,
  HEADER_TYPES,
  type ParsedEnvelope,
  parseEnvelope,
  type Sha256,
  type SignatureHeader,
  txIdDigest,
  txIdOf,
} from './envelope.ts';
export { EnvelopeScan } from './envelope-scan.ts';
export * from './id-words.ts';
export * from './identity.ts';
export { FORMAT_LIMITS } from './limits.ts';
export { ED25519_SIGNATURE_BYTES, signatureFault } from './signature-form.ts';
export type { Decoded } from './wire-reader.ts';
