/**
 * The consensus core: a pure state machine, `step(input, nowMs) -> effects`. It imports nothing
 * from Node and nothing but `consensus/wire` from outside this folder. Rules: docs/protocol.md.
 */
export { assert, assertNever } from './assert.ts';
export { createCore } from './core.ts';
export { CoreError, type CoreErrorCode } from './errors.ts';
export { checkLimits, DEFAULT_LIMITS, NO_SHARED_CHECKS } from './limits.ts';
export { nullProposal } from './null-proposal.ts';
export { fastQuorum, faultsTolerated, leaderOf, quorum } from './quorum.ts';
export type * from './types.ts';
