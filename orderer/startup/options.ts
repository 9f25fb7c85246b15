/** What the start-up exchange is given, and what it tells. */
import type { ConsenterKey, Sha256 } from '../../ledger/format/index.ts';
import type { Ledger } from '../../ledger/store/index.ts';
import type { Log } from '../log.ts';
import type { RunKey } from './decide.ts';
import type { RunLog } from './run-log.ts';

export interface StartupOptions {
  readonly channel: string;
  readonly self: number;
  readonly consenters: readonly ConsenterKey[];
  /** How long all n are waited for before q are enough. */
  readonly graceMs: number;
  /** How often a waiting replica asks again. */
  readonly retryMs: number;
  /** File of the run record, `run-record.ts`. */
  readonly runRecordFile: string;
  readonly runLog: RunLog;
  /** `memory`: no log is written, and one that is there is out of date. */
  readonly durability: 'wal' | 'memory';
}

export interface EnteredRun {
  readonly run: RunKey;
  readonly entry: 'begin' | 'restore' | 'join';
}

export interface StartupDependencies {
  readonly ledger: Ledger;
  readonly sha256: Sha256;
  readonly send: (peer: number, body: Uint8Array) => void;
  /** Certified blocks of other replicas were stored. Awaited. */
  readonly onGrown: () => Promise<void>;
  /** The replica takes part in this run from now on; what is needed for that is on disk. */
  readonly onEnter: (entered: EnteredRun) => void;
  /** It takes part no longer; resolves when nothing of that run is under way. */
  readonly onLeave: (reason: string) => Promise<void>;
  /** Blocks that a running replica asked for (`BlockFetch`). */
  readonly onBlocks: (peer: number, fromNumber: number, blocks: readonly Uint8Array[]) => void;
  readonly onFatal: (error: Error) => void;
  readonly log: Log;
}
