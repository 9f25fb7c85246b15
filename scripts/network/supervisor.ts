/** The replicas of one network as children of this process: started together, stopped together. */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { ReplicaProcess } from './replica-process.ts';

const TAIL_BYTES_MAX = 32 << 10;
const TAIL_LINES = 12;

export interface ReplicaPlace {
  readonly number: number;
  readonly url: string;
  readonly configPath: string;
  readonly logPath: string;
}

export interface ReplicaEnd {
  readonly place: ReplicaPlace;
  /** `exit code 2`, `SIGKILL`. */
  readonly how: string;
}

interface Child {
  readonly place: ReplicaPlace;
  readonly process: ReplicaProcess;
  /** Size of the log before this run, which appends to it. */
  readonly logStart: number;
}

export class Supervisor {
  readonly #places: readonly ReplicaPlace[];
  readonly #onEnd: (end: ReplicaEnd, running: number) => void;
  readonly #children: Child[] = [];
  readonly #interrupt = new AbortController();
  readonly #over: Promise<void>;
  #resolveOver: () => void = () => {};
  #stopping = false;
  #failed = false;

  /** @param onEnd called when a replica has ended that nobody asked to */
  constructor(places: readonly ReplicaPlace[], onEnd: (end: ReplicaEnd, running: number) => void) {
    this.#places = places;
    this.#onEnd = onEnd;
    this.#over = new Promise((resolve) => {
      this.#resolveOver = resolve;
    });
  }

  /** A replica has ended that nobody asked to. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Aborted when the network is to stop, or a replica has ended by itself. */
  get interrupted(): AbortSignal {
    return this.#interrupt.signal;
  }

  /** Resolves when the network is to stop, or none of its replicas is left. */
  get over(): Promise<void> {
    return this.#over;
  }

  watchSignals(): void {
    const onSignal = (): void => {
      this.#stopping = true;
      this.#interrupt.abort();
      this.#resolveOver();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  }

  spawnAll(): void {
    for (const place of this.#places) {
      const { number, configPath, logPath } = place;
      const logStart = statSync(logPath, { throwIfNoEntry: false })?.size ?? 0;
      const onExit = (code: number | null, signal: string | null): void => {
        if (!this.#stopping) this.#noteEnd({ place, how: signal ?? `exit code ${code}` });
      };
      const process = new ReplicaProcess({ number, configPath, logPath, onExit });
      this.#children.push({ place, process, logStart });
    }
  }

  #noteEnd(end: ReplicaEnd): void {
    this.#failed = true;
    this.#interrupt.abort();
    const running = this.#children.filter(({ process }) => process.running).length;
    this.#onEnd(end, running);
    if (running === 0) this.#resolveOver();
  }

  /** The end of what replicas have logged in this run: of those that ended, or of all if none did. */
  logTails(): { readonly place: ReplicaPlace; readonly text: string }[] {
    const ended = this.#children.filter(({ process }) => !process.running);
    return (ended.length > 0 ? ended : this.#children).map(({ place, logStart }) => ({
      place,
      text: tailOf(place.logPath, logStart),
    }));
  }

  async stopAll(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#children.map(({ process }) => process.stop()));
  }
}

/** The last lines of a file, none from before byte `start`. */
function tailOf(path: string, start: number): string {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const from = Math.max(start, size - TAIL_BYTES_MAX);
    const bytes = Buffer.alloc(Math.max(0, size - from));
    const length = readSync(file, bytes, 0, bytes.length, from);
    const lines = bytes.toString('utf8', 0, length).trimEnd().split('\n');
    return lines.slice(-TAIL_LINES).join('\n');
  } finally {
    closeSync(file);
  }
}
