/** Real transports, connected without TLS: the tests hand the offers over themselves. */

import { randomBytes } from 'node:crypto';
import type {
  CellKind,
  DeviceChoice,
  InboxHandler,
  MemoryTransportOptions,
  ProviderName,
  SessionKeys,
  SlotInterest,
  Transport,
  TransportFault,
} from '../../../rdma/index.ts';
import {
  openShmTransport,
  openVerbsTransport,
  PROVIDERS,
  TransportError,
} from '../../../rdma/index.ts';
import { IN_GUEST } from '../../support/slow.ts';
import { introduce, openShipped } from './shipped.ts';

export const SMALL = {
  windowSlots: 8,
  channel: 'test',
  epoch: 1,
  laneRingBytes: 16 * 1024,
  controlRingBytes: 16 * 1024,
} as const;

/** What runs the tests of the contract: the providers, `verbs` with and without memory windows. */
interface Variant {
  readonly provider: ProviderName;
  readonly title: string;
  readonly device: DeviceChoice;
}

const VARIANTS: readonly Variant[] = [
  ...PROVIDERS.map((provider) => ({ provider, title: provider, device: {} })),
  { provider: 'verbs', title: 'verbs without windows', device: { memoryWindows: 'off' } },
];
let provider: ProviderName = 'shm';
let device: DeviceChoice = {};

/** The tests of `body`, once for each provider: what the contract says holds for all of them. */
export function describeProviders(title: string, body: (provider: ProviderName) => void): void {
  for (const variant of VARIANTS) {
    describeVariant(variant, title, () => body(variant.provider));
  }
}

/** As `describeProviders`, for each variant of one provider. */
export function describeProvider(name: ProviderName, title: string, body: () => void): void {
  for (const variant of VARIANTS) {
    if (variant.provider === name) describeVariant(variant, title, body);
  }
}

/** Skipped, with a line that says why, where there is no device for it. */
function describeVariant(variant: Variant, title: string, body: () => void): void {
  describe(`${title} (${variant.title})`, () => {
    before(function () {
      if (variant.provider === 'verbs' && !hasDevice()) this.skip();
      ({ provider, device } = variant);
    });
    after(() => {
      [provider, device] = ['shm', {}];
    });
    body();
  });
}

let known: boolean | undefined;

/** In the guest there must be one. */
function hasDevice(): boolean {
  if (known !== undefined) return known;
  try {
    openVerbsTransport({ ...SMALL, self: 0, replicas: 2 }).destroy();
    known = true;
  } catch (error) {
    const isMissing = error instanceof TransportError && error.code === 'verbs_unavailable';
    if (!isMissing || IN_GUEST) throw error;
    console.log(`      skipped: ${error.message}`);
    known = false;
  }
  return known;
}

/** What a device carries out may be done a little after the call that asked for it. */
export function isDevice(): boolean {
  return provider === 'verbs';
}

export function open(
  self: number,
  replicas: number,
  options: Partial<MemoryTransportOptions> = {},
): Transport {
  const all = { ...SMALL, self, replicas, ...device, ...options };
  if (provider === 'verbs') return openVerbsTransport(all);
  return provider === 'shm' ? openShmTransport(all) : openShipped(all);
}

export function incarnationOf(replica: number): string {
  return String(1000n + BigInt(replica));
}

/** Both ends' keys of one session. */
export function sessionKeys(a: number, b: number, pairSecret: Uint8Array = randomBytes(32)) {
  const one: SessionKeys = {
    pairSecret,
    selfIncarnation: incarnationOf(a),
    peerIncarnation: incarnationOf(b),
  };
  const other: SessionKeys = {
    pairSecret,
    selfIncarnation: incarnationOf(b),
    peerIncarnation: incarnationOf(a),
  };
  return [one, other] as const;
}

export interface Connected {
  readonly pairSecret: Uint8Array;
  /** Name of the region that `a` owns and `b` writes. */
  readonly intoA: string;
  /** Name of the region that `b` owns and `a` writes. */
  readonly intoB: string;
}

/** Opens the session; `beforeConfirm` runs while both regions still have names in /dev/shm. */
export function connect(
  a: Transport,
  b: Transport,
  beforeConfirm: (names: Connected) => void = () => {},
): Connected {
  const pairSecret = randomBytes(32);
  const [keysA, keysB] = sessionKeys(a.self, b.self, pairSecret);
  const offerA = a.offer(b.self, keysA);
  const offerB = b.offer(a.self, keysB);
  a.accept(b.self, offerB);
  b.accept(a.self, offerA);
  const connected = { pairSecret, intoA: offerA.name, intoB: offerB.name };
  beforeConfirm(connected);
  a.confirm(b.self);
  b.confirm(a.self);
  if (provider === 'tcp') introduce(a, b);
  return connected;
}

/** All pairs of `replicas` transports in this process, connected. */
export function cluster(
  replicas: number,
  options: Partial<MemoryTransportOptions> = {},
): Transport[] {
  const transports = Array.from({ length: replicas }, (_, self) => open(self, replicas, options));
  transports.forEach((a, i) => {
    for (const b of transports.slice(i + 1)) connect(a, b);
  });
  return transports;
}

export interface SeenCell {
  readonly peer: number;
  readonly kind: CellKind;
  readonly slot: number;
  readonly view: number;
  readonly flags: number;
  readonly body: Buffer;
}

/** A handler that remembers everything. */
export class Inbox implements InboxHandler {
  readonly cells: SeenCell[] = [];
  readonly lanes: { peer: number; payload: Uint8Array; sha256: Uint8Array }[] = [];
  readonly messages: { peer: number; payload: Uint8Array }[] = [];
  readonly faults: { peer: number; fault: TransportFault }[] = [];

  onCell(
    peer: number,
    kind: CellKind,
    slot: number,
    view: number,
    flags: number,
    body: Uint8Array,
  ): void {
    this.cells.push({ peer, kind, slot, view, flags, body: Buffer.from(body) });
  }
  onLane(peer: number, payload: Uint8Array, sha256: Uint8Array): void {
    this.lanes.push({ peer, payload, sha256: Uint8Array.from(sha256) });
  }
  onMessage(peer: number, payload: Uint8Array): void {
    this.messages.push({ peer, payload });
  }
  onFault(peer: number, fault: TransportFault): void {
    this.faults.push({ peer, fault });
  }
}

/** The whole window of SMALL. */
export const ALL: SlotInterest = { fromSlot: 0, toSlot: SMALL.windowSlots - 1 };

/** How long anything is waited for. */
export const ARRIVAL_MS = 5000;

/** Polls until `done` or the deadline; throws then, naming what was waited for. */
export function pollUntil(
  transport: Transport,
  inbox: Inbox,
  done: () => boolean,
  what: string,
  interest: SlotInterest = ALL,
): void {
  const deadline = Date.now() + ARRIVAL_MS;
  while (!done()) {
    if (Date.now() > deadline) throw new Error(`no ${what} within ${ARRIVAL_MS} ms`);
    transport.wait(1000);
    transport.poll(interest, inbox);
  }
}

/**
 * Polls for `items` that were written before, and returns how many came. One poll finds them all; only a device may still be
 * bringing them, however rarely, so there it is asked again until they have come.
 */
export function pollFor(
  transport: Transport,
  inbox: Inbox,
  items: number,
  interest: SlotInterest = ALL,
): number {
  let came = transport.poll(interest, inbox);
  const deadline = Date.now() + ARRIVAL_MS;
  while (isDevice() && came < items && Date.now() < deadline) {
    transport.wait(1000);
    came += transport.poll(interest, inbox);
  }
  return came;
}
