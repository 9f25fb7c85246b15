/**
 * Blocks as the bytes that are sent. A block never changes, so all clients that take it
 * at the same time share one copy: what slow clients cost is bounded by the sum of
 * distinct blocks, not by their number.
 */
import { createHash } from 'node:crypto';
import { decodeBlock, headerDer, METADATA } from '../ledger/format/index.ts';
import type { ChannelService } from '../orderer/service.ts';
import { type BlockJsonRenderer, createBlockJsonRenderer } from './block-json.ts';
import { ApiError } from './errors.ts';
import type { ApiLimits } from './limits.ts';

/** `protobuf`: the serialized block as it is stored; `json`, `json-raw`: block-json.ts. */
export type FrameFormat = 'protobuf' | 'json' | 'json-raw';

export interface FrameLease {
  readonly bytes: Buffer;
  /** Strong entity tag of exactly these bytes, quotes included. */
  readonly etag: string;
  /** Call once the bytes have left the process; calling again does nothing. */
  release(): void;
}

export interface BlockFrames {
  /**
   * Undefined when the block is not certified here. May wait until other clients took theirs; so
   * that nobody can make the others wait for long, `onRevoke` then asks who has held a lease for
   * `framePressedMsMax` to give up (it still releases).
   */
  acquire(
    channel: ChannelService,
    number: number,
    format: FrameFormat,
    onRevoke: () => void,
  ): Promise<FrameLease | undefined>;
  /** True while no further block may be loaded because too many bytes are on lease. */
  readonly pressed: boolean;
  /** Bytes on lease, each frame counted once. */
  readonly inFlightBytes: number;
  /** Bytes kept for the next client. */
  readonly cachedBytes: number;
}

interface Entry {
  readonly bytes: Buffer;
  readonly etag: string;
  users: number;
}

export function createBlockFrames(
  limits: Pick<
    ApiLimits,
    'frameBytesInFlightMax' | 'frameCacheBytesMax' | 'frameLoadsMax' | 'framePressedMsMax'
  >,
): BlockFrames {
  const renderJson = createBlockJsonRenderer();
  /** In order of last use. Entries without users are the cache. */
  const entries = new Map<string, Entry>();
  const loading = new Map<string, Promise<Entry | undefined>>();
  const admission: (() => void)[] = [];
  /** In order of age. */
  const leases = new Set<{ readonly sinceMs: number; readonly onRevoke: () => void }>();
  let pressureTimer: NodeJS.Timeout | undefined;
  let loads = 0;
  let inFlightBytes = 0;
  let cachedBytes = 0;

  function mayLoad(): boolean {
    return loads < limits.frameLoadsMax && !isPressed();
  }

  function isPressed(): boolean {
    return inFlightBytes >= limits.frameBytesInFlightMax;
  }

  function waitForAdmission(): Promise<void> {
    pressureTimer ??= setInterval(relievePressure, limits.framePressedMsMax / 4);
    return new Promise((resolve) => admission.push(resolve));
  }

  function relievePressure(): void {
    if (admission.length === 0) {
      clearInterval(pressureTimer);
      pressureTimer = undefined;
      return;
    }
    if (!isPressed()) return;
    const oldMs = performance.now() - limits.framePressedMsMax;
    for (const lease of leases) {
      if (lease.sinceMs > oldMs) return;
      leases.delete(lease);
      lease.onRevoke();
    }
  }

  function admitNext(): void {
    if (mayLoad()) admission.shift()?.();
  }

  async function load(
    key: string,
    channel: ChannelService,
    number: number,
    format: FrameFormat,
  ): Promise<Entry | undefined> {
    while (!mayLoad()) {
      await waitForAdmission();
    }
    loads += 1;
    try {
      const block = await channel.block(number);
      if (block === undefined) {
        return undefined;
      }
      const entry: Entry = { ...encode(block.bytes, format, renderJson), users: 0 };
      entries.set(key, entry);
      cachedBytes += entry.bytes.length;
      return entry;
    } finally {
      loads -= 1;
      loading.delete(key);
      admitNext();
    }
  }

  function lease(key: string, entry: Entry, onRevoke: () => void): FrameLease {
    if (entry.users === 0) {
      inFlightBytes += entry.bytes.length;
      cachedBytes -= entry.bytes.length;
    }
    entry.users += 1;
    entries.delete(key);
    entries.set(key, entry);
    let released = false;
    const held = { sinceMs: performance.now(), onRevoke };
    leases.add(held);
    return {
      bytes: entry.bytes,
      etag: entry.etag,
      release() {
        if (released) return;
        released = true;
        leases.delete(held);
        giveBack(entry);
      },
    };
  }

  function giveBack(entry: Entry): void {
    entry.users -= 1;
    if (entry.users > 0) return;
    inFlightBytes -= entry.bytes.length;
    cachedBytes += entry.bytes.length;
    evict();
    admitNext();
  }

  function evict(): void {
    for (const [key, entry] of entries) {
      if (cachedBytes <= limits.frameCacheBytesMax) return;
      if (entry.users === 0) {
        entries.delete(key);
        cachedBytes -= entry.bytes.length;
      }
    }
  }

  return {
    async acquire(channel, number, format, onRevoke) {
      const key = `${channel.channel}/${number}/${format}`;
      const known = entries.get(key);
      if (known !== undefined) {
        return lease(key, known, onRevoke);
      }
      let pending = loading.get(key);
      if (pending === undefined) {
        pending = load(key, channel, number, format);
        loading.set(key, pending);
      }
      const entry = await pending;
      if (entry === undefined) return undefined;
      return lease(key, entries.get(key) ?? revive(key, entry), onRevoke);
    },
    get pressed() {
      return isPressed();
    },
    get inFlightBytes() {
      return inFlightBytes;
    },
    get cachedBytes() {
      return cachedBytes;
    },
  };

  /**
   * Between the load and this client's turn another one may have used the entry,
   * given it back, and seen it evicted.
   */
  function revive(key: string, entry: Entry): Entry {
    entries.set(key, entry);
    cachedBytes += entry.bytes.length;
    return entry;
  }
}

function encode(
  stored: Uint8Array,
  format: FrameFormat,
  renderJson: BlockJsonRenderer,
): { bytes: Buffer; etag: string } {
  const etag = entityTag(stored, format);
  if (format === 'protobuf') {
    return { bytes: Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength), etag };
  }
  const json = renderJson(stored, { raw: format === 'json-raw' });
  if (json.kind === 'malformed') {
    throw unreadable(json.reason);
  }
  return { bytes: json.value, etag };
}

/**
 * The header covers the data; the certificate is the only part in which two replicas may differ.
 */
function entityTag(stored: Uint8Array, format: FrameFormat): string {
  const block = decodeBlock(stored);
  if (block.kind === 'malformed') {
    throw unreadable(block.reason);
  }
  const hash = createHash('sha256').update(headerDer(block.value.header));
  hash.update(block.value.metadata[METADATA.SIGNATURES] ?? new Uint8Array(0));
  return `"${hash.digest('base64url').slice(0, 27)}-${format}"`;
}

function unreadable(reason: string): ApiError {
  return new ApiError('internal_error', { message: `A stored block cannot be decoded: ${reason}` });
}
