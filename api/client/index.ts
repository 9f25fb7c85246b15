/**
 * The client library: builds and signs transactions, submits them, follows the chain, and
 * checks every answer itself. It runs in Node and in a browser: `fetch`, Web Crypto's random
 * numbers and @noble are all it needs.
 */
export { type Certificate, decodeCertificatePem, type PublicKey } from './certificate.ts';
export {
  type CallOptions,
  type ClientOptions,
  SluiceClient,
  type SubmitOptions,
  type Trust,
} from './client.ts';
export type { DeliverRange } from './deliver.ts';
export {
  type BuiltEnvelope,
  buildEnvelope,
  createWriter,
  transactionIdOf,
  type Writer,
} from './envelope.ts';
export { ClientError, type ClientErrorCode, type ReplicaFailure } from './errors.ts';
export { readTrustRoot, type TrustedOrganization, type TrustRoot } from './genesis.ts';
export { type PrivateKey, parsePrivateKey, publicKeyOf, sign } from './keys.ts';
export { CLIENT_LIMITS, CLIENT_TIMES } from './limits.ts';
export type { VerifiedReceipt } from './receipt.ts';
export type { SubmitResult } from './submit.ts';
export type { StreamResult, StreamSubmitOptions } from './submit-stream.ts';
export type { VerifiedBlock } from './verify.ts';
