/**
 * orderer/network: a network on disk: creation, more writers, and everything that a replica loads
 * at start. Where things are is in `layout.ts`.
 */
export { type CreatedNetwork, createNetwork } from './create.ts';
export { NetworkError, type NetworkErrorCode } from './errors.ts';
export { type IssuedWriter, type IssueWriterOptions, issueWriter, WRITER_ROLES } from './issue.ts';
export { type LoadedKey, loadKey, loadWriter, type WriterKey } from './key-files.ts';
export {
  APPLICATION_MSP,
  authorityDirectory,
  NETWORK_FILE,
  ORDERER_MSP,
  replicaDirectory,
  replicaFile,
  writerDirectory,
} from './layout.ts';
export {
  type LoadedChannel,
  type LoadedReplica,
  loadGenesis,
  loadReplica,
  signingSeedOf,
} from './load.ts';
export { type CreateNetworkOptions, NETWORK_DEFAULTS, PROVIDERS, REPLICAS_MIN } from './plan.ts';
