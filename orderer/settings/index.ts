/**
 * orderer/settings: network.yaml and replica.yaml, checked. Defaults
 * and bounds are in `defaults.ts`.
 */
export { LIMIT_KEYS, LOG_LEVELS, SETTINGS_DEFAULTS, SETTINGS_LIMITS } from './defaults.ts';
export { SettingsError, type SettingsProblem } from './errors.ts';
export {
  type ChannelSettings,
  type NetworkSettings,
  type ReplicaAddress,
  readNetworkFile,
} from './network.ts';
export { type KeyFiles, type ReplicaSettings, readReplicaFile } from './replica.ts';
