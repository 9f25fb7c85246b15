/** Lines about changes of the leader: the first thing that an operator asks for. Not more than some a minute. */
import type { CoreStatus } from '../consensus/core/index.ts';
import type { Log } from './log.ts';

const LINES_PER_MINUTE_MAX = 30;
const MINUTE_MS = 60_000;

export class ViewLog {
  readonly #log: Log;
  #sinceMs = -Infinity;
  #lines = 0;
  #skipped = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  note(status: CoreStatus): void {
    const nowMs = performance.now();
    if (nowMs - this.#sinceMs >= MINUTE_MS) {
      this.#sinceMs = nowMs;
      this.#lines = 0;
    }
    if (++this.#lines > LINES_PER_MINUTE_MAX) {
      this.#skipped++;
      return;
    }
    const { view, leader, changing, wishReason } = status;
    const skipped = this.#skipped === 0 ? {} : { skipped: this.#skipped };
    this.#skipped = 0;
    const fields = { view, leader, ownLastReason: wishReason, ...skipped };
    if (changing) this.#log.warn(fields, 'leaving for a view with another leader');
    else this.#log.info(fields, 'in a view with this leader');
  }
}
