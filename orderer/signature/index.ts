/**
 * Signature checks on the server: the one acceptance rule, and the pool of threads that applies it.
 */
export { VerifyPool, type VerifyPoolOptions, type VerifyPoolStats } from './pool.ts';
export { type VerifyItem, type VerifyKey, verifySignature } from './verify.ts';
