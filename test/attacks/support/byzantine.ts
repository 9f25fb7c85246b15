/** A replica with a live session that lies: what it can seal, and how it gets it into the victim's region. */
import { randomBytes } from 'node:crypto';
import type { ProviderName, Transport, WriteShipping } from '../../../rdma/index.ts';
import type { RegionLayout } from '../../../rdma/layout.ts';
import { connect, SMALL, sessionKeys } from '../../rdma/support/pair.ts';
import type { Attacker } from './attacker.ts';
import {
  type Forge,
  type ForgedCell,
  type ForgedFrame,
  type ForgeOptions,
  forgeOf,
} from './forge.ts';
import { DeviceReach, FileReach, FrameReach, type Reach, type Ring } from './reach.ts';

export class ByzantinePeer {
  readonly session: ForgeOptions;
  readonly forge: Forge;
  readonly reach: Reach;

  constructor(session: ForgeOptions, reach: (layout: RegionLayout) => Reach) {
    this.session = session;
    this.forge = forgeOf(session);
    this.reach = reach(this.forge.layout);
  }

  writeCell(cell: ForgedCell, index = this.forge.cellIndex(cell.slot)): void {
    this.putCell(cell.kind, index, this.forge.sealCell(cell));
  }

  putCell(kind: number, index: number, bytes: Uint8Array): void {
    const { forge } = this;
    this.reach.putCell(forge.cellOrdinal(kind, index), forge.cellOffset(kind, index), bytes);
  }

  publish(ring: Ring, frames: readonly ForgedFrame[], tail?: bigint): void {
    const bytes = this.forge.sealFrames(ring, frames);
    this.reach.putRing(ring, bytes, tail ?? BigInt(bytes.length));
  }

  close(): void {
    this.reach.close();
  }
}

/** Opens a session of `victim` with the correct transport of a peer, which also has an evil twin. */
export function meetTwin(
  provider: ProviderName,
  victim: Transport,
  twin: Transport,
): ByzantinePeer {
  const { self: writer, replicas } = twin;
  let peer: ByzantinePeer | undefined;
  connect(victim, twin, ({ intoA: regionName, pairSecret }) => {
    const session = { writer, reader: victim.self, replicas, regionName, pairSecret };
    const shipping = victim.shipping as WriteShipping;
    peer = new ByzantinePeer(session, (layout) =>
      provider === 'shm'
        ? new FileReach(regionName, layout)
        : new FrameReach((frames) => shipping.apply(writer, frames), SMALL.laneRingBytes),
    );
  });
  return peer as ByzantinePeer;
}

export interface DeviceMeeting {
  /** Receives that it posts; as many as a correct replica when absent. */
  readonly receives?: number;
  readonly notReadyTimer?: number;
}

/** Opens a session of `victim` with a queue pair that is all there is of replica `writer`. */
export function meetDevice(
  victim: Transport,
  attacker: Attacker,
  writer: number,
  { receives, notReadyTimer }: DeviceMeeting = {},
): ByzantinePeer {
  const { self: reader, replicas } = victim;
  const pairSecret = randomBytes(32);
  const offer = victim.offer(writer, sessionKeys(reader, writer, pairSecret)[0]);
  const name = `/sluice-${randomBytes(16).toString('hex')}`;
  const endpoint = attacker.open(offer.regionBytes, receives);
  victim.accept(writer, { ...offer, name, endpoint });
  attacker.connect(offer.endpoint ?? '', notReadyTimer);
  victim.confirm(writer);
  const session = { regionName: offer.name, pairSecret, writer, reader, replicas };
  return new ByzantinePeer(
    session,
    (layout) => new DeviceReach(attacker, offer.endpoint ?? '', layout),
  );
}
