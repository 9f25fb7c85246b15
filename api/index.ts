/**
 * api/: the HTTP interface of a replica. What it answers is described in docs/api.md; it sees the
 * orderer only through orderer/service.ts.
 */
export { ERRORS, type ErrorBody, type ErrorCode } from './errors.ts';
export { type ApiLimits, DEFAULT_LIMITS } from './limits.ts';
export {
  type Api,
  type ApiDependencies,
  type ApiLoad,
  type ApiOptions,
  startApi,
} from './server.ts';
