/** The part of pino's logger that the orderer uses. */
export interface Log {
  debug(data: object, message: string): void;
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

/** Fields that name a replica. A lane is named by its owner. */
const REPLICA_FIELDS = ['peer', 'lane', 'source', 'leader'] as const;

/**
 * The same log for those who know replicas by index: people know them by consenter number, so `peer: 0` is written
 * as `peer: 1`.
 */
export function byConsenterNumber(log: Log, numbers: readonly number[]): Log {
  const named = (data: object): object => {
    const fields: Record<string, unknown> = { ...data };
    for (const name of REPLICA_FIELDS) {
      const index = fields[name];
      if (typeof index === 'number') fields[name] = numbers[index] ?? index;
    }
    return fields;
  };
  return {
    debug: (data, message) => log.debug(named(data), message),
    info: (data, message) => log.info(named(data), message),
    warn: (data, message) => log.warn(named(data), message),
    error: (data, message) => log.error(named(data), message),
  };
}
