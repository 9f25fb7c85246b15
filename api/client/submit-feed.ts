/**
 * What goes into a submission stream: envelopes from a source, taken only as long as few enough are unanswered, kept until
 * they are answered, and sent once more when a stream ends before.
 */
import { CLIENT_LIMITS } from './limits.ts';

export interface Entry {
  /** Position in the source. */
  readonly index: number;
  readonly envelope: Uint8Array;
  /** From then on it is given up. `Date.now()` clock. */
  readonly deadlineMs: number;
}

export interface FeedOptions {
  readonly inFlightMax: number;
  /** For each envelope, from when it was taken from the source. */
  readonly timeoutMs: number;
}

type Source = Iterator<Uint8Array> | AsyncIterator<Uint8Array>;

export class Feed {
  readonly #source: Source;
  readonly #options: FeedOptions;
  /** In the order of the source. */
  readonly #unanswered = new Map<number, Entry>();
  /** Of these, what the present stream has not been given. */
  #unsent: Entry[] = [];
  #taken = 0;
  #taking = false;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(envelopes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, options: FeedOptions) {
    this.#options = options;
    this.#source =
      Symbol.asyncIterator in envelopes
        ? envelopes[Symbol.asyncIterator]()
        : envelopes[Symbol.iterator]();
  }

  /** The source has ended and everything is answered. Throws what the source threw. */
  get finished(): boolean {
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#ended && this.#unanswered.size === 0;
  }

  /** The unanswered envelope that was taken first. */
  get oldest(): Entry | undefined {
    return this.#unanswered.values().next().value;
  }

  /** A new stream is given everything that is unanswered. */
  restart(): void {
    this.#unsent = [...this.#unanswered.values()];
    this.#takeMore();
  }

  answered(entry: Entry): void {
    this.#unanswered.delete(entry.index);
    this.#takeMore();
    this.#wake?.();
  }

  /**
   * What is to be sent now, waiting for some; nothing when there was none for `idleMs`, undefined when there will be no
   * more, or the stream that asks is given up.
   */
  async next(idleMs: number, signal: AbortSignal): Promise<Entry[] | undefined> {
    if (this.#unsent.length === 0 && !this.#isOver()) await this.#sleep(idleMs, signal);
    if (signal.aborted) return undefined;
    if (this.#unsent.length === 0) return this.#isOver() ? undefined : [];
    let bytes = 0;
    const count = this.#unsent.findIndex(({ envelope }) => {
      bytes += envelope.length;
      return bytes > CLIENT_LIMITS.streamPieceBytesMax;
    });
    return this.#unsent.splice(0, count < 0 ? this.#unsent.length : Math.max(1, count));
  }

  /** The caller wants no more results. */
  async close(): Promise<void> {
    this.#ended = true;
    this.#unanswered.clear();
    this.#wake?.();
    // A source in the middle of its next answer is left alone: it might never give it.
    if (!this.#taking) await this.#source.return?.();
  }

  #isOver(): boolean {
    return this.#failure !== undefined || (this.#ended && this.#unanswered.size === 0);
  }

  #takeMore(): void {
    if (this.#taking || this.#ended) return;
    this.#taking = true;
    void this.#take().catch((error: unknown) => {
      this.#failure = { error };
      this.#ended = true;
      this.#wake?.();
    });
  }

  async #take(): Promise<void> {
    try {
      while (!this.#ended && this.#unanswered.size < this.#options.inFlightMax) {
        const answer = this.#source.next();
        const { done, value } = answer instanceof Promise ? await answer : answer;
        if (done === true) {
          this.#ended = true;
          break;
        }
        const index = this.#taken++;
        const entry = { index, envelope: value, deadlineMs: Date.now() + this.#options.timeoutMs };
        this.#unanswered.set(index, entry);
        this.#unsent.push(entry);
        this.#wake?.();
      }
    } finally {
      this.#taking = false;
      this.#wake?.();
    }
  }

  #sleep(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const settle = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', settle);
        // The next stream may be asking already.
        if (this.#wake === settle) this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(settle, timeoutMs);
      signal.addEventListener('abort', settle, { once: true });
      this.#wake = settle;
    });
  }
}
