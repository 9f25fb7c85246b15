/**
 * orderer/policy: who may do what, in Fabric's terms. Types, codec,
 * evaluation, and the standard set.
 */
export { decodePolicy, encodePolicy, principalDigest } from './codec.ts';
export { evaluate, findPolicy } from './evaluate.ts';
export { POLICY_LIMITS } from './limits.ts';
export { anyRole, blockValidationPolicy, implicitMeta, standardPolicies } from './standard.ts';
export type * from './types.ts';
