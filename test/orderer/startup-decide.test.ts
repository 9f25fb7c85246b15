import { expect } from 'chai';
import fc from 'fast-check';
import { decideStart, type LedgerReport, type StartView } from '../../orderer/startup/decide.ts';

const hashOf = (number: number, fork = 'a'): string =>
  fork.repeat(8) + String(number).padStart(56, '0');

/** Chain of `stored` blocks, the first `certified` with a certificate. */
function report(stored: number, certified: number, fork = 'a'): LedgerReport {
  const tail = [];
  for (let number = certified; number < stored; number++) {
    tail.push({ number, hash: hashOf(number, fork) });
  }
  const tipFork = stored > certified ? fork : 'a';
  return {
    storedHeight: stored,
    certifiedHeight: certified,
    tipHash: hashOf(stored - 1, tipFork),
    tail,
    base: undefined,
  };
}

function view(
  self: LedgerReport,
  peers: (LedgerReport | undefined)[],
  graceOver = false,
): StartView {
  return { replicas: 4, self, peers: [undefined, ...peers], graceOver };
}

describe('where a run begins', () => {
  it('starts when all replicas hold the same block', () => {
    const same = report(1, 1);
    expect(decideStart(view(same, [same, same, same])).kind).to.equal('start');
  });

  it('waits for all replicas at first and is content with a quorum later', () => {
    const same = report(5, 5);
    expect(decideStart(view(same, [same, same, undefined])).kind).to.equal('wait');
    expect(decideStart(view(same, [same, same, undefined], true)).kind).to.equal('start');
    expect(decideStart(view(same, [same, undefined, undefined], true)).kind).to.equal('wait');
  });

  it('fetches certified blocks from the replica that holds most', () => {
    const decision = decideStart(view(report(3, 3), [report(5, 5), report(7, 6), report(3, 3)]));
    expect(decision).to.deep.equal({ kind: 'fetch', peer: 2, fromNumber: 3 });
  });

  it('fetches the certificate of a block that it stored without one', () => {
    const decision = decideStart(view(report(6, 5), [report(6, 6), report(6, 5), report(6, 5)]));
    expect(decision).to.deep.equal({ kind: 'fetch', peer: 1, fromNumber: 5 });
  });

  it('takes an uncertified block only when f + 1 others report the same hash', () => {
    const one = decideStart(view(report(5, 5), [report(6, 5), report(5, 5), report(5, 5)]));
    expect(one.kind).to.equal('wait');
    const two = decideStart(view(report(5, 5), [report(6, 5), report(6, 5), report(5, 5)]));
    expect(two).to.deep.equal({ kind: 'fetch', peer: 1, fromNumber: 5 });
    const forked = decideStart(view(report(5, 5), [report(6, 5), report(6, 5, 'b'), report(5, 5)]));
    expect(forked.kind).to.equal('wait');
  });

  it('drops an own uncertified block only when all n replicas have reported and none shares it', () => {
    const self = report(6, 5);
    const others = [report(5, 5), report(5, 5)];
    expect(decideStart(view(self, [...others, undefined], true)).kind).to.equal('wait');
    expect(decideStart(view(self, [...others, report(5, 5)]))).to.deep.equal({
      kind: 'truncate',
      toHeight: 5,
    });
    expect(decideStart(view(self, [...others, report(6, 5)])).kind).to.not.equal('truncate');
  });

  it('joins a run that began at its own tip and follows one that began elsewhere', () => {
    const running = (height: number): LedgerReport => ({
      ...report(9, 9),
      base: { height, tipHash: hashOf(height - 1) },
    });
    const self = report(5, 5);
    expect(decideStart(view(self, [running(5), running(5), undefined])).kind).to.equal('start');
    expect(decideStart(view(self, [running(4), running(4), undefined])).kind).to.equal('follow');
    // One replica alone may lie about a run.
    expect(decideStart(view(self, [running(4), report(5, 5), report(5, 5)])).kind).to.not.equal(
      'follow',
    );
  });

  it('joins again a run that it had begun only when q replicas restarted with it', () => {
    const running: LedgerReport = { ...report(5, 5), base: { height: 5, tipHash: hashOf(4) } };
    const started = view(report(5, 5), [running, running, running]);
    const lastBase = `5/${hashOf(4)}`;
    // It restarted alone, or with one other: the rest may be the run in which it has voted.
    expect(decideStart({ ...started, lastBase }).kind).to.equal('follow');
    expect(decideStart({ ...started, lastBase, seenStarting: 1 }).kind).to.equal('follow');
    expect(decideStart({ ...started, lastBase, seenStarting: 2 }).kind).to.equal('start');
  });

  it('gives up what it alone stored when the others run from below, unless it belongs to their run', () => {
    const running: LedgerReport = { ...report(5, 5), base: { height: 5, tipHash: hashOf(4) } };
    const peers = [running, running, report(6, 5)];
    const self = report(6, 5);
    expect(decideStart(view(self, peers))).to.deep.equal({ kind: 'truncate', toHeight: 5 });
    const lastBase = `5/${hashOf(4)}`;
    expect(decideStart({ ...view(self, peers), lastBase }).kind).to.equal('follow');
    expect(decideStart(view(report(6, 6), peers)).kind).to.equal('follow');
    // One that says so may lie.
    expect(decideStart(view(self, [running, report(6, 5), undefined])).kind).to.equal('wait');
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
            holders.includes(index) ? report(6, 5) : report(5, 5),
          );
          for (const self of [0, 1, 2, 3]) {
            if (self === absent) continue;
            const decision = decideStart({
              replicas: 4,
              self: reports[self] as LedgerReport,
              peers: reports.map((r, index) =>
                index === self || index === absent ? undefined : r,
              ),
              graceOver,
            });
            expect(decision.kind).to.not.equal('truncate');
            if (decision.kind === 'start') expect(holders).to.include(self);
          }
        },
      ),
    );
  });
});
