import { expect } from 'chai';
import fc from 'fast-check';
import {
  blockKey,
  decideStart,
  type LedgerReport,
  type RunKey,
  reasonToLeave,
  type StartDecision,
  type StartView,
} from '../../orderer/startup/decide.ts';

const hashOf = (number: number, fork = 'a'): string =>
  fork.repeat(8) + String(number).padStart(56, '0');

/** Chain of `stored` blocks, the first `certified` with a certificate. */
function report(stored: number, certified = stored, fork = 'a'): LedgerReport {
  const tail = [];
  for (let number = certified; number < stored; number++) {
    tail.push({ number, hash: hashOf(number, fork) });
  }
  return {
    storedHeight: stored,
    certifiedHeight: certified,
    tipHash: hashOf(stored - 1, stored > certified ? fork : 'a'),
    tail,
    base: undefined,
    ready: undefined,
  };
}

const runAt = (height: number, generation: number, fork = 'a'): RunKey => ({
  height,
  tipHash: hashOf(height - 1, fork),
  generation,
});

const running = (run: RunKey, ledger = report(run.height), mute = false): LedgerReport => ({
  ...ledger,
  base: { ...run, mute },
});

const ready = (ledger: LedgerReport, generation: number): LedgerReport => ({
  ...ledger,
  ready: generation,
});

function view(
  self: LedgerReport,
  peers: readonly (LedgerReport | undefined)[],
  more: Partial<StartView> = {},
): StartView {
  const all = [undefined, ...peers];
  // Chains of one fork hold each other's blocks.
  const held = all.flatMap((peer) => {
    const base = peer?.base;
    return base !== undefined && base.height <= self.storedHeight && base.tipHash.startsWith('a')
      ? [blockKey(base)]
      : [];
  });
  return {
    replicas: all.length,
    self,
    memory: { intact: true, promised: undefined, run: undefined },
    peers: all,
    held: new Set(held),
    graceOver: false,
    mayRaise: false,
    ...more,
  };
}

const memory = (run: RunKey | undefined, promised = run, intact = true) => ({
  memory: { intact, promised, run },
});

describe('where a run begins', () => {
  it('promises when all replicas hold the same block, and begins when all have', () => {
    const same = report(1);
    const peers = [same, same, same];
    expect(decideStart(view(same, peers))).to.deep.equal({ kind: 'promise', generation: 1 });
    const self = ready(same, 1);
    expect(decideStart(view(self, [self, self, same])).kind).to.equal('wait');
    const run = runAt(1, 1);
    const begin = { kind: 'enter', run, entry: 'begin' };
    expect(decideStart(view(self, [self, self, self]))).to.deep.equal(begin);
    // One of them has begun already.
    expect(decideStart(view(self, [running(run), self, self]))).to.deep.equal(begin);
  });

  it('waits for all replicas at first and is content with a quorum later', () => {
    const self = ready(report(5), 1);
    const two = [self, self, undefined];
    expect(decideStart(view(self, two)).kind).to.equal('wait');
    expect(decideStart(view(self, two, { graceOver: true })).kind).to.equal('enter');
    const one = [self, undefined, undefined];
    expect(decideStart(view(self, one, { graceOver: true })).kind).to.equal('wait');
    // Not at another generation.
    const other = [self, ready(report(5), 2), undefined];
    expect(decideStart(view(self, other, { graceOver: true })).kind).to.equal('wait');
  });

  it('never uses a generation twice, except where it has only promised it', () => {
    const same = report(5);
    const peers = [same, same, same];
    const next = (...[run, promised]: Parameters<typeof memory>): StartDecision =>
      decideStart(view(same, peers, memory(run, promised)));
    expect(next(runAt(5, 3))).to.deep.equal({ kind: 'promise', generation: 4 });
    expect(next(runAt(4, 3), runAt(5, 4))).to.deep.equal({ kind: 'promise', generation: 4 });
    expect(next(runAt(4, 3), runAt(4, 4))).to.deep.equal({ kind: 'promise', generation: 5 });
  });

  it('follows f + 1 to a higher generation at once, one alone now and then, and never far', () => {
    const self = ready(report(5), 3);
    const at = (...generations: number[]): readonly LedgerReport[] =>
      generations.map((generation) => ready(report(5), generation));
    expect(decideStart(view(self, at(6, 5, 3)))).to.deep.equal({ kind: 'promise', generation: 5 });
    expect(decideStart(view(self, at(6, 3, 3))).kind).to.equal('wait');
    const patient = { mayRaise: true };
    const raised = { kind: 'promise', generation: 6 };
    expect(decideStart(view(self, at(6, 3, 3), patient))).to.deep.equal(raised);
    const bounded = { kind: 'promise', generation: 3 + 1_024 };
    expect(decideStart(view(self, at(1e15, 3, 3), patient))).to.deep.equal(bounded);
    expect(decideStart(view(self, at(1e15, 1e15, 3)))).to.deep.equal(bounded);
  });

  it('fetches certified blocks from the replica that holds most', () => {
    const decision = decideStart(view(report(3), [report(5), report(7, 6), report(3)]));
    expect(decision).to.deep.equal({ kind: 'fetch', peer: 2, fromNumber: 3 });
  });

  it('fetches the certificate of a block that it stored without one', () => {
    const decision = decideStart(view(report(6, 5), [report(6), report(6, 5), report(6, 5)]));
    expect(decision).to.deep.equal({ kind: 'fetch', peer: 1, fromNumber: 5 });
  });

  it('takes an uncertified block only when f + 1 others report the same hash', () => {
    const one = decideStart(view(report(5), [report(6, 5), report(5), report(5)]));
    expect(one.kind).to.equal('wait');
    const two = decideStart(view(report(5), [report(6, 5), report(6, 5), report(5)]));
    expect(two).to.deep.equal({ kind: 'fetch', peer: 1, fromNumber: 5 });
    const forked = decideStart(view(report(5), [report(6, 5), report(6, 5, 'b'), report(5)]));
    expect(forked.kind).to.equal('wait');
  });

  it('drops an own uncertified block only when all others start too and none shares it', () => {
    const self = report(6, 5);
    const others = [report(5), report(5)];
    expect(decideStart(view(self, [...others, undefined], { graceOver: true })).kind).to.equal(
      'wait',
    );
    expect(decideStart(view(self, [...others, report(5)]))).to.deep.equal({
      kind: 'truncate',
      toHeight: 5,
    });
    expect(decideStart(view(self, [...others, report(6, 5)])).kind).to.not.equal('truncate');
    // It may be about to store the block.
    expect(decideStart(view(self, [...others, running(runAt(3, 1), report(5))])).kind).to.equal(
      'wait',
    );
  });

  it('never drops a block that q replicas stored, whichever q replicas report', () => {
    fc.assert(
      fc.property(
        fc.subarray([0, 1, 2, 3], { minLength: 3 }),
        fc.integer({ min: 0, max: 3 }),
        fc.boolean(),
        (holders, absent, graceOver) => {
          // A quorum stored block 5 without knowing its certificate; one replica may not report.
          const reports = [0, 1, 2, 3].map((index) =>
            holders.includes(index) ? report(6, 5) : report(5),
          );
          for (const self of [0, 1, 2, 3]) {
            if (self === absent) continue;
            const peers = reports.map((r, index) =>
              index === self || index === absent ? undefined : r,
            );
            const decision = decideStart({
              ...view(reports[self] as LedgerReport, [undefined, undefined, undefined]),
              peers,
              graceOver,
            });
            expect(decision.kind).to.not.equal('truncate');
            if (decision.kind === 'promise') expect(holders).to.include(self);
          }
        },
      ),
    );
  });
});

describe('a run that others are in', () => {
  const run = runAt(5, 2);
  const grown = running(run, report(9));

  it('is begun by whoever knows that it never took part, however late', () => {
    const begin = { kind: 'enter', run, entry: 'begin' };
    expect(decideStart(view(report(5), [grown, grown, undefined]))).to.deep.equal(begin);
    expect(decideStart(view(report(7), [grown, grown, undefined]))).to.deep.equal(begin);
    const older = memory(runAt(3, 1));
    expect(decideStart(view(report(5), [grown, grown, undefined], older))).to.deep.equal(begin);
  });

  it('is joined by whoever took part and has no log, or has lost its memory', () => {
    const join = { kind: 'enter', run, entry: 'join' };
    const others = [grown, grown, undefined];
    expect(decideStart(view(report(7), others, memory(run)))).to.deep.equal(join);
    const lost = memory(undefined, undefined, false);
    expect(decideStart(view(report(5), others, lost))).to.deep.equal(join);
  });

  it('is not entered on the word of f', () => {
    const alone = [grown, report(5), report(5)];
    expect(decideStart(view(report(5), alone)).kind).to.not.equal('enter');
  });

  it('is entered once the block that it began from is there', () => {
    const fetch = { kind: 'fetch', peer: 1, fromNumber: 3 };
    expect(decideStart(view(report(3), [grown, grown, undefined]))).to.deep.equal(fetch);
    // Not certified yet: f + 1 that run from it vouch for it.
    const young = running(run, report(5, 4));
    const vouched = { kind: 'fetch', peer: 1, fromNumber: 4 };
    expect(decideStart(view(report(4), [young, young, undefined]))).to.deep.equal(vouched);
    const silent = running(run, { ...report(5, 4), tail: [] });
    const waiting = decideStart(view(report(4), [silent, silent, undefined]));
    expect(waiting)
      .to.include({ kind: 'wait' })
      .and.property('reason')
      .match(/from block 4/);
  });

  it('makes a replica give up what it alone stored from an older run, not from this one', () => {
    const peers = [grown, grown, undefined];
    const self = report(6, 5);
    const truncate = { kind: 'truncate', toHeight: 5 };
    expect(decideStart(view(self, peers))).to.deep.equal(truncate);
    expect(decideStart(view(self, peers, memory(run))).kind).to.equal('enter');
    expect(decideStart(view(report(6), peers)).kind).to.equal('enter');
    // Another block at the place of theirs.
    const forked = view(report(5, 4, 'b'), peers, { held: new Set() });
    expect(decideStart(forked)).to.deep.equal({ kind: 'truncate', toHeight: 4 });
    const certified = view({ ...report(6), tipHash: hashOf(5, 'b') }, peers, { held: new Set() });
    expect(decideStart(certified).kind).to.equal('conflict');
  });

  it('is closed to whoever has promised a later one, which may read along all the same', () => {
    const promised = memory(run, runAt(6, 3));
    const decision = decideStart(view(report(6), [grown, grown, report(6)], promised));
    expect(decision).to.deep.equal({ kind: 'fetch', peer: 1, fromNumber: 6 });
    const elsewhere = memory(undefined, runAt(6, 2));
    const same = running(run, report(6));
    expect(decideStart(view(report(6), [same, same, report(6)], elsewhere)).kind).to.equal('wait');
  });

  it('is the newest of two', () => {
    const newer = runAt(5, 4);
    const six = [running(run), running(run), running(newer), running(newer), undefined];
    expect(decideStart(view(report(5), six))).to.deep.include({ kind: 'enter', run: newer });
  });
});

describe('a run that a replica is in', () => {
  const run = runAt(5, 2);
  const self = running(run, report(9));

  it('is left when f + 1 others are in a newer one, and for no older one', () => {
    const newer = running(runAt(7, 3), report(9));
    const older = running(runAt(7, 1), report(9));
    expect(reasonToLeave(view(self, [newer, newer, self]))).to.match(/others run generation 3/);
    expect(reasonToLeave(view(self, [newer, self, self]))).to.equal(undefined);
    expect(reasonToLeave(view(self, [older, older, older]))).to.equal(undefined);
    expect(reasonToLeave(view(report(9), [newer, newer, newer]))).to.equal(undefined);
  });

  it('is left by all when too many are mute in it to decide anything', () => {
    const mute = running(run, report(9), true);
    expect(reasonToLeave(view(mute, [mute, report(9), self]))).to.match(/^2 of 4 .* lost the mem/);
    expect(reasonToLeave(view(self, [mute, mute, self]))).to.match(/^2 of 4/);
    expect(reasonToLeave(view(mute, [self, self, report(9)]))).to.equal(undefined);
    expect(reasonToLeave(view(self, [mute, report(9), report(9)]))).to.equal(undefined);
    // n = 6, q = 4: three others and this one are enough to decide.
    expect(reasonToLeave(view(self, [mute, mute, self, self, self]))).to.equal(undefined);
    expect(reasonToLeave(view(self, [mute, mute, mute, self, self]))).to.match(/^3 of 6/);
  });
});
