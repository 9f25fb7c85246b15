/** Is this envelope a transaction that may be ordered? */
export {
  type BatchCheck,
  EnvelopeChecker,
  type EnvelopeCheckerDependencies,
  type EnvelopeCheckerOptions,
  type SubmittedCheck,
} from './check.ts';
export { type InspectContext, type Inspected, inspectEnvelope } from './inspect.ts';
export { type CheckedTransaction, isWithinValidity } from './transaction.ts';
export { type CreatorResolver, createWriterJudge, type WriterJudgement } from './writers.ts';
