import { expect } from 'chai';
import fc from 'fast-check';
import type { Transport, TransportFault } from '../../rdma/index.ts';
import { LAYOUT } from '../../rdma/layout.ts';
import { ByzantinePeer, type ForgedCell, type ForgedFrame } from './support/byzantine.ts';
import { ALL, connect, Inbox, open, pollUntil, SMALL } from './support/pair.ts';

const RING_BYTES = SMALL.laneRingBytes;
const FRAGMENT_BYTES_MAX = RING_BYTES / LAYOUT.FRAGMENTS_PER_RING;

/**
 * Replica 0 reads; replica 1 is correct and also has an evil twin at its region; replica 2 is
 * correct.
 */
class Stage {
  readonly reader = open(0, 3, { payloadBytesMax: 64 * 1024 });
  readonly writer = open(1, 3, { payloadBytesMax: 64 * 1024 });
  readonly other = open(2, 3, { payloadBytesMax: 64 * 1024 });
  readonly inbox = new Inbox();
  readonly evil: ByzantinePeer;
  readonly spy: ByzantinePeer;

  constructor() {
    const twins: ByzantinePeer[] = [];
    for (const peer of [this.writer, this.other]) {
      connect(this.reader, peer, ({ intoA, pairSecret }) =>
        twins.push(new ByzantinePeer(intoA, pairSecret, peer.self, 0, 3)),
      );
    }
    [this.evil, this.spy] = twins as [ByzantinePeer, ByzantinePeer];
  }

  poll(): Inbox {
    this.reader.poll(ALL, this.inbox);
    return this.inbox;
  }

  faults(): TransportFault[] {
    return this.inbox.faults.map(({ peer, fault }) => {
      expect(peer, 'the fault names the culprit').to.equal(1);
      return fault;
    });
  }

  /** Everything between the reader and the correct peer still works. */
  expectOtherPeerUnharmed(): void {
    const inbox = new Inbox();
    const slot = 7;
    this.other.writeCell(vote(slot, 0xabcdef, 9));
    expect(this.other.writeLane(Buffer.from('lane'))[0]).to.equal('queued');
    expect(this.other.send(0, Buffer.from('message'))).to.equal('queued');
    this.reader.poll(ALL, inbox);
    expect(inbox.cells.filter(({ peer }) => peer === 2)).to.have.length(1);
    expect(inbox.lanes.filter(({ peer }) => peer === 2)).to.have.length(1);
    expect(inbox.messages.filter(({ peer }) => peer === 2)).to.have.length(1);
  }

  destroy(): void {
    this.evil.close();
    this.spy.close();
    for (const transport of [this.reader, this.writer, this.other]) transport.destroy();
  }
}

function vote(slot: number, view: number, fill: number) {
  return { kind: 'vote', slot, view, flags: 0, body: Buffer.alloc(24, fill) } as const;
}

describe('attacks on cells', () => {
  let stage: Stage;
  beforeEach(() => {
    stage = new Stage();
  });
  afterEach(() => {
    stage.destroy();
  });

  const VOTE = LAYOUT.KIND_VOTE;

  it('our second implementation of the layout is understood', () => {
    stage.evil.writeCell({ kind: VOTE, slot: 3n, view: 4, body: Buffer.alloc(24, 5) });
    expect(stage.poll().cells).to.have.length(1);
    expect(stage.inbox.cells[0]).to.include({ peer: 1, kind: 'vote', slot: 3, view: 4 });
    stage.writer.writeCell(vote(3, 4, 5));
    const place = stage.evil.cellOffset(VOTE, 3);
    expect(stage.evil.read(place, 64)).to.deep.equal(
      stage.evil.sealCell({ kind: VOTE, slot: 3n, view: 4, body: Buffer.alloc(24, 5) }),
    );
  });

  it('a changed bit anywhere in a cell: never handed up, one fault, healed by the next write', () => {
    const place = stage.evil.cellOffset(VOTE, 2);
    stage.writer.writeCell(vote(2, 0, 1));
    const genuine = stage.evil.read(place, 64);
    for (let bit = 0; bit < 512; bit++) {
      const bytes = Buffer.from(genuine);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      stage.evil.write(place, bytes);
      stage.evil.ring();
      expect(stage.poll().cells, `bit ${bit}`).to.have.length(0);
    }
    const start = performance.now();
    pollUntil(stage.reader, stage.inbox, () => stage.inbox.faults.length > 0, 'fault');
    expect(performance.now() - start, 'its writer may be slow').to.be.greaterThan(40);
    for (let i = 0; i < 100; i++) {
      stage.evil.ring();
      stage.poll();
    }
    expect(stage.faults()).to.deep.equal([{ kind: 'bad-cell', cell: 'vote', index: 2 }]);
    expect(stage.reader.counters(1).badCells).to.equal(1);
    stage.writer.writeCell(vote(2, 0, 1));
    expect(stage.poll().cells).to.have.length(1);
    stage.expectOtherPeerUnharmed();
  });

  it('a torn cell is not handed up, and is no fault once it is whole', () => {
    stage.writer.writeCell(vote(2, 0, 1));
    stage.poll();
    const whole = stage.evil.sealCell({ kind: VOTE, slot: 10n, body: Buffer.alloc(24, 9) });
    const place = stage.evil.cellOffset(VOTE, 2);
    for (const cut of [8, 16, 40, 56]) {
      stage.evil.write(place, whole.subarray(0, cut));
      stage.evil.ring();
      expect(stage.poll().cells).to.have.length(1);
    }
    stage.evil.write(place, whole);
    // No doorbell: the reader looks again by itself at what did not check.
    expect(stage.reader.wait(10_000_000)).to.equal(true);
    expect(stage.poll().cells).to.have.length(2);
    expect(stage.faults()).to.deep.equal([]);
  });

  const wrong: [string, ForgedCell, number][] = [
    ['another slot than its place', { kind: VOTE, slot: 5n }, 4],
    ['another epoch', { kind: VOTE, slot: 4n, epoch: 2 }, 4],
    ['another incarnation', { kind: VOTE, slot: 4n, incarnation: 999n }, 4],
    ['a slot that JavaScript cannot count', { kind: VOTE, slot: 4n + (1n << 60n) }, 4],
  ];
  for (const [what, cell, index] of wrong) {
    it(`a sealed cell of ${what} is refused`, () => {
      stage.evil.write(stage.evil.cellOffset(VOTE, index), stage.evil.sealCell(cell));
      stage.evil.ring();
      pollUntil(stage.reader, stage.inbox, () => stage.inbox.faults.length > 0, 'fault');
      expect(stage.faults()).to.deep.equal([{ kind: 'bad-cell', cell: 'vote', index }]);
      expect(stage.inbox.cells).to.deep.equal([]);
    });
  }

  it('a sealed cell of another kind, a progress cell of an unknown kind are refused', () => {
    const commit = stage.evil.sealCell({ kind: LAYOUT.KIND_COMMIT, slot: 4n });
    stage.evil.write(stage.evil.cellOffset(VOTE, 4), commit);
    stage.evil.write(stage.evil.cellOffset(4, 0), stage.evil.sealCell({ kind: 6, slot: 4n }));
    stage.evil.ring();
    pollUntil(stage.reader, stage.inbox, () => stage.inbox.faults.length > 1, 'faults');
    expect(stage.faults()).to.deep.equal([
      { kind: 'bad-cell', cell: 'vote', index: 4 },
      { kind: 'bad-cell', cell: 'progress', index: 0 },
    ]);
    expect(stage.inbox.cells).to.deep.equal([]);
  });

  it("a correct peer's cell replayed in another peer's region is refused", () => {
    stage.other.writeCell(vote(1, 0, 1));
    const place = stage.spy.cellOffset(VOTE, 1);
    stage.evil.write(place, stage.spy.read(place, 64));
    stage.evil.ring();
    pollUntil(stage.reader, stage.inbox, () => stage.inbox.faults.length > 0, 'fault');
    expect(stage.inbox.cells.map(({ peer }) => peer)).to.deep.equal([2]);
    expect(stage.faults()).to.have.length(1);
  });

  it('a cell of an earlier session of the same two processes is refused', () => {
    stage.writer.writeCell(vote(1, 0, 1));
    const place = stage.evil.cellOffset(VOTE, 1);
    const old = stage.evil.read(place, 64);
    stage.reader.close(1);
    stage.writer.close(0);
    let again: ByzantinePeer | undefined;
    connect(stage.reader, stage.writer, ({ intoA, pairSecret }) => {
      again = new ByzantinePeer(intoA, pairSecret, 1, 0, 3);
    });
    again?.write(place, old);
    again?.ring();
    pollUntil(stage.reader, stage.inbox, () => stage.inbox.faults.length > 0, 'fault');
    expect(stage.inbox.cells).to.deep.equal([]);
    again?.close();
  });

  it('false hints and doorbells hide nothing of others and break nothing', () => {
    for (const doorbell of [0xffffffff, 0x80000000, 1, 0]) {
      const word = Buffer.alloc(4);
      word.writeUInt32LE(doorbell);
      stage.evil.write(LAYOUT.HEADER_HINTS, Buffer.alloc(4 * LAYOUT.HINTS, doorbell & 0xff));
      stage.evil.write(LAYOUT.HEADER_DOORBELL, word);
      stage.poll();
    }
    stage.expectOtherPeerUnharmed();
    expect(stage.inbox.faults).to.deep.equal([]);
  });

  it('any bytes anywhere in the region hand up nothing that was not written (property)', () => {
    const size = stage.evil.layout.regionBytes;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(size - 1), fc.uint8Array({ minLength: 1, maxLength: 200 })), {
          maxLength: 30,
        }),
        (writes) => {
          for (const [offset, bytes] of writes) {
            stage.evil.write(offset, bytes.subarray(0, size - offset));
            stage.evil.ring();
            stage.poll();
          }
          expect(stage.inbox.cells.filter(({ peer }) => peer === 1)).to.deep.equal([]);
          expect(stage.inbox.lanes.concat(stage.inbox.messages as never)).to.deep.equal([]);
        },
      ),
    );
    stage.expectOtherPeerUnharmed();
  });
});

describe('attacks on rings', () => {
  let stage: Stage;
  beforeEach(() => {
    stage = new Stage();
  });
  afterEach(() => {
    stage.destroy();
  });

  function publish(ring: 'lane' | 'control', frames: ForgedFrame[], tail?: bigint): void {
    let position = 0;
    for (const frame of frames) position = stage.evil.writeFrame(ring, position, frame);
    stage.evil.publishTail(ring, tail ?? BigInt(position));
    for (let i = 0; i < 5; i++) stage.poll();
  }

  it('our second implementation of frames is understood, fragments too', () => {
    const large = Buffer.alloc(FRAGMENT_BYTES_MAX + 100, 7);
    publish('lane', [
      { payload: Buffer.from('one') },
      { payload: large.subarray(0, FRAGMENT_BYTES_MAX), total: large.length, sequence: 1n },
      { payload: large.subarray(FRAGMENT_BYTES_MAX), total: large.length, sequence: 2n },
    ]);
    expect(stage.inbox.lanes.map(({ payload }) => payload.length)).to.deep.equal([3, large.length]);
  });

  const small = Buffer.alloc(100, 1);
  const full = Buffer.alloc(FRAGMENT_BYTES_MAX, 2);
  const attacks: [string, string, ForgedFrame[], bigint?][] = [
    ['a length beyond the tail', 'length', [{ payload: small, length: 200, total: 200 }]],
    [
      'a length beyond a fragment',
      'length',
      [{ payload: small, length: FRAGMENT_BYTES_MAX + 1, total: 60_000 }],
      BigInt(RING_BYTES),
    ],
    ['the largest length', 'length', [{ payload: small, length: 0xffffffff, total: 0xffffffff }]],
    ['a total beyond the limit', 'length', [{ payload: full, total: 64 * 1024 + 1 }]],
    ['a total below the length', 'length', [{ payload: small, total: 99 }]],
    ['a tail beyond the ring', 'length', [{ payload: small }], BigInt(RING_BYTES) + 64n],
    ['a tail before the head', 'length', [{ payload: small }], -64n],
    ['a tail between frames', 'length', [{ payload: small }], 65n],
    ['half a header', 'length', [{ payload: small }], 64n],
    ['a later sequence', 'sequence', [{ payload: small, sequence: 1n }]],
    ['a repeated sequence', 'sequence', [{ payload: small }, { payload: small }]],
    ['another MAC', 'mac', [{ payload: small, mac: Buffer.alloc(16, 1) }]],
    ['a hash of something else', 'mac', [{ payload: small, hash: Buffer.alloc(32, 1) }]],
    ['a first fragment that is short', 'fragment', [{ payload: small, total: 10_000 }]],
    ['an empty fragment', 'fragment', [{ payload: Buffer.alloc(0), total: 10 }]],
    [
      'a second fragment of another total',
      'fragment',
      [
        { payload: full, total: full.length + 100 },
        { payload: small, total: full.length + 101, sequence: 1n },
      ],
    ],
    [
      'a second fragment that makes the payload longer',
      'fragment',
      [
        { payload: full, total: 3 * full.length },
        { payload: full, total: 3 * full.length + 1, sequence: 1n },
      ],
    ],
    [
      'a whole payload amid fragments',
      'fragment',
      [
        { payload: full, total: full.length + 100 },
        { payload: small, sequence: 1n },
      ],
    ],
  ];
  for (const ring of ['lane', 'control'] as const) {
    for (const [what, reason, frames, tail] of attacks) {
      it(`${what} ends the ${ring} ring with one fault '${reason}', and nothing else`, () => {
        publish(ring, frames, tail);
        expect(stage.faults()).to.deep.equal([{ kind: 'bad-frame', ring, reason }]);
        const before = stage.inbox.lanes.length + stage.inbox.messages.length;
        publish(ring, [{ payload: small }]);
        expect(stage.faults(), 'reported once').to.have.length(1);
        expect(stage.inbox.lanes.length + stage.inbox.messages.length).to.equal(before);
        expect(stage.reader.counters(1).badFrames).to.equal(1);
        stage.writer.writeCell(vote(1, 0, 1));
        expect(stage.poll().cells, 'cells of that peer go on').to.have.length(1);
        stage.expectOtherPeerUnharmed();
      });
    }
  }

  it('a frame of one ring is refused in the other', () => {
    stage.writer.writeLane(small);
    const frame = stage.evil.read(stage.evil.layout.laneRingOffset, 192);
    stage.evil.write(stage.evil.layout.controlRingOffset, frame);
    stage.evil.publishTail('control', 192n);
    stage.poll();
    expect(stage.inbox.lanes).to.have.length(1);
    expect(stage.faults()).to.deep.equal([{ kind: 'bad-frame', ring: 'control', reason: 'mac' }]);
  });

  it('a payload that changes after it was handed up changes nothing', () => {
    stage.writer.writeLane(small);
    const { payload } = stage.poll().lanes[0] ?? { payload: Buffer.alloc(0) };
    stage.evil.write(stage.evil.layout.laneRingOffset, Buffer.alloc(192, 0xee));
    expect(Buffer.from(payload)).to.deep.equal(small);
  });

  it('false heads are faults, are ignored and give no credits', () => {
    const send = () => stage.reader.send(1, Buffer.alloc(1000));
    for (let i = 0; i < 10; i++) send();
    const progress = (lane: bigint, control: bigint) =>
      stage.evil.writeCell({ kind: LAYOUT.KIND_PROGRESS, slot: 1n, heads: [lane, control] }, 0);
    const head = (ring: 'lane' | 'control') => ({ kind: 'bad-frame', ring, reason: 'head' });
    progress(1n, 0n);
    stage.poll();
    expect(stage.faults()).to.deep.equal([head('lane')]);
    progress(0n, 1n << 63n);
    stage.poll();
    expect(stage.faults()).to.deep.equal([head('lane'), head('control')]);
    const inbox = new Inbox();
    stage.writer.poll(ALL, inbox);
    stage.poll();
    progress(0n, 64n);
    stage.poll();
    expect(stage.faults().slice(2)).to.deep.equal([head('control')]);
    // The writer has not been tricked: what it sends arrives unbroken.
    for (let i = 0; i < 30; i++) send();
    for (let i = 0; i < 100; i++) {
      stage.writer.poll(ALL, inbox);
      stage.evil.ring(); // the twins count doorbells apart
      stage.poll();
    }
    expect(inbox.faults).to.deep.equal([]);
    expect(inbox.messages).to.have.length(40);
    expect(stage.reader.counters(1).badFrames).to.equal(3);
  });

  it('any tails, frames and progress cells of a peer with the keys only hurt itself (property)', () => {
    const bits = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    const near = fc.bigInt({ min: 0n, max: 40_000n });
    const step = fc.oneof(
      fc.record({ tail: fc.oneof(bits, near) }),
      fc.record({ heads: fc.tuple(fc.oneof(bits, near), fc.oneof(bits, near)) }),
      fc.record({
        at: fc.nat(RING_BYTES / 64 - 4).map((line) => line * 64),
        length: fc.oneof(fc.nat(0xffffffff), fc.nat(128)),
        total: fc.oneof(fc.nat(0xffffffff), fc.nat(128)),
        sequence: fc.bigInt({ min: 0n, max: 3n }),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const own = new Stage();
        const transports: Transport[] = [own.reader];
        try {
          for (const s of steps) {
            if ('tail' in s) own.evil.publishTail('lane', s.tail);
            else if ('heads' in s) {
              own.evil.writeCell({ kind: LAYOUT.KIND_PROGRESS, slot: 1n, heads: s.heads }, 0);
            } else {
              own.evil.writeFrame('lane', s.at, { payload: Buffer.alloc(128), ...s });
            }
            own.reader.writeLane(Buffer.alloc(500));
            for (const transport of transports) transport.poll(ALL, own.inbox);
          }
          expect(own.inbox.messages).to.deep.equal([]);
          own.expectOtherPeerUnharmed();
        } finally {
          own.destroy();
        }
      }),
      { numRuns: 100 },
    );
  });
});
