/** Each transaction enters the chain once. */
export {
  Deduplicator,
  type DeduplicatorDependencies,
  type DeduplicatorOptions,
  type Filtered,
} from './deduplicator.ts';
export { inParts } from './in-parts.ts';
