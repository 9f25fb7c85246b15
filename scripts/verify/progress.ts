/** Shows how far an audit is: a bar that redraws itself on a terminal, a plain line now and then elsewhere. */
import { formatCount, formatRate } from './report.ts';

export interface ProgressView {
  readonly done: number;
  /** Undefined when nobody knows. */
  readonly total: number | undefined;
  readonly signatures: number;
}

export interface ProgressDisplay {
  update(view: ProgressView): void;
  /** Prints a line between two states of the bar. */
  print(line: string): void;
  /** Removes the bar. */
  finish(): void;
}

/** What of a stream the display needs; `process.stderr` has it. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const BAR_CELLS = 24;
const REDRAW_MS = 100;
const PLAIN_LINE_MS = 5_000;

/** The line for one state, without control characters. `elapsedMs` is since the start. */
export function progressLine(view: ProgressView, elapsedMs: number): string {
  const { done, total, signatures } = view;
  const rates = `${formatRate(done, elapsedMs)} blocks/s, ${formatRate(signatures, elapsedMs)} signatures/s`;
  if (total === undefined || total === 0) return `${formatCount(done)} blocks, ${rates}`;
  const part = Math.min(1, done / total);
  const filled = Math.round(part * BAR_CELLS);
  const bar = `${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}`;
  const percent = `${Math.floor(part * 100)}`.padStart(3);
  return `[${bar}] ${percent} %  ${formatCount(done)} of ${formatCount(total)} blocks, ${rates}`;
}

/** `nowMs` is a monotonic clock. */
export function createProgress(stream: ProgressStream, nowMs: () => number): ProgressDisplay {
  const tty = stream.isTTY === true;
  const startedMs = nowMs();
  let shownMs = startedMs;
  let drawn = false;
  const clear = () => {
    if (drawn) stream.write('\r\u001b[K');
    drawn = false;
  };
  return {
    update(view) {
      const elapsedMs = nowMs() - startedMs;
      if (nowMs() - shownMs < (tty ? REDRAW_MS : PLAIN_LINE_MS)) return;
      shownMs = nowMs();
      const line = progressLine(view, elapsedMs);
      if (!tty) {
        stream.write(`${line}\n`);
        return;
      }
      clear();
      stream.write(line.slice(0, (stream.columns ?? 80) - 1));
      drawn = true;
    },
    print(line) {
      clear();
      stream.write(`${line}\n`);
    },
    finish: clear,
  };
}
