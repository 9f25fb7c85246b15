/** Lies in cells, by a replica that holds the session's keys and writes past its own transport. */
import { expect } from 'chai';
import fc from 'fast-check';
import { LAYOUT } from '../../rdma/layout.ts';
import { describeProviders, pollUntil } from '../rdma/support/pair.ts';
import { IN_GUEST } from '../support/slow.ts';
import { startFlipping } from './support/flip.ts';
import { type ForgedCell, forgeOf } from './support/forge.ts';
import { FileReach } from './support/reach.ts';
import { LIAR, onNewStages, type Stage, vote } from './support/stage.ts';

const VOTE = LAYOUT.KIND_VOTE;
/** Every bit; in the guest, where a write takes 30 ms, some of every byte of every field. */
const BIT_STEP = IN_GUEST ? 11 : 1;
const FIVES = Buffer.alloc(24, 5);

describeProviders('attacks on cells', (provider) => {
  let stage: Stage;
  onNewStages(provider, (started) => {
    stage = started;
  });

  /** With `tcp` the victim's own host puts whole cells where they belong. */
  const reachesAnyByte = provider !== 'tcp';

  function expectRefused(index: number): void {
    expect(stage.awaitFaults()).to.deep.equal([{ kind: 'bad-cell', cell: 'vote', index }]);
    expect(stage.inbox.cells.filter(({ peer }) => peer === LIAR)).to.deep.equal([]);
    stage.expectOtherPeerUnharmed();
  }

  it('our second implementation of the layout is understood', () => {
    stage.evil.writeCell({ kind: VOTE, slot: 3n, view: 4, body: FIVES });
    expect(stage.poll().cells).to.have.length(1);
    expect(stage.inbox.cells[0]).to.include({ peer: LIAR, kind: 'vote', slot: 3, view: 4 });
    if (!(stage.evil.reach instanceof FileReach)) return;
    stage.twin?.writeCell(vote(3, 4, 5));
    expect(stage.evil.reach.read(stage.evil.forge.cellOffset(VOTE, 3), 64)).to.deep.equal(
      stage.evil.forge.sealCell({ kind: VOTE, slot: 3n, view: 4, body: FIVES }),
    );
  });

  it('a changed bit anywhere in a cell: never handed up, one fault, healed by the next write', () => {
    const genuine = stage.evil.forge.sealCell({ kind: VOTE, slot: 2n, body: FIVES });
    for (let bit = 0; bit < 512; bit += BIT_STEP) {
      const bytes = Buffer.from(genuine);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      stage.evil.putCell(VOTE, 2, bytes);
      expect(stage.poll().cells, `bit ${bit}`).to.have.length(0);
    }
    const start = performance.now();
    pollUntil(stage.reader, stage.inbox, () => stage.inbox.faults.length > 0, 'fault');
    expect(performance.now() - start, 'its writer may be slow').to.be.greaterThan(40);
    for (let i = 0; i < 100; i++) {
      stage.evil.reach.ring?.();
      stage.poll();
    }
    expect(stage.faults()).to.deep.equal([{ kind: 'bad-cell', cell: 'vote', index: 2 }]);
    expect(stage.reader.counters(LIAR).badCells).to.equal(1);
    stage.evil.putCell(VOTE, 2, genuine);
    expect(stage.poll().cells).to.have.length(1);
    stage.expectOtherPeerUnharmed();
  });

  if (reachesAnyByte) {
    it('a torn cell is not handed up, and is no fault once it is whole', () => {
      const { forge, reach } = stage.evil;
      stage.evil.writeCell({ kind: VOTE, slot: 2n, body: FIVES });
      stage.poll();
      const whole = forge.sealCell({ kind: VOTE, slot: 10n, body: Buffer.alloc(24, 9) });
      const place = forge.cellOffset(VOTE, 2);
      for (const cut of [8, 16, 40, 56]) {
        reach.write?.(place, whole.subarray(0, cut));
        reach.ring?.();
        expect(stage.poll().cells).to.have.length(1);
      }
      reach.write?.(place, whole);
      // No doorbell: the reader looks again by itself at what did not check.
      expect(stage.reader.wait(10_000_000)).to.equal(true);
      expect(stage.poll().cells).to.have.length(2);
      expect(stage.faults()).to.deep.equal([]);
    });

    it('a cell that changes all the time is handed up whole, or not at all', async () => {
      const { forge, reach } = stage.evil;
      const bodies = [Buffer.alloc(24, 1), Buffer.alloc(24, 2)] as const;
      const contents = bodies.map((body) => forge.sealCell({ kind: VOTE, slot: 2n, body }));
      stage.evil.putCell(VOTE, 2, contents[0] as Buffer);
      const place = forge.cellOffset(VOTE, 2);
      const ordinal = forge.cellOrdinal(VOTE, 2);
      const flipping = await startFlipping(reach, place, contents as [Buffer, Buffer], ordinal);
      const seen = new Set<number>();
      const sawBoth = (): boolean => {
        flipping.ring();
        for (const { body } of stage.inbox.cells.splice(0)) {
          expect(body.every((byte) => byte === body[0])).to.equal(true);
          seen.add(body[0] ?? 0);
        }
        return seen.size === 2;
      };
      pollUntil(stage.reader, stage.inbox, sawBoth, 'both contents');
      await flipping.stop();
      expect(stage.faults()).to.deep.equal([]);
      stage.expectOtherPeerUnharmed();
    });

    it('false hints and doorbells hide nothing of others and break nothing', () => {
      const { reach } = stage.evil;
      for (const doorbell of [0xffffffff, 0x80000000, 1, 0]) {
        const word = Buffer.alloc(4);
        word.writeUInt32LE(doorbell);
        reach.write?.(LAYOUT.HEADER_HINTS, Buffer.alloc(4 * LAYOUT.HINTS, doorbell & 0xff));
        reach.write?.(LAYOUT.HEADER_DOORBELL, word);
        reach.ring?.(doorbell);
        stage.poll();
      }
      stage.expectOtherPeerUnharmed();
      expect(stage.inbox.faults).to.deep.equal([]);
    });

    it('any bytes anywhere in the region hand up nothing that was not written (property)', () => {
      const { forge, reach } = stage.evil;
      const size = forge.layout.regionBytes;
      const offsets = fc.oneof(fc.nat(size - 1), fc.nat(forge.layout.laneRingOffset));
      const write = fc.tuple(offsets, fc.uint8Array({ minLength: 1, maxLength: 200 }));
      fc.assert(
        fc.property(fc.array(write, { maxLength: 30 }), (writes) => {
          for (const [offset, bytes] of writes) {
            reach.write?.(offset, bytes.subarray(0, size - offset));
            reach.ring?.();
            stage.poll();
          }
          expect(stage.inbox.cells.filter(({ peer }) => peer === LIAR)).to.deep.equal([]);
          expect(stage.inbox.lanes.concat(stage.inbox.messages as never)).to.deep.equal([]);
        }),
        { numRuns: IN_GUEST ? 15 : 100 },
      );
      stage.expectOtherPeerUnharmed();
    });
  }

  const wrong: [string, ForgedCell, number][] = [
    ['another slot than its place', { kind: VOTE, slot: 5n }, 4],
    ['another epoch', { kind: VOTE, slot: 4n, epoch: 2 }, 4],
    ['another incarnation', { kind: VOTE, slot: 4n, incarnation: 999n }, 4],
    ['a slot that JavaScript cannot count', { kind: VOTE, slot: 4n + (1n << 60n) }, 4],
    ['another kind', { kind: LAYOUT.KIND_COMMIT, slot: 4n }, 4],
  ];
  for (const [what, cell, index] of wrong) {
    it(`a sealed cell of ${what} is refused`, () => {
      stage.evil.putCell(VOTE, index, stage.evil.forge.sealCell(cell));
      expectRefused(index);
    });
  }

  it('a progress cell of an unknown kind is refused', () => {
    const cell = stage.evil.forge.sealCell({ kind: 6, slot: 4n });
    stage.evil.putCell(LAYOUT.KIND_PROGRESS, 0, cell);
    const fault = { kind: 'bad-cell', cell: 'progress', index: 0 };
    expect(stage.awaitFaults()).to.deep.equal([fault]);
    expect(stage.inbox.cells).to.deep.equal([]);
  });

  it("a correct peer's cell replayed in another peer's region is refused", () => {
    stage.other.writeCell(vote(1, 0, 5));
    const seen = stage.otherForge.sealCell({ kind: VOTE, slot: 1n, body: FIVES });
    stage.evil.putCell(VOTE, 1, seen);
    expectRefused(1);
    expect(stage.inbox.cells.map(({ peer }) => peer)).to.deep.equal([2]);
  });

  const elsewhere = [
    ['channel', { channel: 'other' }],
    ['region', { regionName: `/sluice-${'0'.repeat(32)}` }],
    ['direction', { writer: 0, reader: LIAR }],
  ] as const;
  for (const [what, change] of elsewhere) {
    it(`a cell of another ${what} under the same secret is refused`, () => {
      const forge = forgeOf({ ...stage.evil.session, ...change });
      const cell = { kind: VOTE, slot: 1n, body: FIVES, incarnation: 1001n };
      stage.evil.putCell(VOTE, 1, forge.sealCell(cell));
      expectRefused(1);
    });
  }

  it('a cell of an earlier session of the same two processes is refused', () => {
    const old = stage.evil.forge.sealCell({ kind: VOTE, slot: 1n, body: FIVES });
    stage.evil.putCell(VOTE, 1, old);
    expect(stage.poll().cells).to.have.length(1);
    stage.inbox.cells.length = 0;
    stage.meetAgain();
    stage.evil.putCell(VOTE, 1, old);
    expectRefused(1);
  });

  it('old cells of the same session, of a lower slot or view, are not handed up again', () => {
    const body = FIVES;
    const old = [
      { kind: VOTE, slot: 2n, view: 7, body },
      { kind: VOTE, slot: 10n, view: 3, body },
    ];
    for (const cell of [...old, { kind: VOTE, slot: 10n, view: 4, body }]) {
      stage.evil.writeCell(cell);
      stage.poll();
    }
    expect(stage.inbox.cells.map(({ slot, view }) => [slot, view])).to.eql([
      [2, 7],
      [10, 3],
      [10, 4],
    ]);
    for (const cell of [...old, ...old]) {
      stage.evil.writeCell(cell);
      expect(stage.poll().cells).to.have.length(3);
    }
    expect(stage.faults()).to.deep.equal([]);
    stage.expectOtherPeerUnharmed();
  });
});
