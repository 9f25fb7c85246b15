import { expect } from 'chai';
import fc from 'fast-check';
import { openTcpTransport, type Transport, type WriteShipping } from '../../rdma/index.ts';
import { ALL, connect, Inbox, SMALL } from './support/pair.ts';
import { parcels } from './support/shipped.ts';

const CELL = 1;
const RING = 2;

function cellHead(ordinal: number): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt8(CELL, 0);
  head.writeUInt32LE(ordinal, 4);
  return head;
}

function ringHead(ring: number, length: number, position: bigint): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt8(RING, 0);
  head.writeUInt8(ring, 1);
  head.writeUInt8(1, 2);
  head.writeUInt32LE(length, 4);
  head.writeBigUInt64LE(position, 8);
  return head;
}

function vote(view: number) {
  return { kind: 'vote', slot: 3, view, flags: 0, body: Buffer.alloc(24, view) } as const;
}

describe('writes that travel as frames', () => {
  let a: Transport;
  let b: Transport;
  const shippingOf = (transport: Transport): WriteShipping => transport.shipping as WriteShipping;
  const open = (self: number): Transport => openTcpTransport({ ...SMALL, self, replicas: 2 });
  const carry = (from: Transport, to: Transport): number => {
    let count = 0;
    for (const parcel of parcels(from, to.self)) {
      expect(shippingOf(to).apply(from.self, parcel)).to.equal(undefined);
      count++;
    }
    return count;
  };
  const seen = (transport: Transport): Inbox => {
    const inbox = new Inbox();
    transport.poll(ALL, inbox);
    return inbox;
  };

  beforeEach(() => {
    a = open(0);
    b = open(1);
    connect(a, b);
  });
  afterEach(() => {
    a.destroy();
    b.destroy();
  });

  it('arrive when they are carried, and not before', () => {
    a.writeCell(vote(1));
    a.writeLane(Buffer.from('batch'));
    expect(seen(b).cells).to.have.length(0);
    carry(a, b);
    const { cells, lanes, faults } = seen(b);
    expect([cells.length, lanes.length, faults.length]).to.eql([1, 1, 0]);
    expect(carry(a, b)).to.equal(0);
  });

  it('of one cell are shipped once, with what was written last', () => {
    for (let view = 1; view <= 100; view++) a.writeCell(vote(view));
    let bytes = 0;
    for (const parcel of parcels(a, 1)) {
      bytes += parcel.length;
      shippingOf(b).apply(0, parcel);
    }
    expect(bytes).to.equal(8 + 64);
    expect(seen(b).cells.map(({ view }) => view)).to.eql([100]);
  });

  it('keep a ring whole that is longer than one parcel', () => {
    const large = { laneRingBytes: 4 << 20, payloadBytesMax: 8 << 20 };
    const c = openTcpTransport({ ...SMALL, ...large, self: 0, replicas: 2 });
    const d = openTcpTransport({ ...SMALL, ...large, self: 1, replicas: 2 });
    connect(c, d);
    const payload = Buffer.alloc(3 << 20, 7);
    c.writeLane(payload);
    const first = shippingOf(c).take(1) as Uint8Array;
    shippingOf(d).apply(0, first);
    expect(seen(d)).to.deep.include({ lanes: [], faults: [] });
    expect(carry(c, d)).to.be.at.least(2);
    const { lanes } = seen(d);
    expect(lanes.map((lane) => Buffer.compare(lane.payload, payload))).to.eql([0]);
    c.destroy();
    d.destroy();
  });

  it('of a session that is over go nowhere', () => {
    a.writeCell(vote(1));
    const late = [...parcels(a, 1)];
    b.close(0);
    for (const parcel of late) expect(shippingOf(b).apply(0, parcel)).to.equal(undefined);
    a.close(1);
    connect(a, b);
    expect(seen(b).cells).to.eql([]);
    // In the new session it is nobody's cell.
    for (const parcel of late) shippingOf(b).apply(0, parcel);
    expect(seen(b).cells).to.eql([]);
  });

  it('that lie are refused, and touch nothing', () => {
    const ringBytes = SMALL.laneRingBytes;
    const cases: [string, Buffer][] = [
      ['is cut off', Buffer.from([CELL, 0, 0])],
      ['unknown kind', Buffer.alloc(64)],
      ['beyond the cells', Buffer.concat([cellHead(3 * 8 + 1), Buffer.alloc(4096)])],
      ['beyond the cells', Buffer.concat([cellHead(0xffffffff), Buffer.alloc(64)])],
      ['cell is cut off', Buffer.concat([cellHead(0), Buffer.alloc(8)])],
      ['unknown ring', Buffer.concat([ringHead(2, 64, 0n), Buffer.alloc(64)])],
      ['longer than its ring', Buffer.concat([ringHead(0, 0, 0n), Buffer.alloc(64)])],
      ['longer than its ring', ringHead(0, ringBytes + 64, 0n)],
      ['longer than its ring', ringHead(1, 0xffffffff, 0n)],
      ['not continue', Buffer.concat([ringHead(0, 64, 64n), Buffer.alloc(64)])],
      ['not continue', Buffer.concat([ringHead(0, 64, 2n ** 64n - 64n), Buffer.alloc(64)])],
      ['bytes are cut off', Buffer.concat([ringHead(0, 128, 0n), Buffer.alloc(64)])],
    ];
    for (const [reason, frames] of cases) {
      expect(shippingOf(b).apply(0, frames), reason).to.contain(reason);
      expect(seen(b), reason).to.deep.include({ cells: [], lanes: [], messages: [], faults: [] });
    }
    a.writeCell(vote(2));
    carry(a, b);
    expect(seen(b).cells).to.have.length(1);
  });

  it('that are made up are not taken for cells or frames', () => {
    const forged = Buffer.concat([cellHead(8 + 3), Buffer.alloc(64, 9)]);
    expect(shippingOf(b).apply(0, forged)).to.equal(undefined);
    expect(seen(b).cells).to.eql([]);
    const frame = Buffer.concat([ringHead(0, 128, 0n), Buffer.alloc(128, 9)]);
    expect(shippingOf(b).apply(0, frame)).to.equal(undefined);
    expect(seen(b).faults.map(({ fault }) => fault.kind)).to.eql(['bad-frame']);
  });

  it('may be any bytes (property)', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(fc.nat(40), fc.nat(255)).map(([ordinal, fill]) => {
        return new Uint8Array(Buffer.concat([cellHead(ordinal), Buffer.alloc(64, fill)]));
      }),
      fc.tuple(fc.nat(3), fc.nat(20_000), fc.nat(40_000)).map(([ring, length, position]) => {
        const head = ringHead(ring, length, BigInt(position));
        return new Uint8Array(Buffer.concat([head, Buffer.alloc(Math.min(length, 20_000))]));
      }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        shippingOf(b).apply(0, Buffer.concat(pieces));
        const { cells, lanes, messages } = seen(b);
        expect([cells.length, lanes.length, messages.length]).to.eql([0, 0, 0]);
      }),
      { numRuns: 300 },
    );
  });
});
