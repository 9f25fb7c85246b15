/**
 * The outcome of a view change against its lemma (docs/protocol.md, "Agreement across views"): whatever
 * happened in earlier views, and whatever f of the replicas say, a decided digest is the outcome.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import {
  faultsTolerated,
  type PreparedCertificate,
  quorum,
  type SlotReport,
  type ViewChange,
} from '../../../consensus/core/index.ts';
import { outcomesOf } from '../../../consensus/core/view-change.ts';

const SLOT = 5;
const DIGESTS = ['a', 'b', 'c'].map((text) => Buffer.alloc(24, text));
const nameOf = (digest: Uint8Array | undefined) =>
  digest === undefined ? 'null' : Buffer.from(digest).toString().slice(0, 1);

interface Voted {
  readonly view: number;
  readonly digest: number;
}

/** What a replica knows of the slot when it leaves for the next view. */
interface Memory {
  vote: Voted | undefined;
  prepared: Voted | undefined;
}

function reportOf({ vote, prepared }: Memory): SlotReport[] {
  if (vote === undefined && prepared === undefined) return [];
  return [
    {
      slot: SLOT,
      vote: vote && { view: vote.view, digest: DIGESTS[vote.digest]! },
      prepared: prepared && certificateOf(prepared),
    },
  ];
}

/** Signatures are another test's. */
function certificateOf({ view, digest }: Voted): PreparedCertificate {
  return { view, slot: SLOT, digest: DIGESTS[digest]!, signatures: [] };
}

function changeOf(signer: number, view: number, reports: SlotReport[]): ViewChange {
  const signature = new Uint8Array(64);
  return { view, signer, lives: [], checkpoint: undefined, reports, signature };
}

/** Draws numbers of a stream of choices that fast-check makes and shrinks. */
class Choices {
  readonly #numbers: readonly number[];
  #at = 0;

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  below(limit: number): number {
    const number = this.#numbers[this.#at++ % this.#numbers.length] ?? 0;
    return Math.floor((number / 2 ** 32) * limit);
  }

  chance(): boolean {
    return this.below(2) === 1;
  }

  /** `count` of these, ascending. */
  some(count: number, of: readonly number[]): number[] {
    const left = [...of];
    while (left.length > count) left.splice(this.below(left.length), 1);
    return left;
  }
}

/**
 * Views one after the other. In each, correct replicas vote as the rules let them: for the outcome when there
 * is one, else for what the leader showed each of them. Liars vote for everything.
 */
class History {
  readonly replicas: number;
  readonly faults: number;
  readonly quorum: number;
  readonly correct: number[];
  readonly liars: number[];
  readonly memories: Memory[];
  /** Digests that were decided, in any view. */
  readonly decided = new Set<number>();
  /** Certificates that exist: a liar has seen them all. */
  readonly certificates: Voted[] = [];
  readonly #choices: Choices;
  view = 0;

  constructor(replicas: number, choices: Choices) {
    this.replicas = replicas;
    this.faults = faultsTolerated(replicas);
    this.quorum = quorum(replicas);
    this.#choices = choices;
    const all = Array.from({ length: replicas }, (_, replica) => replica);
    this.liars = choices.some(this.faults, all);
    this.correct = all.filter((replica) => !this.liars.includes(replica));
    this.memories = all.map(() => ({ vote: undefined, prepared: undefined }));
  }

  /** `outcome`: of the NEW-VIEW by which the view began; `free`: the slot is beyond its top. */
  run(outcome: number | 'null' | 'free'): void {
    const choices = this.#choices;
    const { view, memories } = this;
    const favourite = choices.below(DIGESTS.length);
    const voters = new Map<number, number[]>();
    const isAgreed = choices.chance();
    for (const replica of this.correct) {
      // Not everybody gets as far as voting before it leaves.
      if (!isAgreed && choices.below(4) === 0) continue;
      const shown = isAgreed || choices.chance() ? favourite : choices.below(DIGESTS.length);
      // The null content is the last digest's, in this test.
      const digest = outcome === 'free' ? shown : outcome === 'null' ? DIGESTS.length - 1 : outcome;
      memories[replica]!.vote = { view, digest };
      voters.set(digest, [...(voters.get(digest) ?? []), replica]);
    }
    for (const [digest, voted] of voters) this.#decide(digest, voted);
    this.view++;
  }

  #decide(digest: number, voted: readonly number[]): void {
    const choices = this.#choices;
    const { view } = this;
    if (voted.length === this.correct.length && choices.chance()) this.decided.add(digest);
    if (voted.length + this.faults < this.quorum) return;
    // q PREPAREs can meet at some of them; with q COMMITs it is decided.
    const holders = choices.some(choices.below(voted.length + 1), voted);
    if (holders.length > 0 || choices.chance()) this.certificates.push({ view, digest });
    for (const replica of holders) this.memories[replica]!.prepared = { view, digest };
    if (holders.length + this.faults >= this.quorum) this.decided.add(digest);
  }

  /** What a liar reports: any vote, any certificate that exists, or nothing. */
  lie(): SlotReport[] {
    const choices = this.#choices;
    const vote = { view: choices.below(this.view), digest: choices.below(DIGESTS.length) };
    const prepared = this.certificates[choices.below(this.certificates.length + 1)];
    return reportOf({ vote: choices.chance() ? vote : undefined, prepared });
  }

  /** Any q of them. */
  changes(): ViewChange[] {
    const all = Array.from({ length: this.replicas }, (_, replica) => replica);
    const signers = this.#choices.some(this.quorum, all);
    return signers.map((signer) => {
      const isLiar = this.liars.includes(signer);
      return changeOf(signer, this.view, isLiar ? this.lie() : reportOf(this.memories[signer]!));
    });
  }
}

const replicasOf = fc.integer({ min: 4, max: 10 });
const choicesOf = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), {
  minLength: 200,
  maxLength: 200,
});

describe('the outcome of a view change', () => {
  it('is what was decided, in any earlier view, on either path, whoever lies', () => {
    let decisions = 0;
    let nulls = 0;
    fc.assert(
      fc.property(replicasOf, fc.integer({ min: 1, max: 5 }), choicesOf, (n, views, numbers) => {
        const history = new History(n, new Choices(numbers));
        let outcome: number | 'null' | 'free' = 'free';
        for (let view = 0; view < views; view++) {
          history.run(outcome);
          expect(history.decided.size, 'one digest is decided').to.be.at.most(1);
          const { outcomes } = outcomesOf(history.changes(), n, SLOT - 1);
          const [settled] = outcomes;
          const name = settled === undefined ? 'free' : nameOf(settled.digest);
          for (const digest of history.decided) {
            decisions++;
            expect(name, `${n} replicas, view ${view + 1}`).to.equal(nameOf(DIGESTS[digest]));
          }
          if (name === 'null') nulls++;
          outcome = name === 'free' || name === 'null' ? name : 'abc'.indexOf(name);
        }
      }),
      { numRuns: 1_500, seed: 20_261 },
    );
    // The property has had something to say.
    expect(decisions).to.be.above(500);
    expect(nulls).to.be.above(50);
  });

  it('is never a digest that no correct replica voted for', () => {
    fc.assert(
      fc.property(replicasOf, choicesOf, (n, numbers) => {
        const history = new History(n, new Choices(numbers));
        const changes = history.correct.map((signer) => changeOf(signer, 1, []));
        const lies = history.liars.map((signer) =>
          changeOf(signer, 1, reportOf({ vote: { view: 0, digest: 1 }, prepared: undefined })),
        );
        const some = [...lies, ...changes].slice(0, quorum(n));
        const { outcomes } = outcomesOf(some, n, SLOT - 1);
        expect(outcomes.map(({ digest }) => nameOf(digest))).to.eql(['null']);
      }),
      { numRuns: 200 },
    );
  });

  it('is the same in whatever order the reports are looked at', () => {
    fc.assert(
      fc.property(replicasOf, fc.integer({ min: 1, max: 3 }), choicesOf, (n, views, numbers) => {
        const history = new History(n, new Choices(numbers));
        for (let view = 0; view < views; view++) history.run('free');
        const changes = history.changes();
        const names = (some: ViewChange[]) =>
          outcomesOf(some, n, SLOT - 1).outcomes.map(({ digest }) => nameOf(digest));
        expect(names([...changes].reverse())).to.eql(names(changes));
      }),
      { numRuns: 500, seed: 20_261 },
    );
  });

  it('has a threshold that one digest at most can reach', () => {
    for (let n = 1; n <= 100; n++) {
      const [f, m] = [faultsTolerated(n), quorum(n)];
      expect(2 * (m - f), `n = ${n}`).to.be.above(m);
      expect(m - f, `n = ${n}`).to.be.above(f);
    }
  });
});

describe('outcomes', () => {
  const vote = (view: number, digest: number): Memory => ({
    vote: { view, digest },
    prepared: undefined,
  });
  const outcomeOf = (...memories: Memory[]) => {
    const changes = memories.map((memory, signer) => changeOf(signer, 9, reportOf(memory)));
    const { outcomes } = outcomesOf(changes, 4, SLOT - 1);
    return outcomes.map(({ digest, reporters }) => `${nameOf(digest)} ${reporters.join('')}`);
  };
  const nothing: Memory = { vote: undefined, prepared: undefined };

  it('follow m - f votes when there is no certificate', () => {
    expect(outcomeOf(vote(0, 0), vote(0, 1), vote(0, 0))).to.eql(['a 02']);
    expect(outcomeOf(vote(0, 0), vote(0, 1), nothing)).to.eql(['null ']);
  });

  it('add up votes of several views', () => {
    expect(outcomeOf(vote(3, 1), nothing, vote(7, 1))).to.eql(['b 02']);
  });

  it('take a certificate before the votes of its own view, and of lower ones', () => {
    const certified = { vote: { view: 2, digest: 0 }, prepared: { view: 2, digest: 0 } };
    expect(outcomeOf(certified, vote(2, 1), vote(2, 1))).to.eql(['a 0']);
    expect(outcomeOf(certified, vote(1, 1), vote(0, 1))).to.eql(['a 0']);
    expect(outcomeOf(certified, vote(3, 1), vote(2, 1))).to.eql(['a 0']);
  });

  it('take m - f votes of higher views before a certificate', () => {
    const certified = { vote: { view: 2, digest: 0 }, prepared: { view: 2, digest: 0 } };
    expect(outcomeOf(certified, vote(3, 1), vote(4, 1))).to.eql(['b 12']);
  });

  it('take the certificate of the highest view', () => {
    const old = { vote: { view: 5, digest: 2 }, prepared: { view: 1, digest: 0 } };
    const newer = { vote: undefined, prepared: { view: 3, digest: 1 } };
    expect(outcomeOf(old, newer, nothing)).to.eql(['b 1']);
  });

  it('are null up to the top, and free beyond', () => {
    const report = (slot: number) => [{ ...reportOf(vote(0, 0))[0]!, slot }];
    const changes = [
      changeOf(0, 1, report(7)),
      changeOf(1, 1, report(7)),
      changeOf(2, 1, report(9)),
    ];
    const { base, top, outcomes } = outcomesOf(changes, 4, SLOT - 1);
    expect([base, top]).to.eql([4, 9]);
    const told = outcomes.map(({ slot, digest }) => `${slot} ${nameOf(digest)}`);
    expect(told).to.eql(['5 null', '6 null', '7 a', '8 null', '9 null']);
  });

  it('begin above the highest checkpoint, whatever is reported below it', () => {
    const frontier = Array.from({ length: 4 }, () => ({ seq: 0, digest: new Uint8Array(32) }));
    const state = { slot: 6, timeMs: 1, frontier, height: 2, tipHash: new Uint8Array(32) };
    const certificate = { state, signatures: [] };
    const lower = { state: { ...state, slot: 2 }, signatures: [] };
    const changes = [
      { ...changeOf(0, 1, reportOf(vote(0, 0))), checkpoint: lower },
      { ...changeOf(1, 1, []), checkpoint: certificate },
      changeOf(2, 1, reportOf(vote(0, 0))),
    ];
    const { checkpoint, base, top, outcomes } = outcomesOf(changes, 4, 0);
    expect(checkpoint).to.equal(certificate);
    expect([base, top, outcomes.length]).to.eql([6, 6, 0]);
  });
});
