/**
 * Loads the native addon (`build/Release/sluice_rdma.node` under the package's root) and states its
 * types. Each thread that loads it gets its own classes; the addon's code and its wake handles are
 * one a process.
 */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { PeerCounters } from './contract.ts';
import { TransportError } from './errors.ts';
import type { TransportSizes } from './limits.ts';

export interface NativeTransportOptions extends TransportSizes {
  readonly self: number;
  readonly epoch: number;
  /** 0 spin, 1 adaptive, 2 block. */
  readonly waitMode: number;
  readonly spinUs: number;
  readonly futexWaitv: boolean;
  /** As in PROVIDERS. */
  readonly provider: number;
  /** Of `verbs`: empty chooses. */
  readonly device: string;
  /** Of `verbs`: 0 chooses, otherwise the index and one. */
  readonly gidIndex: number;
  /** Of `verbs`: whether windows are used where the device has them. */
  readonly memoryWindows: boolean;
  readonly digest: Uint8Array;
}

/**
 * Every method checks its arguments and throws a TransportError; none is safe to use from two
 * threads.
 */
export interface NativeTransport {
  offer(peer: number): string;
  setInboundKeys(peer: number, keys: Uint8Array, peerIncarnation: bigint): void;
  /** Where the peer finds our region, for a device. */
  endpoint(peer: number): Uint8Array;
  /** Why the peer's connection is dead; undefined while it lives. */
  deviceFault(peer: number): string | undefined;
  map(
    peer: number,
    name: string,
    keys: Uint8Array,
    selfIncarnation: bigint,
    endpoint: Uint8Array | undefined,
  ): void;
  confirm(peer: number): void;
  close(peer: number): void;
  /** 0 closed, 1 offered, 2 mapped, 3 open. */
  state(peer: number): number;
  /**
   * `pollRecordBytesMax` bytes for the records of `poll`, then the body of the cell that `writeCell` is to write. The same
   * buffer each time.
   */
  memory(): ArrayBuffer;
  writeCell(
    kind: number,
    slot: number,
    view: number,
    flags: number,
    bodyBytes: number,
    quiet: boolean,
  ): void;
  rewriteCells(peer: number): void;
  writeLane(payload: Uint8Array, outcomes: Uint8Array): void;
  send(peer: number, payload: Uint8Array): boolean;
  takeWrites(peer: number, buffer: Uint8Array): number;
  applyWrites(peer: number, frames: Uint8Array): string | undefined;
  poll(fromSlot: number, toSlot: number, payloads: ArrayBuffer[]): number;
  wait(timeoutUs: number): boolean;
  wakeHandle(): number;
  /** Whether peers write through memory windows. */
  usesWindows(): boolean;
  counters(peer: number): PeerCounters;
  destroy(): void;
}

export interface NativeAddon {
  readonly NativeTransport: new (options: NativeTransportOptions) => NativeTransport;
  wake(handle: number): boolean;
  useErrorClass(errorClass: typeof TransportError): void;
  trimMemory(): boolean;
  releaseMemory(buffer: ArrayBuffer): void;
  /** The result is in `hash` until the next call. */
  sha256(first: Uint8Array, second: Uint8Array | undefined): void;
  /** 32 bytes. */
  readonly hash: ArrayBuffer;
  aesCmac(key: Uint8Array, message: Uint8Array): Uint8Array;
  regionLayout(
    replicas: number,
    windowSlots: number,
    laneRingBytes: number,
    controlRingBytes: number,
  ): Record<string, number>;
  readonly layout: Readonly<Record<string, number | string>>;
  readonly limits: Readonly<Record<string, number>>;
}

const ADDON = 'build/Release/sluice_rdma.node';
/** This file lies in `rdma/` (sources) or in `dist/rdma/` (compiled). */
const ROOTS = ['../', '../../'];

let loaded: NativeAddon | undefined;

/** Returns the addon; throws `addon_missing` when it was not built or does not fit this Node.js. */
export function loadNative(): NativeAddon {
  if (loaded !== undefined) return loaded;
  const paths = ROOTS.map((root) => fileURLToPath(new URL(root + ADDON, import.meta.url)));
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new TransportError(
      'addon_missing',
      `the native addon is not at ${paths.join(' nor at ')}: run \`npm run build:native\``,
      { paths },
    );
  }
  try {
    loaded = createRequire(import.meta.url)(path) as NativeAddon;
  } catch (cause) {
    throw new TransportError(
      'addon_missing',
      `the native addon ${path} does not load here: run \`npm run build:native\``,
      { path },
      { cause },
    );
  }
  loaded.useErrorClass(TransportError);
  return loaded;
}

/**
 * Wakes the transport with this `wakeHandle` out of `wait`, from any thread of the process. Returns
 * false when that transport has been destroyed.
 */
export function wakeTransport(handle: number): boolean {
  return loadNative().wake(handle);
}

/**
 * Gives the system back what the process's allocator keeps between the memory that is in use: buffers that come and go leave
 * holes there, of which glibc by itself gives back the last one. Takes 0.6 to 3 ms at saturation; answers whether any page went.
 */
export function trimMemory(): boolean {
  return loadNative().trimMemory();
}

/**
 * Frees the memory of a buffer at once instead of when V8 comes to look. Whoever still has a view of it sees no byte: its length
 * is 0 from then on.
 */
export function releaseMemory(buffer: ArrayBuffer): void {
  loadNative().releaseMemory(buffer);
}
