/**
 * What holds when a settings file does not say otherwise, and the bounds of
 * what it may say. In one place.
 */

import { LIMITS as TRANSPORT_LIMITS } from '../../rdma/limits.ts';

export const SETTINGS_DEFAULTS = {
  /** replica.yaml `network`: beside the replica's directory. */
  network: '../network.yaml',
  /** replica.yaml `dataDirectory`: ledger and lock, beside replica.yaml. */
  dataDirectory: 'ledger',
  /** replica.yaml `api.host`: this machine only, until somebody decides otherwise. */
  apiHost: '127.0.0.1',
  /** replica.yaml `log.level`. */
  logLevel: 'info',
  /**
   * replica.yaml `verifyThreads`: threads that check signatures, beside the
   * main and the consensus thread.
   */
  verifyThreads: 1,
  /** replica.yaml `spinUs`: for so long the consensus thread polls before it blocks, in wait mode `adaptive`, while waits are short. */
  spinUs: TRANSPORT_LIMITS.spinUsDefault,
  /** replica.yaml `priorities`: which threads win when there are not cores enough. */
  priorities: 'consensus',
  /** replica.yaml `durability`: what a replica promises is on disk before it is said. */
  durability: 'wal',
  /** replica.yaml `diskReserveBytes`: free space that is left alone: the ledger and the log end above it. */
  diskReserveBytes: 64 * 1024 * 1024,
  /** network.yaml `transport.provider`. */
  provider: 'shm',
} as const;

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export const WAIT_MODES = ['spin', 'adaptive', 'block'] as const;
export const PRIORITIES = ['consensus', 'equal'] as const;
export const DURABILITIES = ['wal', 'memory'] as const;

export const SETTINGS_LIMITS = {
  fileBytesMax: 1024 * 1024,
  channelsMax: 64,
  textCharactersMax: 4096,
  verifyThreadsMax: 64,
  portMax: 65_535,
  gidIndexMax: 255,
  spinUsMax: TRANSPORT_LIMITS.spinUsMax,
  /** Less would be gone before anybody can act. */
  diskReserveBytesMin: 1024 * 1024,
  diskReserveBytesMax: 2 ** 40,
} as const;

/**
 * network.yaml `limits`: each overrides a default of the room it belongs to
 * (api/limits.ts, orderer/limits.ts).
 */
export const LIMIT_KEYS = {
  /** Open HTTP connections of one replica. */
  connectionsMax: { min: 1, max: 1_000_000 },
  /** Submitters that wait for a commit at the same time. */
  waitersMax: { min: 1, max: 1_000_000 },
  /** Submission streams at the same time. */
  submitStreamsMax: { min: 1, max: 100_000 },
  /** Deliver streams at the same time. */
  deliverStreamsMax: { min: 1, max: 100_000 },
  /** Own transactions between acceptance and certificate. */
  pendingTransactionsMax: { min: 1, max: 1_000_000 },
  /** Writers whose certificates were judged lately. */
  writersCachedMax: { min: 1, max: 1_000_000 },
} as const;
