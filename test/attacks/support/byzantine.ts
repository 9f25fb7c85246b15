/** A replica with a live session that lies: what it can seal, and how it gets it into the victim's region. */
import { randomBytes } from 'node:crypto';
import type { ProviderName, Transport, WriteShipping } from '../../../rdma/index.ts';
import { connect, SMALL, sessionKeys } from '../../rdma/support/pair.ts';
import type { Attacker } from './attacker.ts';
import { Forge, type ForgedCell, type ForgedFrame } from './forge.ts';
import { DeviceReach, FileReach, FrameReach, type Reach, type Ring } from './reach.ts';

export class ByzantinePeer {
  readonly forge: Forge;
  readonly reach: Reach;

  constructor(forge: Forge, reach: Reach) {
    this.forge = forge;
    this.reach = reach;
  }

  writeCell(cell: ForgedCell, index = Number(cell.slot % BigInt(SMALL.windowSlots))): void {
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

export interface Meeting {
  readonly peer: ByzantinePeer;
  readonly pairSecret: Uint8Array;
  readonly regionName: string;
}

/** Opens a session of `victim` with the correct transport of a peer, which also has an evil twin. */
export function meetTwin(provider: ProviderName, victim: Transport, twin: Transport): Meeting {
  const { self: writer, replicas } = twin;
  let reach: Reach | undefined;
  const forgeOf = (regionName: string, pairSecret: Uint8Array): Forge =>
    new Forge({ regionName, pairSecret, writer, reader: victim.self, replicas });
  const { intoA, pairSecret } = connect(victim, twin, (names) => {
    const { layout } = forgeOf(names.intoA, names.pairSecret);
    reach =
      provider === 'shm'
        ? new FileReach(names.intoA, layout)
        : new FrameReach(victim.shipping as WriteShipping, writer, SMALL.laneRingBytes);
  });
  const peer = new ByzantinePeer(forgeOf(intoA, pairSecret), reach as Reach);
  return { peer, pairSecret, regionName: intoA };
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
): Meeting {
  const { self: reader, replicas } = victim;
  const pairSecret = randomBytes(32);
  const offer = victim.offer(writer, sessionKeys(reader, writer, pairSecret)[0]);
  const name = `/sluice-${randomBytes(16).toString('hex')}`;
  const endpoint = attacker.open(offer.regionBytes, receives);
  victim.accept(writer, { ...offer, name, endpoint });
  attacker.connect(offer.endpoint ?? '', notReadyTimer);
  victim.confirm(writer);
  const forge = new Forge({ regionName: offer.name, pairSecret, writer, reader, replicas });
  const reach = new DeviceReach(attacker, offer.endpoint ?? '', forge.layout);
  return { peer: new ByzantinePeer(forge, reach), pairSecret, regionName: offer.name };
}
