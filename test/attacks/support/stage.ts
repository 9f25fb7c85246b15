/** Replica 0 reads; replica 1 lies; replica 2 is correct. */
import { expect } from 'chai';
import type { ProviderName, Transport, TransportFault } from '../../../rdma/index.ts';
import { ALL, connect, Inbox, open, pollUntil } from '../../rdma/support/pair.ts';
import { Attacker } from './attacker.ts';
import { type ByzantinePeer, type DeviceMeeting, meetDevice, meetTwin } from './byzantine.ts';
import { type Forge, forgeOf } from './forge.ts';

const VICTIM = 0;
export const LIAR = 1;
const OTHER = 2;

export function vote(slot: number, view: number, fill: number) {
  return { kind: 'vote', slot, view, flags: 0, body: Buffer.alloc(24, fill) } as const;
}

/** A stage for each test of the suite. */
export function onNewStages(provider: ProviderName, use: (stage: Stage) => void): void {
  let stage: Stage | undefined;
  beforeEach(() => {
    stage = new Stage(provider);
    use(stage);
  });
  afterEach(() => {
    stage?.destroy();
    stage = undefined;
  });
  after(() => Attacker.stopShared());
}

export class Stage {
  readonly reader = open(VICTIM, 3, { payloadBytesMax: 64 * 1024 });
  readonly other = open(OTHER, 3, { payloadBytesMax: 64 * 1024 });
  /** What correct code runs beside the lies; on `verbs` a queue pair has one owner. */
  readonly twin: Transport | undefined;
  readonly attacker: Attacker | undefined;
  readonly inbox = new Inbox();
  /** Seals what the correct peer seals. */
  readonly otherForge: Forge;
  evil: ByzantinePeer;
  readonly #provider: ProviderName;
  #slot = 1_000;

  constructor(provider: ProviderName, meeting: DeviceMeeting = {}) {
    this.#provider = provider;
    const { intoA, pairSecret } = connect(this.reader, this.other);
    const direction = { writer: OTHER, reader: VICTIM, replicas: 3 };
    this.otherForge = forgeOf({ ...direction, regionName: intoA, pairSecret });
    if (provider === 'verbs') this.attacker = Attacker.shared();
    else this.twin = open(LIAR, 3, { payloadBytesMax: 64 * 1024 });
    this.evil = this.#meet(meeting);
  }

  /** Ends the session with the liar, and opens another. */
  meetAgain(meeting: DeviceMeeting = {}): void {
    this.reader.close(LIAR);
    this.twin?.close(VICTIM);
    this.evil.close();
    this.evil = this.#meet(meeting);
  }

  #meet(meeting: DeviceMeeting): ByzantinePeer {
    const { reader, attacker, twin } = this;
    if (attacker !== undefined) return meetDevice(reader, attacker, LIAR, meeting);
    return meetTwin(this.#provider, reader, twin as Transport);
  }

  poll(): Inbox {
    this.reader.poll(ALL, this.inbox);
    return this.inbox;
  }

  faults(): TransportFault[] {
    return this.inbox.faults.map(({ peer, fault }) => {
      expect(peer, 'the fault names the culprit').to.equal(LIAR);
      return fault;
    });
  }

  awaitFaults(count = 1): TransportFault[] {
    pollUntil(this.reader, this.inbox, () => this.inbox.faults.length >= count, 'fault');
    return this.faults();
  }

  /** Everything between the reader and the correct peer works, both ways; returns how long it took. */
  expectOtherPeerUnharmed(): number {
    const start = performance.now();
    const [inbox, back] = [new Inbox(), new Inbox()];
    const slot = this.#slot++;
    const interest = { fromSlot: slot, toSlot: slot };
    this.other.writeCell(vote(slot, 0xabcdef, 9));
    this.reader.writeCell(vote(slot, 0xfedcba, 8));
    expect(this.other.writeLane(Buffer.from('lane'))[VICTIM]).to.equal('queued');
    expect(this.other.send(VICTIM, Buffer.from('message'))).to.equal('queued');
    const ofOther = <T extends { peer: number }>(all: T[]): number =>
      all.filter(({ peer }) => peer === OTHER).length;
    const counts = (): string =>
      [inbox.cells, inbox.lanes, inbox.messages]
        .map((all) => ofOther<{ peer: number }>(all))
        .join();
    const isComplete = (): boolean => {
      this.other.poll(interest, back);
      return counts() === '1,1,1' && back.cells.length > 0;
    };
    pollUntil(this.reader, inbox, isComplete, 'words of the correct peer', interest);
    expect(ofOther(inbox.faults) + back.faults.length).to.equal(0);
    this.inbox.faults.push(...inbox.faults);
    return performance.now() - start;
  }

  destroy(): void {
    this.evil.close();
    for (const transport of [this.reader, this.other, this.twin]) transport?.destroy();
  }
}
