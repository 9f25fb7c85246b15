import { expect } from 'chai';
import { Backpressure } from '../../orderer/backpressure.ts';

describe('Backpressure', () => {
  const options = { waitMs: 1_000, transactionsMin: 100, transactionsMax: 5_000 };

  /** Orders at a rate for so many milliseconds; returns the time after it. */
  function order(on: Backpressure, perSecond: number, fromMs: number, ms: number): number {
    for (let at = fromMs; at < fromMs + ms; at += 10) on.noteOrdered(perSecond / 100, at);
    return fromMs + ms;
  }

  it('lets wait what is ordered in the time that a client should wait', () => {
    const on = new Backpressure(options);
    expect(on.limit(0)).to.equal(100);
    const nowMs = order(on, 1_500, 0, 20_000);
    expect(on.limit(nowMs)).to.be.within(1_450, 1_550);
  });

  it('follows a replica that becomes slower, and knows nothing of one that rests', () => {
    const on = new Backpressure(options);
    let nowMs = order(on, 2_000, 0, 20_000);
    nowMs = order(on, 300, nowMs, 20_000);
    expect(on.limit(nowMs)).to.be.within(290, 310);
    expect(on.limit(nowMs + 60_000)).to.equal(100);
  });

  it('never exceeds the bound', () => {
    const on = new Backpressure(options);
    expect(on.limit(order(on, 100_000, 0, 20_000))).to.equal(5_000);
  });

  it('leaves a quarter to those who cannot wait for room', () => {
    const on = new Backpressure(options);
    expect(on.limit(0, true)).to.equal(75);
    const nowMs = order(on, 2_000, 0, 20_000);
    expect(on.limit(nowMs, true)).to.equal(Math.ceil(on.limit(nowMs) * 0.75));
  });
});
