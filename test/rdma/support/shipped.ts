/** A network between `tcp` transports of one process: whoever polls or waits gets first what the others have written. */
import type {
  InboxHandler,
  MemoryTransportOptions,
  SlotInterest,
  Transport,
  WriteShipping,
} from '../../../rdma/index.ts';
import { openTcpTransport } from '../../../rdma/index.ts';

/** Transports that have been connected, both ways. */
const peers = new WeakMap<Transport, Set<Transport>>();

export function openShipped(options: MemoryTransportOptions): Transport {
  const transport = openTcpTransport(options);
  const poll = transport.poll.bind(transport);
  const wait = transport.wait.bind(transport);
  transport.poll = (interest: SlotInterest, handler: InboxHandler) => {
    fetchAll(transport);
    return poll(interest, handler);
  };
  transport.wait = (timeoutUs: number) => {
    fetchAll(transport);
    return wait(timeoutUs);
  };
  return transport;
}

export function introduce(a: Transport, b: Transport): void {
  peersOf(a).add(b);
  peersOf(b).add(a);
}

/** What `from` has written for `to` and not shipped yet. */
export function* parcels(from: Transport, to: number): Generator<Uint8Array> {
  const { take } = from.shipping as WriteShipping;
  for (let parcel = take(to); parcel !== undefined; parcel = take(to)) yield parcel;
}

function fetchAll(transport: Transport): void {
  for (const peer of peersOf(transport)) {
    for (const parcel of isGone(peer) ? [] : parcels(peer, transport.self)) {
      const fault = transport.shipping?.apply(peer.self, parcel);
      if (fault !== undefined) throw new Error(`a parcel of ${peer.self}: ${fault}`);
    }
  }
}

function isGone(transport: Transport): boolean {
  try {
    transport.sessionState(transport.self === 0 ? 1 : 0);
    return false;
  } catch {
    return true;
  }
}

function peersOf(transport: Transport): Set<Transport> {
  const known = peers.get(transport) ?? new Set();
  peers.set(transport, known);
  return known;
}
