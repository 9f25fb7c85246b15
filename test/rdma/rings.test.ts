import { createHash, randomBytes } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import type { Transport } from '../../rdma/index.ts';
import { IN_GUEST } from '../support/slow.ts';
import {
  ALL,
  ARRIVAL_MS,
  cluster,
  describeProviders,
  Inbox,
  isDevice,
  pollFor,
} from './support/pair.ts';

/** A transport, and what it has heard. */
type End = readonly [Transport, Inbox];

/**
 * Polls `reader` and then `writer`, who goes on when credits come back, until `done`: in so many rounds, or with a device in
 * as many as it takes.
 */
function exchangeUntil(
  [writer, back]: End,
  [reader, inbox]: End,
  rounds: number,
  done: () => boolean,
  what: string,
): void {
  const deadline = Date.now() + ARRIVAL_MS;
  for (let round = 0; !done(); round++) {
    if (!isDevice() && round >= rounds) throw new Error(`no ${what} in ${rounds} rounds`);
    if (Date.now() > deadline) throw new Error(`no ${what} within ${ARRIVAL_MS} ms`);
    reader.poll(ALL, inbox);
    writer.poll(ALL, back);
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

describeProviders('rings', () => {
  let transports: Transport[] = [];

  afterEach(() => {
    for (const transport of transports) transport.destroy();
  });

  it('carry lane payloads to all peers, in order, with their hashes', () => {
    transports = cluster(3);
    const [a, b, c] = transports as [Transport, Transport, Transport];
    const payloads = [0, 1, 63, 64, 65, 1000].map((bytes) => randomBytes(bytes));
    for (const payload of payloads) {
      expect(a.writeLane(payload)).to.deep.equal(['queued', 'queued', 'queued']);
    }
    for (const reader of [b, c]) {
      const inbox = new Inbox();
      pollFor(reader, inbox, payloads.length);
      expect(inbox.lanes.map(({ payload }) => Buffer.from(payload))).to.deep.equal(payloads);
      for (const { payload, sha256: hash } of inbox.lanes) {
        expect(Buffer.from(hash)).to.deep.equal(sha256(payload));
      }
    }
  });

  it('hand over payloads of every length that stay as they were', () => {
    transports = cluster(3);
    const [a, b, c] = transports as [Transport, Transport, Transport];
    const inbox = new Inbox();
    const sent = new Map<number, Buffer[]>([
      [0, []],
      [1, []],
    ]);
    for (let i = 0; i < 200; i++) {
      for (const [peer, writer] of [a, b].entries()) {
        const payload = randomBytes(1000 + (i % 50));
        sent.get(peer)?.push(payload);
        expect(writer.writeLane(payload)[2]).to.equal('queued');
      }
      pollFor(c, inbox, 2);
      for (const writer of [a, b]) writer.poll(ALL, new Inbox());
    }
    for (const [peer, payloads] of sent) {
      const got = inbox.lanes.filter((lane) => lane.peer === peer);
      expect(got.map(({ payload }) => Buffer.from(payload))).to.deep.equal(payloads);
    }
  });

  it('carry messages to one peer', () => {
    transports = cluster(3);
    const [a, b, c] = transports as [Transport, Transport, Transport];
    expect(a.send(2, Buffer.from('to c'))).to.equal('queued');
    expect(b.poll(ALL, new Inbox())).to.equal(0);
    const inbox = new Inbox();
    pollFor(c, inbox, 1);
    expect(inbox.messages).to.have.length(1);
    expect(Buffer.from(inbox.messages[0]?.payload ?? []).toString()).to.equal('to c');
    expect(inbox.messages[0]?.peer).to.equal(0);
  });

  it('wrap around many times without progress cells of the callers', () => {
    transports = cluster(2);
    const [a, b] = transports as [Transport, Transport];
    const inbox = new Inbox();
    const back = new Inbox();
    for (let i = 0; i < 300; i++) {
      const payload = Buffer.alloc(1 + ((i * 37) % 3000), i);
      expect(a.writeLane(payload)[1]).to.equal('queued');
      exchangeUntil([a, back], [b, inbox], 1, () => inbox.lanes.length > 0, `payload ${i}`);
      expect(sha256(inbox.lanes.pop()?.payload ?? Buffer.alloc(0))).to.deep.equal(sha256(payload));
    }
    expect(inbox.faults).to.deep.equal([]);
    expect(back.cells, 'credits are not progress').to.deep.equal([]);
  });

  it('return credits in progress cells without showing them again', () => {
    transports = cluster(2);
    const [a, b] = transports as [Transport, Transport];
    b.writeCell({ kind: 'progress', slot: 5, view: 0, flags: 0, body: Buffer.alloc(88, 1) });
    const back = new Inbox();
    for (let i = 0; i < 30; i++) {
      expect(a.writeLane(Buffer.alloc(3000))[1]).to.equal('queued');
      b.poll(ALL, new Inbox());
      a.poll(ALL, back);
    }
    const isEmpty = (): boolean => a.counters(1).outQueueBytes === 0;
    exchangeUntil([a, back], [b, new Inbox()], 0, isEmpty, 'credits');
    expect(back.cells).to.have.length(1);
    b.writeCell({ kind: 'progress', slot: 5, view: 0, flags: 0, body: Buffer.alloc(88, 2) });
    pollFor(a, back, 1);
    expect(back.cells).to.have.length(2);
  });

  it('stream payloads larger than the ring as credits come in', () => {
    transports = cluster(2);
    const [a, b] = transports as [Transport, Transport];
    const payload = randomBytes(1_000_000);
    expect(a.writeLane(payload)[1]).to.equal('queued');
    expect(a.send(1, payload)).to.equal('queued');
    expect(a.counters(1).outQueueBytes).to.be.greaterThan(1_900_000);
    const inbox = new Inbox();
    const areThere = (): boolean => inbox.lanes.length + inbox.messages.length === 2;
    exchangeUntil([a, new Inbox()], [b, inbox], 1000, areThere, 'both payloads');
    expect(sha256(inbox.lanes[0]?.payload ?? Buffer.alloc(0))).to.deep.equal(sha256(payload));
    expect(Buffer.from(inbox.lanes[0]?.sha256 ?? [])).to.deep.equal(sha256(payload));
    expect(sha256(inbox.messages[0]?.payload ?? Buffer.alloc(0))).to.deep.equal(sha256(payload));
    expect(a.counters(1).outQueueBytes).to.equal(0);
  });

  it('are independent of the buffer that was handed in', () => {
    transports = cluster(2);
    const [a, b] = transports as [Transport, Transport];
    const payload = randomBytes(100_000);
    const expected = sha256(payload);
    a.writeLane(payload);
    payload.fill(0);
    const inbox = new Inbox();
    exchangeUntil([a, new Inbox()], [b, inbox], 1000, () => inbox.lanes.length > 0, 'payload');
    expect(Buffer.from(inbox.lanes[0]?.sha256 ?? [])).to.deep.equal(expected);
  });

  it('skip a peer that does not drain, and nobody else', () => {
    transports = cluster(3, {
      payloadBytesMax: 8 * 1024,
      laneOutQueueBytesMax: 64 * 1024,
      controlOutQueueBytesMax: 64 * 1024,
    });
    const [a, b, c] = transports as [Transport, Transport, Transport];
    const inbox = new Inbox();
    const skipped: number[] = [];
    const sent: Buffer[] = [];
    for (let i = 0; i < 100; i++) {
      const payload = Buffer.alloc(4000, i);
      const outcomes = a.writeLane(payload);
      expect(outcomes[1]).to.equal('queued');
      if (outcomes[2] === 'skipped') skipped.push(i);
      sent.push(payload);
      b.poll(ALL, inbox);
      a.poll(ALL, new Inbox());
      expect(a.counters(2).outQueueBytes).to.be.lessThanOrEqual(64 * 1024);
    }
    const hasAll = (): boolean => inbox.lanes.length === sent.length;
    exchangeUntil([a, new Inbox()], [b, inbox], 0, hasAll, 'payloads of the peer that drains');
    expect(inbox.lanes.map(({ payload }) => payload[0])).to.deep.equal(sent.map((p) => p[0]));
    expect(skipped.length).to.be.greaterThan(70);
    expect(a.counters(2).payloadsSkipped).to.equal(skipped.length);
    // It wakes up: what was queued arrives whole and in order, what was skipped does not.
    const late = new Inbox();
    const hasRest = (): boolean => late.lanes.length === sent.length - skipped.length;
    exchangeUntil([a, new Inbox()], [c, late], 1000, hasRest, 'rest of the queue');
    const kept = sent.map((p) => p[0]).filter((i) => !skipped.includes(i as number));
    expect(late.lanes.map(({ payload }) => payload[0])).to.deep.equal(kept);
    expect(late.faults).to.deep.equal([]);
    expect(a.writeLane(Buffer.from('again'))[2]).to.equal('queued');
  });

  it('bound the work of one poll and leave the rest to the next', () => {
    transports = cluster(3, { laneRingBytes: 1 << 20, pollBytesMax: 64 * 1024 });
    const [a, b, c] = transports as [Transport, Transport, Transport];
    for (let i = 0; i < 50; i++) {
      a.writeLane(Buffer.alloc(8000, i));
      b.writeLane(Buffer.alloc(8000, i));
    }
    const inbox = new Inbox();
    const first = pollFor(c, inbox, 8);
    expect(first).to.be.lessThan(12);
    expect(
      new Set(inbox.lanes.map(({ peer }) => peer)),
      'both peers have their share',
    ).to.deep.equal(new Set([0, 1]));
    expect(c.wait(1_000_000)).to.equal(true);
    const hasAll = (): boolean => inbox.lanes.length === 100;
    exchangeUntil([a, new Inbox()], [c, inbox], 20, hasAll, 'payloads of both peers');
    expect(c.wait(0)).to.equal(false);
  });

  it('carry any sequence of payloads in both directions (property)', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            bytes: fc.oneof(fc.nat(300), fc.integer({ min: 3000, max: 60_000 })),
            from: fc.nat(1),
            lane: fc.boolean(),
            pollAfter: fc.boolean(),
          }),
          { maxLength: 40 },
        ),
        (steps) => {
          const pair = cluster(2) as [Transport, Transport];
          const inboxes = [new Inbox(), new Inbox()] as const;
          const expected = { lanes: [[], []] as string[][], messages: [[], []] as string[][] };
          const both = () => pair.map((end, i) => end.poll(ALL, inboxes[i] as Inbox));
          for (const [i, { bytes, from, lane, pollAfter }] of steps.entries()) {
            const payload = Buffer.alloc(bytes, i + 1);
            const writer = pair[from] as Transport;
            const outcome = lane
              ? writer.writeLane(payload)[1 - from]
              : writer.send(1 - from, payload);
            expect(outcome).to.equal('queued');
            (lane ? expected.lanes : expected.messages)[1 - from]?.push(
              sha256(payload).toString('hex'),
            );
            if (pollAfter) both();
          }
          const areThere = (): boolean =>
            inboxes.every(
              ({ lanes, messages }, i) =>
                lanes.length === expected.lanes[i]?.length &&
                messages.length === expected.messages[i]?.length,
            );
          exchangeUntil(
            [pair[0], inboxes[0]],
            [pair[1], inboxes[1]],
            500,
            areThere,
            'all payloads',
          );
          both();
          for (const [i, inbox] of inboxes.entries()) {
            const hex = ({ payload }: { payload: Uint8Array }) => sha256(payload).toString('hex');
            expect(inbox.lanes.map(hex)).to.deep.equal(expected.lanes[i]);
            expect(inbox.messages.map(hex)).to.deep.equal(expected.messages[i]);
            expect(inbox.faults).to.deep.equal([]);
          }
          for (const end of pair) end.destroy();
        },
      ),
      { numRuns: IN_GUEST ? 15 : 60 },
    );
  });
});
