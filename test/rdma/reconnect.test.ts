/** Sessions that end and begin anew, for each provider. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { Transport } from '../../rdma/index.ts';
import { IN_GUEST, patience } from '../support/slow.ts';
import {
  ALL,
  cluster,
  connect,
  describeProviders,
  Inbox,
  open,
  pollUntil,
} from './support/pair.ts';

/** A session takes a tenth of a second in the guest. */
const ROUNDS = IN_GUEST ? 100 : 1_000;
/** What the runtime itself may come to hold meanwhile; a leak of one thing a session is twice as much. */
const FEW = ROUNDS / 2;

function held(): { files: number; mappings: number } {
  const maps = readFileSync('/proc/self/maps', 'utf8');
  return { files: readdirSync('/proc/self/fd').length, mappings: maps.split('\n').length };
}

function vote(view: number) {
  return { kind: 'vote', slot: 1, view, flags: 0, body: Buffer.alloc(24, view) } as const;
}

describeProviders('sessions', () => {
  let transports: Transport[] = [];

  afterEach(() => {
    for (const transport of transports) transport.destroy();
    transports = [];
  });

  it('may be opened and closed again and again, and hold nothing afterwards', function () {
    this.timeout(patience(30_000));
    transports = [open(0, 2), open(1, 2)];
    const [a, b] = transports as [Transport, Transport];
    connect(a, b);
    const before = held();
    for (let round = 0; round < ROUNDS; round++) {
      a.close(1);
      b.close(0);
      connect(a, b);
    }
    const after = held();
    expect(after.files - before.files).to.be.below(FEW);
    expect(after.mappings - before.mappings).to.be.below(FEW);
    const inbox = new Inbox();
    a.writeCell(vote(7));
    pollUntil(b, inbox, () => inbox.cells.length > 0, 'cell of the last session');
    expect(inbox.cells[0]?.view).to.equal(7);
  });

  it('begin anew in the middle of everything: rings are empty, cells are written again', () => {
    transports = [open(0, 2), open(1, 2)];
    const [a, b] = transports as [Transport, Transport];
    connect(a, b);
    for (let round = 1; round <= 20; round++) {
      a.writeCell(vote(round));
      // More than the ring takes: some of it waits when the session ends.
      for (let i = 0; i < 20; i++) a.writeLane(Buffer.alloc(3_000, round));
      if (round % 2 === 0) b.poll(ALL, new Inbox());
      a.close(1);
      b.close(0);
      connect(a, b);
      a.rewriteCells(1);
      a.writeLane(Buffer.alloc(100, round));
      const inbox = new Inbox();
      const isThere = (): boolean => inbox.cells.length > 0 && inbox.lanes.length > 0;
      pollUntil(b, inbox, isThere, `cell and batch of round ${round}`);
      expect(inbox.cells.map(({ view }) => view)).to.eql([round]);
      expect(inbox.lanes.map(({ payload }) => payload.length)).to.eql([100]);
      expect(inbox.faults).to.eql([]);
    }
  });

  it('end at one peer without touching the others', () => {
    transports = cluster(3);
    const [a, b, c] = transports as [Transport, Transport, Transport];
    b.close(0);
    const inbox = new Inbox();
    for (let view = 1; view <= 50; view++) {
      a.writeCell(vote(view));
      a.writeLane(Buffer.alloc(50, view));
      c.poll(ALL, inbox);
      a.poll(ALL, new Inbox());
    }
    pollUntil(c, inbox, () => inbox.lanes.length === 50, 'batches at the other peer');
    expect(inbox.faults).to.eql([]);
    expect(inbox.cells.at(-1)?.view).to.equal(50);
  });
});
