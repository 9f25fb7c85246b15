/**
 * A disk that can lose power: while `watch()` runs, the calls that the log makes on one folder are
 * written down step by step, and may be made to fail. `crash()` then puts into another folder what
 * could be found there, had the machine stopped behind a given step: of what was not synced, any
 * sectors, any length, any names.
 */
import fs, { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, join } from 'node:path';

const SECTOR_BYTES = 512;
/** Short writes are what full disks and signals make; here every write is one, but for the zeros that make a file longer. */
const WRITE_BYTES_MAX = 700;

interface Inode {
  synced: Buffer;
  current: Buffer;
}

type Step = (state: State) => void;

interface State {
  readonly inodes: Map<number, Inode>;
  readonly names: Map<string, number>;
  /** What each name may lead to after a power cut: all that it led to since the folder's sync. */
  readonly candidates: Map<string, (number | undefined)[]>;
}

/** The step that fails, counted from the beginning of `watch()`, and how. */
export interface Fault {
  readonly step: number;
  readonly errno: 'ENOSPC' | 'EIO';
}

type Call = (...args: unknown[]) => unknown;
const live = fs as unknown as Record<string, Call>;
const CALLS = [
  'openSync',
  'writeSync',
  'fdatasyncSync',
  'fsyncSync',
  'ftruncateSync',
  'unlinkSync',
  'renameSync',
];

/**
 * To be called in a suite that tests what is in the files, not when it lasts: a busy machine may
 * take long to sync its disk some thousand times.
 */
export function skipSyncs(): void {
  const real = { fsyncSync: live.fsyncSync as Call, fdatasyncSync: live.fdatasyncSync as Call };
  before(() => {
    Object.assign(live, { fsyncSync: () => undefined, fdatasyncSync: () => undefined });
    syncBuiltinESMExports();
  });
  after(() => {
    Object.assign(live, real);
    syncBuiltinESMExports();
  });
}

export class Disk {
  readonly #directory: string;
  readonly #steps: Step[] = [];
  readonly #initial = new Map<string, Buffer>();
  readonly #inodeOf = new Map<string, number>();
  /** Inode of each descriptor; 0 is the folder. */
  readonly #descriptors = new Map<number, number>();
  #inodes = 0;
  #fault: Fault | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    for (const name of readdirSync(directory)) {
      this.#initial.set(name, readFileSync(join(directory, name)));
      this.#inodes += 1;
      this.#inodeOf.set(name, this.#inodes);
    }
  }

  get steps(): number {
    return this.#steps.length;
  }

  /** Runs `work` with the calls of node:fs watched; the fault's step counts from here. */
  watch<T>(work: () => T, fault?: Fault): T {
    const real = Object.fromEntries(CALLS.map((call) => [call, live[call] as Call]));
    this.#fault = fault === undefined ? undefined : { ...fault, step: this.steps + fault.step };
    for (const [call, watched] of Object.entries(this.#watched(real))) live[call] = watched;
    syncBuiltinESMExports();
    try {
      return work();
    } finally {
      Object.assign(live, real);
      syncBuiltinESMExports();
    }
  }

  /** Fills the empty folder `into`; `choose(n)` answers a number below n. */
  crash(into: string, afterSteps: number, choose: (below: number) => number): void {
    const state = this.#stateAfter(afterSteps);
    for (const [name, candidates] of state.candidates) {
      const inode = candidates[choose(candidates.length)];
      if (inode === undefined) continue;
      writeFileSync(join(into, name), found(state.inodes.get(inode) as Inode, choose));
    }
  }

  /** Names that could be there after a power cut now. */
  possibleNames(): string[] {
    const { candidates } = this.#stateAfter(this.steps);
    const isPossible = ([, inodes]: [string, unknown[]]) =>
      inodes.some((inode) => inode !== undefined);
    return [...candidates].filter(isPossible).map(([name]) => name);
  }

  #stateAfter(steps: number): State {
    const state: State = { inodes: new Map(), names: new Map(), candidates: new Map() };
    let inode = 0;
    for (const [name, bytes] of this.#initial) {
      inode += 1;
      state.inodes.set(inode, { synced: bytes, current: bytes });
      state.names.set(name, inode);
    }
    settleNames(state);
    for (const step of this.#steps.slice(0, steps)) step(state);
    return state;
  }

  #record(step: Step): void {
    if (this.#fault?.step === this.#steps.length) {
      const { errno } = this.#fault;
      this.#fault = undefined;
      throw Object.assign(new Error(`${errno}: injected`), { code: errno });
    }
    this.#steps.push(step);
  }

  #watched(real: Record<string, Call>): Record<string, Call> {
    const sync = (...[fd]: unknown[]): void => {
      const inode = this.#descriptors.get(fd as number);
      if (inode === undefined) real.fsyncSync?.(fd);
      else this.#record((state) => syncInode(state, inode));
    };
    return {
      openSync: (...args) => this.#open(real.openSync as Call, args),
      writeSync: (...[fd, bytes, start, length, position]) => {
        const from = start as number;
        const all = Buffer.from(bytes as Uint8Array).subarray(from, from + (length as number));
        const isZeros = all.length > WRITE_BYTES_MAX && all.every((byte) => byte === 0);
        const part = isZeros ? all : all.subarray(0, WRITE_BYTES_MAX);
        const inode = this.#descriptors.get(fd as number) as number;
        this.#record((state) => writeInode(state, inode, part, position as number));
        return real.writeSync?.(fd, part, 0, part.length, position);
      },
      fdatasyncSync: sync,
      fsyncSync: sync,
      ftruncateSync: (...[fd, size]) => {
        const inode = this.#descriptors.get(fd as number) as number;
        this.#record((state) => truncateInode(state, inode, size as number));
        real.ftruncateSync?.(fd, size);
      },
      unlinkSync: (...[path]) => {
        const name = basename(path as string);
        this.#record((state) => setName(state, name, undefined));
        this.#inodeOf.delete(name);
        real.unlinkSync?.(path);
      },
      renameSync: (...[path, newPath]) => {
        const name = basename(path as string);
        const newName = basename(newPath as string);
        const inode = this.#inodeOf.get(name) as number;
        this.#record((state) => {
          setName(state, name, undefined);
          setName(state, newName, inode);
        });
        this.#inodeOf.delete(name);
        this.#inodeOf.set(newName, inode);
        real.renameSync?.(path, newPath);
      },
    };
  }

  #open(realOpen: Call, [path, flags, mode]: unknown[]): number {
    if (path === this.#directory) {
      const fd = realOpen(path, flags) as number;
      this.#descriptors.set(fd, 0);
      return fd;
    }
    const name = basename(path as string);
    const isOurs = path === join(this.#directory, name);
    if (isOurs && flags === 'wx') {
      const inode = this.#inodes + 1;
      this.#record((state) => {
        state.inodes.set(inode, { synced: Buffer.alloc(0), current: Buffer.alloc(0) });
        setName(state, name, inode);
      });
      this.#inodes = inode;
      this.#inodeOf.set(name, inode);
    }
    const fd = realOpen(path, flags, mode) as number;
    this.#descriptors.delete(fd);
    const inode = this.#inodeOf.get(name);
    if (isOurs && inode !== undefined) this.#descriptors.set(fd, inode);
    return fd;
  }
}

function setName({ names, candidates }: State, name: string, inode: number | undefined): void {
  if (inode === undefined) names.delete(name);
  else names.set(name, inode);
  candidates.set(name, [...(candidates.get(name) ?? [undefined]), inode]);
}

function settleNames({ names, candidates }: State): void {
  candidates.clear();
  for (const [name, inode] of names) candidates.set(name, [inode]);
}

function syncInode(state: State, inode: number): void {
  const file = state.inodes.get(inode);
  if (file === undefined) settleNames(state);
  else file.synced = Buffer.from(file.current);
}

function writeInode(state: State, inode: number, part: Buffer, position: number): void {
  const file = state.inodes.get(inode) as Inode;
  const grown = Buffer.alloc(Math.max(file.current.length, position + part.length));
  file.current.copy(grown);
  part.copy(grown, position);
  file.current = grown;
}

function truncateInode(state: State, inode: number, size: number): void {
  const file = state.inodes.get(inode) as Inode;
  const cut = Buffer.alloc(size);
  file.current.copy(cut);
  file.current = cut;
}

/** What may be read after a power cut: a sector is written whole or not at all. */
function found({ synced, current }: Inode, choose: (below: number) => number): Buffer {
  const least = Math.min(synced.length, current.length);
  const most = Math.max(synced.length, current.length);
  const size = least + choose(most - least + 1);
  const bytes = Buffer.alloc(size);
  for (let start = 0; start < size; start += SECTOR_BYTES) {
    const end = Math.min(start + SECTOR_BYTES, size);
    const old = sector(synced, start, end);
    const candidates = [old, sector(current, start, end)];
    // A sector that nothing was ever synced to may also show what it held for another file.
    if (start >= synced.length) candidates.push(Buffer.alloc(end - start, 1 + choose(255)));
    (candidates[choose(candidates.length)] ?? old).copy(bytes, start);
  }
  return bytes;
}

function sector(bytes: Buffer, start: number, end: number): Buffer {
  const part = Buffer.alloc(end - start);
  bytes.subarray(start, end).copy(part);
  return part;
}
