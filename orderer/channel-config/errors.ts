/** Errors of reading and writing channel configurations. */

export type ConfigErrorCode =
  /** The bytes are not a configuration block, or a value in it breaks a rule. */
  | 'bad_channel_config'
  /** A valid Fabric channel without Sluice's options: it can be audited, not ordered. */
  | 'not_a_sluice_channel';

/** `path` is where in the configuration tree, e.g. `Channel/Orderer/BatchSize`. */
export class ConfigError extends Error {
  readonly code: ConfigErrorCode;
  readonly path: string;

  constructor(path: string, problem: string, code: ConfigErrorCode = 'bad_channel_config') {
    super(`${path}: ${problem}`);
    this.name = 'ConfigError';
    this.code = code;
    this.path = path;
  }
}
