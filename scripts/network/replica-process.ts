/**
 * A replica as a child process of `sluice start` (and of the tests): spawned with the flags that keep it
 * small, stopped by signal, and stopped by itself when its supervisor dies.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

/** Of a replica at saturation: main, consensus, and two that check signatures. */
const BUSY_THREADS = 4;

export const REPLICA_NODE_FLAGS = [
  // A replica's garbage is young and its state lives outside the heap: a small heap keeps it resident-small.
  '--max-old-space-size=192',
  '--max-semi-space-size=2',
  // What is alive in it is mostly code: marking all of it each time a fifth more has been added, V8's own measure for so small a heap, was a tenth of
  // a replica's processor time at saturation. With 60 % more it is resident by some 5 MiB larger, with 100 % by 13.
  '--heap-growing-percent=60',
  // V8's helper threads shorten pauses where cores are idle. Where none is, they take turns with the threads that they help, and
  // collecting in several threads is more work: with two cores a replica orders 5 % more without them, and no slower (docs/performance.md).
  ...(availableParallelism() < BUSY_THREADS ? ['--single-threaded-gc'] : []),
  // How often a function uses up V8's budget of 66 KiB of bytecode before it is optimized. V8's own 3 times are reached by what
  // loads modules, and optimizing that takes 0.3 s of processor time of a start. A replica that has started goes over to
  // V8's own (scripts/commands/replica.ts); what it has run by then counts, which with a larger budget it would not.
  '--ticks-before-optimization=45',
  '--max-bytecode-size-for-early-opt=0',
];
/**
 * Many threads allocate; glibc would give each an arena of its own and keep what they free, batches of some hundred
 * kilobytes above all.
 */
export const REPLICA_ENVIRONMENT = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
};
const STOP_TIMEOUT_MS = 10_000;

/** `SLUICE_NODE_FLAGS="--cpu-prof --cpu-prof-dir=/tmp/prof"` profiles every replica. */
function extraFlags(): string[] {
  return (process.env.SLUICE_NODE_FLAGS ?? '').split(' ').filter((flag) => flag !== '');
}

export interface ReplicaProcessOptions {
  readonly number: number;
  /** Path of its replica.yaml. */
  readonly configPath: string;
  /** Its output is appended here. */
  readonly logPath: string;
  /** Put before the command: to run it elsewhere, for example in a network namespace. */
  readonly launcher?: readonly string[];
  /** Besides this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly onExit?: (code: number | null, signal: NodeJS.Signals | null) => void;
}

export class ReplicaProcess {
  readonly number: number;
  readonly logPath: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #running = true;

  constructor(options: ReplicaProcessOptions) {
    this.number = options.number;
    this.logPath = options.logPath;
    const sluice = fileURLToPath(new URL('../sluice.js', import.meta.url));
    const log = openSync(options.logPath, 'a', 0o600);
    const command = [
      ...(options.launcher ?? []),
      process.execPath,
      ...REPLICA_NODE_FLAGS,
      ...extraFlags(),
      sluice,
      'replica',
      '--config',
      options.configPath,
      '--supervised',
    ];
    this.#child = spawn(command[0] as string, command.slice(1), {
      stdio: ['ignore', log, log, 'ipc'],
      env: { ...process.env, ...REPLICA_ENVIRONMENT, ...options.environment },
    });
    closeSync(log);
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        this.#running = false;
        options.onExit?.(code, signal);
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Null while it runs, and when a signal ended it. */
  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#running) this.#child.kill(signal);
  }

  /** Asks it to stop; kills it when it does not within ten seconds. */
  async stop(): Promise<void> {
    if (!this.#running) return;
    this.kill('SIGTERM');
    const timer = setTimeout(() => this.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  get exited(): Promise<void> {
    return this.#exited;
  }
}
