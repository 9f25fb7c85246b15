/** The attacker of native/main.cc: a process with a queue pair of its own. Commands are answered before they return. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type Operation = 'write' | 'write-immediate' | 'send' | 'invalidate' | 'read' | 'add';

export interface Post {
  readonly operation: Operation;
  readonly address: bigint;
  readonly key: number;
  readonly immediate?: number;
  readonly bytes?: Uint8Array;
  /** Written in turns with `bytes`. */
  readonly others?: Uint8Array;
  readonly count?: number;
}

/** Of `VerbsEndpoint` (rdma/native/verbs.h), in bytes. */
export const ENDPOINT = { ADDRESS: 16, KEY: 24, PAIR: 28, PACKET: 32 } as const;

const PROGRAM = '../../../../build/attacker/attacker';
/** Receives that a correct replica keeps posted. */
export const RECEIVES = 1024;
/** As in ibv_modify_qp: 10 us. */
const NOT_READY_TIMER = 1;

function hex(bytes: Uint8Array = new Uint8Array()): string {
  return bytes.length === 0 ? '-' : Buffer.from(bytes).toString('hex');
}

const REST_MS = 0.2;
const never = new Int32Array(new SharedArrayBuffer(4));

function rest(): void {
  Atomics.wait(never, 0, 0, REST_MS);
}

/** Named pipes: those that Node makes for a child are read by its event loop only. */
class Pipes {
  readonly commands: number;
  readonly answers: number;
  readonly child: ChildProcess;

  constructor(program: string) {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-attacker-'));
    const [to, from] = [join(folder, 'commands'), join(folder, 'answers')];
    execFileSync('mkfifo', [to, from]);
    // Opened for both, neither waits for the other end.
    const ends = [openSync(to, 'r+'), openSync(from, 'r+')] as const;
    this.child = spawn(program, [], { stdio: [ends[0], ends[1], 'inherit'] });
    this.commands = openSync(to, 'w');
    this.answers = openSync(from, constants.O_RDONLY | constants.O_NONBLOCK);
    // A process that dies is seen as the end of its answers.
    for (const end of ends) closeSync(end);
    rmSync(folder, { recursive: true });
  }
}

export class Attacker {
  static #shared: Attacker | undefined;
  readonly #pipes: Pipes;
  #heard = '';

  /** One process for many tests: starting it takes a second in the guest. */
  static shared(): Attacker {
    Attacker.#shared ??= new Attacker();
    return Attacker.#shared;
  }

  static stopShared(): void {
    Attacker.#shared?.stop();
    Attacker.#shared = undefined;
  }

  constructor() {
    const program = fileURLToPath(new URL(PROGRAM, import.meta.url));
    if (!existsSync(program)) {
      throw new Error(`${program} is missing: run \`node test/attacks/native/build.mjs\``);
    }
    this.#pipes = new Pipes(program);
  }

  /** Endpoint, hex. */
  open(regionBytes: number, receives = RECEIVES): string {
    return this.#ask(`open ${regionBytes} ${receives}`);
  }

  connect(endpoint: string, notReadyTimer = NOT_READY_TIMER): void {
    this.#ask(`connect ${endpoint} ${notReadyTimer}`);
  }

  /** The device's word for how it ended: `success`, or why not. */
  post(post: Post): string {
    this.begin(post);
    return this.finish();
  }

  /** Does not wait for the end. */
  begin({ operation, address, key, immediate = 0, bytes, others, count = 1 }: Post): void {
    const where = `${operation} ${address} ${key} ${immediate} ${count}`;
    this.#tell(`post ${where} ${hex(bytes)}${others === undefined ? '' : ` ${hex(others)}`}`);
  }

  /** Of what was begun; `meanwhile` runs until the answer is there. */
  finish(meanwhile?: () => unknown): string {
    return this.#hear(meanwhile);
  }

  receive(count: number): void {
    this.#ask(`receive ${count}`);
  }

  /** Of the memory that the victim writes. */
  own(offset: number, bytes: number): Buffer {
    return Buffer.from(this.#ask(`own ${offset} ${bytes}`), 'hex');
  }

  /** A whole Ethernet frame, from this interface. */
  packet(networkInterface: string, frame: Uint8Array, count = 1): void {
    this.#ask(`packet ${networkInterface} ${hex(frame)} ${count}`);
  }

  /** The queue pair goes away without a word to the victim. */
  close(): void {
    this.#ask('close');
  }

  stop(): void {
    this.#pipes.child.kill('SIGKILL');
    closeSync(this.#pipes.commands);
    closeSync(this.#pipes.answers);
  }

  #ask(command: string): string {
    this.#tell(command);
    return this.#hear();
  }

  #tell(command: string): void {
    const line = Buffer.from(`${command}\n`);
    for (let at = 0; at < line.length; ) at += writeSync(this.#pipes.commands, line, at);
  }

  #hear(meanwhile: () => unknown = rest): string {
    const chunk = Buffer.alloc(1 << 16);
    while (!this.#heard.includes('\n')) {
      const bytes = this.#read(chunk);
      if (bytes === 0) throw new Error('the attacker is gone');
      if (bytes === undefined) meanwhile();
      else this.#heard += chunk.toString('latin1', 0, bytes);
    }
    const end = this.#heard.indexOf('\n');
    const line = this.#heard.slice(0, end);
    this.#heard = this.#heard.slice(end + 1);
    if (!line.startsWith('ok')) throw new Error(`the attacker says: ${line}`);
    return line.slice(3);
  }

  /** Undefined: nothing yet. */
  #read(into: Buffer): number | undefined {
    try {
      return readSync(this.#pipes.answers, into);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
      throw error;
    }
  }
}
