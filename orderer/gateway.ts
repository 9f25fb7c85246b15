/**
 * The gateway writer: wraps plain data as a signed envelope with an identity that the replica
 * holds, so that curl can submit. It speaks for whoever may call the API: off unless configured.
 */
import { createPrivateKey, hash, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { ed25519KeyPair, signEd25519 } from '../consensus/runtime/ed25519.ts';
import {
  computeTxId,
  encodeEnvelope,
  encodePayload,
  encodeSerializedIdentity,
  HEADER_TYPES,
} from '../ledger/format/index.ts';
import { OrdererError } from './errors.ts';
import type { Gateway } from './service.ts';

export interface GatewayOptions {
  readonly channel: string;
  readonly mspId: string;
  /** X.509 certificate of the writer, PEM. */
  readonly certificatePem: string;
  /** Its Ed25519 private key: PKCS#8, PEM. */
  readonly privateKeyPem: string;
}

export interface GatewayDependencies {
  /** Milliseconds since 1970; Date.now when absent. */
  readonly nowMs?: () => number;
}

/** As Fabric's clients (protoutil.CreateNonce). */
const NONCE_BYTES = 24;
const EMPTY = new Uint8Array();

/**
 * Throws OrdererError `bad_gateway_identity` when certificate and key are unusable or not a pair.
 */
export function createGateway(
  options: GatewayOptions,
  dependencies: GatewayDependencies = {},
): Gateway {
  const { channel, mspId } = options;
  const nowMs = dependencies.nowMs ?? Date.now;
  const secretKey = readKeyPair(options);
  const creator = encodeSerializedIdentity({
    mspId,
    idBytes: new TextEncoder().encode(options.certificatePem),
  });
  return {
    wrap(data) {
      const nonce = randomBytes(NONCE_BYTES);
      const payload = encodePayload(
        {
          type: HEADER_TYPES.ENDORSER_TRANSACTION,
          version: 0,
          timestampMs: nowMs(),
          channelId: channel,
          txId: computeTxId(nonce, creator, (bytes) => hash('sha256', bytes, 'buffer')),
          epoch: 0,
          extension: EMPTY,
          tlsCertHash: EMPTY,
        },
        { creator, nonce },
        data,
      );
      return encodeEnvelope(payload, signEd25519(secretKey, payload));
    },
  };
}

/** The 64-byte secret key of the identity. */
function readKeyPair(options: GatewayOptions): Uint8Array {
  const certificate = parse('certificate', () => new X509Certificate(options.certificatePem));
  const key = parse('private key', () => createPrivateKey(options.privateKeyPem));
  if (key.asymmetricKeyType !== 'ed25519') {
    throw badIdentity(
      `the private key is ${key.asymmetricKeyType}, the gateway signs with Ed25519`,
    );
  }
  if (!certificate.checkPrivateKey(key)) {
    throw badIdentity('the private key does not belong to the certificate');
  }
  return ed25519KeyPair(seedOf(key)).secretKey;
}

function seedOf(key: KeyObject): Uint8Array {
  const { d } = key.export({ format: 'jwk' });
  return Buffer.from(d ?? '', 'base64url');
}

function parse<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw badIdentity(`the ${what} cannot be read: ${(error as Error).message}`);
  }
}

function badIdentity(problem: string): OrdererError {
  return new OrdererError('bad_gateway_identity', `gateway: ${problem}`);
}
