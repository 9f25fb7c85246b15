import type { LinkLimits } from './limits.ts';

/** The part of a pino logger that links use. */
export interface LinkLog {
  debug(data: object, message: string): void;
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

export type StrangerLogLimits = Pick<LinkLimits, 'strangerLogLinesMax' | 'strangerLogWindowMs'>;

/**
 * Warns about connections of hosts that are not authenticated, a bounded number of lines per
 * window: whoever can reach the port must not be able to fill the disk through the log.
 */
export class StrangerLog {
  readonly #log: LinkLog;
  readonly #limits: StrangerLogLimits;
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #suppressed = 0;

  constructor(limits: StrangerLogLimits, log: LinkLog) {
    this.#limits = limits;
    this.#log = log;
  }

  warn(nowMs: number, data: object, message: string): void {
    if (nowMs - this.#windowStartMs >= this.#limits.strangerLogWindowMs) {
      if (this.#suppressed > 0) {
        this.#log.warn({ suppressed: this.#suppressed }, 'more connections were refused, unlogged');
      }
      this.#windowStartMs = nowMs;
      this.#lines = 0;
      this.#suppressed = 0;
    }
    if (this.#lines >= this.#limits.strangerLogLinesMax) {
      this.#suppressed += 1;
      return;
    }
    this.#lines += 1;
    this.#log.warn(data, message);
  }
}
