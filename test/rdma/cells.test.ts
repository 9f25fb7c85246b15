import { expect } from 'chai';
import fc from 'fast-check';
import { type CellKind, cellBodyBytes, type Transport } from '../../rdma/index.ts';
import {
  ALL,
  cluster,
  connect,
  describeProviders,
  Inbox,
  open,
  pollFor,
  pollUntil,
  SMALL,
} from './support/pair.ts';

function vote(slot: number, view: number, fill: number) {
  return { kind: 'vote', slot, view, flags: 0, body: Buffer.alloc(24, fill) } as const;
}

describeProviders('cells', () => {
  let transports: Transport[] = [];

  beforeEach(() => {
    transports = cluster(3);
  });
  afterEach(() => {
    for (const transport of transports) transport.destroy();
  });

  it('arrive at every peer, with what the writer put in', () => {
    const [a, b, c] = transports as [Transport, Transport, Transport];
    const kinds: CellKind[] = ['proposal', 'vote', 'commit', 'progress'];
    for (const [i, kind] of kinds.entries()) {
      const body = Buffer.alloc(cellBodyBytes(kind, 3), i + 1);
      a.writeCell({ kind, slot: 5, view: 70_000 + i, flags: i, body });
    }
    for (const reader of [b, c]) {
      const inbox = new Inbox();
      expect(pollFor(reader, inbox, 4)).to.equal(4);
      expect(inbox.cells.map((cell) => cell.kind)).to.deep.equal(kinds);
      for (const [i, cell] of inbox.cells.entries()) {
        expect(cell).to.deep.equal({
          peer: 0,
          kind: kinds[i],
          slot: 5,
          view: 70_000 + i,
          flags: i,
          body: Buffer.alloc(cellBodyBytes(kinds[i] as CellKind, 3), i + 1),
        });
      }
      expect(inbox.faults).to.deep.equal([]);
    }
    expect(a.counters(1).cellsWritten).to.equal(4);
    expect(b.counters(0).cellsRead).to.equal(4);
  });

  it('are handed up once each, and again when their content changes', () => {
    const [a, b] = transports as [Transport, Transport, Transport];
    const inbox = new Inbox();
    a.writeCell(vote(2, 0, 1));
    expect(pollFor(b, inbox, 1)).to.equal(1);
    expect(b.poll(ALL, inbox)).to.equal(0);
    a.writeCell(vote(2, 0, 1));
    expect(b.poll(ALL, inbox), 'the same bytes again').to.equal(0);
    a.writeCell(vote(2, 0, 2));
    expect(pollFor(b, inbox, 1), 'another body').to.equal(1);
    a.writeCell(vote(2, 1, 2));
    expect(pollFor(b, inbox, 1), 'another view').to.equal(1);
    a.writeCell(vote(2, 0, 3));
    expect(b.poll(ALL, inbox), 'an older view').to.equal(0);
  });

  it('pad short bodies with zeros', () => {
    const [a, b] = transports as [Transport, Transport, Transport];
    a.writeCell(vote(1, 0, 0xff));
    pollFor(b, new Inbox(), 1);
    a.writeCell({ kind: 'vote', slot: 1, view: 1, flags: 0, body: Uint8Array.of(7) });
    const inbox = new Inbox();
    pollFor(b, inbox, 1);
    expect(inbox.cells[0]?.body).to.deep.equal(Buffer.concat([Buffer.of(7), Buffer.alloc(23)]));
  });

  it('outside of the interest wait until the interest covers them', () => {
    const [a, b] = transports as [Transport, Transport, Transport];
    for (let slot = 0; slot < SMALL.windowSlots; slot++) a.writeCell(vote(slot, 0, slot));
    const inbox = new Inbox();
    pollFor(b, inbox, 2, { fromSlot: 2, toSlot: 3 });
    expect(inbox.cells.map((cell) => cell.slot)).to.deep.equal([2, 3]);
    pollFor(b, inbox, 4, { fromSlot: 6, toSlot: 9 });
    expect(inbox.cells.map((cell) => cell.slot)).to.deep.equal([2, 3, 0, 1, 6, 7]);
    b.poll({ fromSlot: 5, toSlot: 4 }, inbox);
    expect(inbox.cells).to.have.length(6);
    pollFor(b, inbox, 2, { fromSlot: 4, toSlot: 1000 });
    expect(inbox.cells.map((cell) => cell.slot)).to.deep.equal([2, 3, 0, 1, 6, 7, 4, 5]);
  });

  it('of a newer slot are handed up at once and again when the interest reaches them', () => {
    const [a, b] = transports as [Transport, Transport, Transport];
    const ahead = 3 + 2 * SMALL.windowSlots;
    a.writeCell(vote(ahead, 0, 1));
    const inbox = new Inbox();
    pollFor(b, inbox, 1);
    b.poll(ALL, inbox);
    expect(inbox.cells.map((cell) => cell.slot)).to.deep.equal([ahead]);
    b.poll({ fromSlot: ahead, toSlot: ahead + 1 }, inbox);
    b.poll({ fromSlot: ahead, toSlot: ahead + 2 }, inbox);
    expect(inbox.cells.map((cell) => cell.slot)).to.deep.equal([ahead, ahead]);
    a.writeCell(vote(3, 0, 1));
    expect(b.poll(ALL, inbox), 'an older slot').to.equal(0);
  });

  it('are all found by a reader that comes late', () => {
    const [a, b] = transports as [Transport, Transport, Transport];
    const inbox = new Inbox();
    b.poll(ALL, inbox);
    for (let round = 0; round < 100; round++) {
      for (let slot = 0; slot < SMALL.windowSlots; slot++) a.writeCell(vote(slot, round, slot));
    }
    // A device takes so many at a time: the writer has to look, too.
    const isNewest = (slot: number): boolean =>
      inbox.cells.findLast((cell) => cell.slot === slot)?.view === 99;
    const slots = Array.from({ length: SMALL.windowSlots }, (_, slot) => slot);
    const areNewest = (): boolean => {
      a.poll(ALL, new Inbox());
      return slots.every(isNewest);
    };
    pollUntil(b, inbox, areNewest, 'newest cells');
    expect(inbox.faults).to.eql([]);
  });

  it('are written again to a peer that connects anew', () => {
    const [a, b, c] = transports as [Transport, Transport, Transport];
    a.writeCell(vote(1, 4, 1));
    a.writeCell({ kind: 'progress', slot: 9, view: 0, flags: 0, body: Buffer.alloc(8, 3) });
    a.close(1);
    b.close(0);
    expect(a.sessionState(1)).to.equal('closed');
    a.writeCell(vote(2, 4, 1));
    connect(a, b);
    expect(a.sessionState(1)).to.equal('open');
    a.rewriteCells(1);
    const inbox = new Inbox();
    pollFor(b, inbox, 3);
    expect(inbox.cells.map(({ kind, slot }) => `${kind} ${slot}`)).to.deep.equal([
      'vote 1',
      'vote 2',
      'progress 9',
    ]);
    const other = new Inbox();
    pollFor(c, other, 3);
    expect(other.cells).to.have.length(3);
  });

  it('carry any slot, view, flags and body (property)', () => {
    const [a, b] = transports as [Transport, Transport, Transport];
    let slot = 0;
    fc.assert(
      fc.property(
        fc.nat(1_000_000_000),
        fc.nat(0xffffffff),
        fc.nat(255),
        fc.uint8Array({ maxLength: 24 }),
        (step, view, flags, body) => {
          slot += step + 1;
          a.writeCell({ kind: 'commit', slot, view, flags, body });
          const inbox = new Inbox();
          pollFor(b, inbox, 1, { fromSlot: slot, toSlot: slot });
          const expected = Buffer.alloc(24);
          expected.set(body);
          expect(inbox.cells).to.deep.equal([
            { peer: 0, kind: 'commit', slot, view, flags, body: expected },
          ]);
        },
      ),
    );
  });

  it('reach peers with the largest slot that JavaScript counts exactly', () => {
    const [a, b] = transports as [Transport, Transport, Transport];
    a.writeCell(vote(Number.MAX_SAFE_INTEGER, 0, 1));
    const inbox = new Inbox();
    const slot = Number.MAX_SAFE_INTEGER;
    pollFor(b, inbox, 1, { fromSlot: slot, toSlot: slot });
    expect(inbox.cells[0]?.slot).to.equal(Number.MAX_SAFE_INTEGER);
  });

  it('do not cross from one cluster to another', () => {
    const loner = open(0, 2);
    loner.writeCell(vote(0, 0, 0));
    expect(loner.poll(ALL, new Inbox())).to.equal(0);
    loner.destroy();
  });
});
