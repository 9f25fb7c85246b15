/** The parts of the simulated world do what the real ones promise, and lose what those may lose. */
import { expect } from 'chai';
import { hashBlock, leadsTo } from './chain.ts';
import { createSimulatedKeys } from './crypto.ts';
import { Disk, SimulatedLog } from './disk.ts';
import { type Actor, EventQueue } from './event-queue.ts';
import { Random } from './random.ts';
import { type Inbox, Region, type WrittenCell } from './region.ts';

function drain(queue: EventQueue, untilMs = Infinity): void {
  while (queue.nextMs <= untilMs && queue.nextMs < Infinity) queue.runNext();
}

describe('the event queue', () => {
  it('handles events in order of time, then of scheduling', () => {
    const queue = new EventQueue(0);
    const random = new Random(7);
    const seen: [number, number][] = [];
    const actor: Actor = { onEvent: (_kind, order) => seen.push([queue.nowMs, order]) };
    for (let order = 0; order < 500; order++) queue.schedule(random.below(50), actor, 0, order);
    drain(queue);
    expect(seen.length).to.equal(500);
    const sorted = [...seen].sort(([a, i], [b, j]) => a - b || i - j);
    expect(seen).to.eql(sorted);
  });
});

describe('chance', () => {
  it('is the same for a seed, and another for another', () => {
    const draw = (seed: number, stream = 0) => {
      const random = new Random(seed, stream);
      return Array.from({ length: 8 }, () => random.next());
    };
    expect(draw(5)).to.eql(draw(5));
    expect(draw(5)).not.to.eql(draw(6));
    expect(draw(5)).not.to.eql(draw(5, 1));
    expect(draw(5)).not.to.eql(draw(5 + 2 ** 32));
  });

  it('is spread evenly', () => {
    const random = new Random(1);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) counts[random.below(10)]!++;
    for (const count of counts) expect(count).to.be.within(850, 1_150);
  });
});

describe('a region', () => {
  const cell = (slot: number, view: number): WrittenCell => ({
    kind: 'vote',
    slot,
    view,
    flags: 0,
    body: new Uint8Array(24),
  });

  function createRegion() {
    const queue = new EventQueue(0);
    const region = new Region(1, queue, 8, () => {});
    const read = (fromSlot = 0, toSlot = 100): string[] => {
      const seen: string[] = [];
      const inbox: Inbox = {
        onCell: (_from, frame) => seen.push(`${frame.slot}/${frame.view}`),
        onLane: (_from, frame) => seen.push(`lane ${frame.bytes[0]}`),
        onMessage: (_from, frame) => seen.push(`message ${frame.bytes[0]}`),
      };
      region.read(fromSlot, toSlot, inbox, true);
      return seen;
    };
    return { queue, region, read };
  }

  it('shows what was written last in a place, once', () => {
    const { queue, region, read } = createRegion();
    region.writeCell(cell(1, 0), 5, 0);
    region.writeCell(cell(9, 0), 6, 0);
    region.writeCell(cell(2, 0), 7, 0);
    drain(queue);
    expect(read()).to.eql(['9/0', '2/0']);
    expect(read()).to.eql([]);
  });

  it('never shows an older write over a newer one, whichever comes first', () => {
    const { queue, region, read } = createRegion();
    region.writeCell(cell(1, 0), 9, 0);
    region.writeCell(cell(1, 1), 3, 0);
    drain(queue);
    expect(read()).to.eql(['1/1']);
  });

  it('shows nothing of a torn cell until it is whole', () => {
    const { queue, region, read } = createRegion();
    region.writeCell(cell(1, 0), 1, 0);
    region.writeCell(cell(1, 1), 2, 10);
    drain(queue, 5);
    expect(read()).to.eql([]);
    drain(queue);
    expect(read()).to.eql(['1/1']);
  });

  it('keeps cells beyond the interest for later, and rings in order', () => {
    const { queue, region, read } = createRegion();
    const frame = (byte: number) => ({ bytes: Uint8Array.of(byte), sha256: undefined });
    region.writeCell(cell(7, 0), 1, 0);
    expect(region.writeRing('lane', frame(1), 8, 2)).to.equal(true);
    expect(region.writeRing('lane', frame(2), 2, 2)).to.equal(true);
    expect(region.writeRing('lane', frame(3), 2, 2), 'the ring is full').to.equal(false);
    drain(queue, 7);
    expect(read(0, 6)).to.eql([]);
    drain(queue);
    expect(read(0, 7)).to.eql(['7/0', 'lane 1', 'lane 2']);
  });
});

describe('a simulated log', () => {
  it('keeps over a crash what was synced, and a first part of the rest', () => {
    const lengths = new Set<number>();
    for (let seed = 0; seed < 30; seed++) {
      const queue = new EventQueue(0);
      const random = new Random(seed);
      const profile = { syncMs: 1, jitterMs: 0, spikeChance: 0, spikeMs: 0 };
      const log = new SimulatedLog(new Disk(profile, { queue, random }));
      log.append(Uint8Array.of(0));
      drain(queue);
      expect(log.synced).to.equal(1);
      log.append(Uint8Array.of(1));
      drain(queue, queue.nowMs);
      log.append(Uint8Array.of(2));
      log.append(Uint8Array.of(3));
      log.crash();
      drain(queue);
      const kept = log.records.map(([byte]) => byte);
      expect(kept).to.eql([0, 1].slice(0, kept.length));
      lengths.add(kept.length);
    }
    expect([...lengths].sort()).to.eql([1, 2]);
  });

  it('is replaced as a whole', () => {
    const queue = new EventQueue(0);
    const profile = { syncMs: 1, jitterMs: 0, spikeChance: 0, spikeMs: 0 };
    const log = new SimulatedLog(new Disk(profile, { queue, random: new Random(1) }));
    log.append(Uint8Array.of(1));
    log.rotate([Uint8Array.of(7), Uint8Array.of(8)]);
    log.append(Uint8Array.of(9));
    drain(queue);
    expect(log.records.map(([byte]) => byte)).to.eql([7, 8, 9]);
  });
});

describe('simulated signatures', () => {
  it('verify for their signer and text only', () => {
    const keys = createSimulatedKeys(0, 4);
    const text = Uint8Array.of(1, 2, 3);
    const signature = keys.cryptoOf(2).sign(text);
    const { verify } = keys.cryptoOf(0);
    expect(verify(2, text, signature)).to.equal(true);
    expect(verify(1, text, signature)).to.equal(false);
    expect(verify(2, Uint8Array.of(1, 2, 4), signature)).to.equal(false);
    expect(verify(9, text, signature)).to.equal(false);
  });
});

describe('blocks of a transfer', () => {
  it('prove themselves by the hash that they end in', () => {
    const start = { height: 1, hash: new Uint8Array(32) };
    const bytes = [Uint8Array.of(1)];
    const hash = hashBlock(1, start.hash, bytes);
    const block = { number: 1, previousHash: start.hash, hash, bytes, txIds: [1] };
    const tip = { height: 2, hash };
    expect(leadsTo([block], start, tip)).to.equal(true);
    expect(leadsTo([], start, tip)).to.equal(false);
    expect(leadsTo([{ ...block, bytes: [Uint8Array.of(2)] }], start, tip)).to.equal(false);
    expect(leadsTo([block], { ...start, hash: hash.slice().fill(1) }, tip)).to.equal(false);
  });
});
