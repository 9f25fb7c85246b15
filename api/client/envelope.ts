/**
 * Builds and signs transactions: `common.Envelope` as Fabric has it, signed with the writer's key.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, randomBytes } from '@noble/hashes/utils.js';
import {
  computeTxId,
  encodeEnvelope,
  encodePayload,
  encodeSerializedIdentity,
  HEADER_TYPES,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import { decodeCertificatePem } from './certificate.ts';
import { ClientError } from './errors.ts';
import { type PrivateKey, parsePrivateKey, publicKeyOf, sign } from './keys.ts';

/**
 * Who signs: the organization's name in the channel, the certificate that it issued, and the key.
 */
export interface Writer {
  readonly mspId: string;
  readonly certificatePem: string;
  readonly privateKey: PrivateKey;
}

/** What one writes as `creator`: serialized `msp.SerializedIdentity`. */
export function creatorOf(writer: Pick<Writer, 'mspId' | 'certificatePem'>): Uint8Array {
  const idBytes = new TextEncoder().encode(writer.certificatePem);
  return encodeSerializedIdentity({ mspId: writer.mspId, idBytes });
}

/**
 * Makes a writer of PEM texts and checks that key and certificate belong together.
 * Throws `ClientError` (`malformed_key`, `malformed_certificate`, `invalid_argument`).
 */
export function createWriter(options: {
  mspId: string;
  certificatePem: string;
  privateKeyPem: string;
}): Writer {
  const privateKey = parsePrivateKey(options.privateKeyPem);
  const certificate = decodeCertificatePem(options.certificatePem);
  if (certificate.kind === 'malformed') {
    throw new ClientError('malformed_certificate', certificate.reason);
  }
  const certified = bytesToHex(certificate.value.publicKey.bytes);
  if (certified !== bytesToHex(publicKeyOf(privateKey).bytes)) {
    throw new ClientError(
      'invalid_argument',
      'the private key does not belong to the certificate; give the two files of one identity',
    );
  }
  return { mspId: options.mspId, certificatePem: options.certificatePem, privateKey };
}

export interface BuiltEnvelope {
  /** Serialized `common.Envelope`, ready to submit. */
  readonly envelope: Uint8Array;
  /** Lower-case hex of SHA-256(nonce ‖ creator). */
  readonly txId: string;
}

/** Fabric's nonce length, bytes. */
const NONCE_BYTES = 24;

/**
 * Wraps `data` (any bytes; may be empty) into a signed transaction of the channel. `type` is the
 * channel header's, by default ENDORSER_TRANSACTION. `nonce` and `timestampMs` are for tests and
 * for callers that need the same bytes twice.
 */
export function buildEnvelope(options: {
  channel: string;
  data: Uint8Array;
  writer: Writer;
  type?: number;
  nonce?: Uint8Array;
  timestampMs?: number;
}): BuiltEnvelope {
  const creator = creatorOf(options.writer);
  const nonce = options.nonce ?? randomBytes(NONCE_BYTES);
  const txId = computeTxId(nonce, creator, sha256);
  const payload = encodePayload(
    {
      type: options.type ?? HEADER_TYPES.ENDORSER_TRANSACTION,
      version: 0,
      timestampMs: options.timestampMs ?? Date.now(),
      channelId: options.channel,
      txId,
      epoch: 0,
      extension: new Uint8Array(0),
      tlsCertHash: new Uint8Array(0),
    },
    { creator, nonce },
    options.data,
  );
  return { envelope: encodeEnvelope(payload, sign(options.writer.privateKey, payload)), txId };
}

/**
 * Transaction id of a serialized envelope. Throws `ClientError` when a
 * replica would refuse it for its form.
 */
export function transactionIdOf(envelope: Uint8Array): string {
  const parsed = parseEnvelope(envelope);
  if (parsed.kind === 'malformed') throw new ClientError('invalid_argument', parsed.reason);
  const { nonce, creator } = parsed.value.signatureHeader;
  return computeTxId(nonce, creator, sha256);
}
