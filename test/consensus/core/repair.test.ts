/** Rule R5: when an own batch is sent again to a peer that has not reported it. */
import { expect } from 'chai';
import { type BatchRef, DEFAULT_LIMITS } from '../../../consensus/core/index.ts';
import { createSolo, EMPTY, type Solo } from '../support/solo.ts';

const SELF = 1;
const PEER = 2;
const { repairAfterMsMin, repairAfterMsMax, viewTimeoutMs } = DEFAULT_LIMITS;
const WAIT_MS_MAX = 2 * viewTimeoutMs;

class Owner {
  readonly solo: Solo;
  #last: BatchRef = EMPTY;

  constructor() {
    this.solo = createSolo(SELF);
    this.solo.step({ kind: 'session', peer: PEER, open: true });
  }

  submit(): void {
    const text = `batch ${this.#last.seq + 1}`;
    const ref = this.solo.refOf(SELF, this.#last, text);
    this.solo.step({ kind: 'submit', payload: Buffer.from(text) });
    this.#last = ref;
  }

  /** How often the peer was sent a batch while `ms` passed. */
  repeats(ms: number): number {
    const before = this.#sent();
    this.solo.live(ms);
    return this.#sent() - before;
  }

  #sent(): number {
    const isBatch = (effect: Solo['effects'][number]): boolean =>
      effect.kind === 'send' && effect.to === PEER && effect.message.kind === 'batch';
    return this.solo.effects.filter(isBatch).length;
  }

  report(): void {
    this.solo.progress(PEER, 0, this.solo.content(1, { [SELF]: this.#last }).frontier);
  }

  /** The peer takes so long to report the next batch; how often it was sent again meanwhile. */
  submitAndReport(afterMs: number): number {
    this.submit();
    const repeats = this.repeats(afterMs);
    this.report();
    return repeats;
  }
}

describe('an own batch that a peer has not reported', () => {
  it('is sent again, with back-off, until it is reported', () => {
    const owner = new Owner();
    owner.submit();
    expect(owner.repeats(repairAfterMsMin - 1)).to.equal(0);
    expect(owner.repeats(1)).to.equal(1);
    expect(owner.repeats(2 * repairAfterMsMin - 1)).to.equal(0);
    expect(owner.repeats(1)).to.equal(1);
    expect(owner.repeats(20_000)).to.be.within(
      20_000 / repairAfterMsMax - 1,
      20_000 / repairAfterMsMax + 3,
    );
    owner.report();
    expect(owner.repeats(20_000)).to.equal(0);
  });

  it('is not sent again to a peer that always takes as long, once that is known', () => {
    const owner = new Owner();
    const takesMs = 250;
    const repeats = Array.from({ length: 40 }, () => owner.submitAndReport(takesMs));
    expect(repeats[0], 'nothing is known').to.be.above(0);
    expect(repeats.slice(3), 'one answered without being asked twice').to.eql(
      new Array<number>(37).fill(0),
    );
  });

  it('is sent again after twice what reports take, and soon again when they are fast again', () => {
    const owner = new Owner();
    for (let i = 0; i < 10; i++) owner.submitAndReport(250);
    owner.submit();
    expect(owner.repeats(499)).to.equal(0);
    expect(owner.repeats(1), 'lost').to.equal(1);
    owner.report();
    for (let i = 0; i < 40; i++) expect(owner.submitAndReport(5)).to.equal(0);
    owner.submit();
    expect(owner.repeats(repairAfterMsMin)).to.equal(1);
  });

  it('is sent again before a leader is taken for a censor, however long reports have taken', () => {
    const owner = new Owner();
    for (let i = 0; i < 10; i++) owner.submitAndReport(3_000);
    owner.submit();
    expect(owner.repeats(WAIT_MS_MAX)).to.equal(1);
  });

  it('does not make the peer look fast or slow by being repeated', () => {
    const owner = new Owner();
    // Lost each time: the report answers the repetition.
    for (let i = 0; i < 10; i++) {
      owner.submit();
      expect(owner.repeats(WAIT_MS_MAX)).to.be.above(0);
      owner.report();
    }
    expect(owner.submitAndReport(5), 'one that was not lost').to.equal(0);
    owner.submit();
    expect(owner.repeats(repairAfterMsMin)).to.equal(1);
  });
});
