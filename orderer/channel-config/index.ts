/**
 * orderer/channel-config: what a channel is, read from and written to Fabric's configuration block.
 * Browser-safe. Described in docs/formats.md.
 */
export { consenterKeys, consentersProblem } from './consenters.ts';
export {
  batchSizeProblem,
  isChannelName,
  readChannelConfig,
  requireSluiceOptions,
} from './decode.ts';
export { formatDuration, parseDuration } from './duration.ts';
export { encodeGenesisBlock } from './encode.ts';
export { ConfigError, type ConfigErrorCode } from './errors.ts';
export { CONFIG_LIMITS } from './limits.ts';
export {
  DEFAULT_SLUICE_OPTIONS,
  decodeSluiceOptions,
  defaultSluiceOptions,
  encodeSluiceOptions,
  sluiceOptionsProblem,
} from './sluice-options.ts';
export type * from './types.ts';
