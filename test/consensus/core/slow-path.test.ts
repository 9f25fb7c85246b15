import { expect } from 'chai';
import { START_MS } from '../support/replica.ts';
import { createSolo } from '../support/solo.ts';

describe('the slow path', () => {
  function voted() {
    const solo = createSolo(1);
    solo.openAll();
    const content = solo.content(1, {});
    solo.propose(content);
    return { solo, content };
  }
  const commits = (solo: ReturnType<typeof createSolo>) =>
    solo.effects.filter((effect) => effect.kind === 'write-cell' && effect.cell.kind === 'commit');

  it('needs q valid signatures and checks no more', () => {
    const { solo, content } = voted();
    const { verified } = solo.crypto.counts;
    solo.message(0, { kind: 'prepare', request: true, prepare: solo.prepareOf(0, content) });
    expect(solo.crypto.counts.verified).to.equal(verified);
    expect(commits(solo)).to.have.length(0);
    solo.message(2, { kind: 'prepare', request: true, prepare: solo.prepareOf(2, content) });
    expect(commits(solo)).to.have.length(1);
    solo.message(3, { kind: 'prepare', request: true, prepare: solo.prepareOf(3, content) });
    expect(solo.crypto.counts.verified).to.equal(verified + 2);
    expect(solo.crypto.counts.signed).to.equal(1);
  });

  it('does not count a forged, stale or relayed PREPARE', () => {
    const { solo, content } = voted();
    const good = solo.prepareOf(2, content);
    const relayed = { kind: 'prepare', request: false, prepare: good } as const;
    solo.message(3, relayed);
    const signature = good.signature.slice();
    signature[5]! ^= 1;
    solo.message(2, { ...relayed, prepare: { ...good, signature } });
    // Signed for another view than it says.
    const stale = { ...solo.prepareOf(3, content, 1), view: 0 };
    solo.message(3, { ...relayed, prepare: stale });
    expect(commits(solo)).to.have.length(0);
    solo.message(0, { ...relayed, prepare: solo.prepareOf(0, content) });
    solo.tick(60);
    expect(commits(solo)).to.have.length(0);
    const faults = solo.evidence().map(({ kind, peer }) => [kind, peer]);
    expect(faults).to.have.deep.members([
      ['invalid-signature', 2],
      ['invalid-signature', 3],
    ]);
  });

  it('takes two PREPAREs of one signer for proof, when both are valid', () => {
    const { solo, content } = voted();
    const other = solo.content(1, {}, START_MS + 7);
    const say = (from: number, prepare: ReturnType<typeof solo.prepareOf>) =>
      solo.message(from, { kind: 'prepare', request: false, prepare });
    const [first, second] = [solo.prepareOf(2, content), solo.prepareOf(2, other)];
    say(2, first);
    say(2, second);
    say(2, second);
    expect(solo.evidence()).to.eql([
      { kind: 'prepare-equivocation', peer: 2, prepares: [first, second] },
    ]);
    // One that is not signed proves something else.
    say(3, solo.prepareOf(3, content));
    say(3, { ...solo.prepareOf(3, other), signature: first.signature });
    expect(solo.accusations().at(-1)).to.equal('invalid-signature 3');
  });

  it('does not COMMIT in a view what was decided in a later one', () => {
    const { solo, content } = voted();
    for (const from of [2, 3]) solo.progress(from, 1);
    solo.tick(25);
    for (const from of [2, 3]) solo.message(from, { kind: 'decided', proposal: content });
    expect(solo.delivered()).to.eql([1]);
    solo.tick(60);
    const ask = { kind: 'prepare', request: true, prepare: solo.prepareOf(0, content) } as const;
    solo.message(0, ask);
    // In which view it was decided, nobody has said.
    expect(solo.sent('prepare').map(({ request }) => request)).to.eql([true]);
    expect(commits(solo)).to.eql([]);
  });

  it('COMMITs what others told it, once it has the certificate of this view', () => {
    const { solo, content } = voted();
    for (const from of [2, 3]) solo.progress(from, 1);
    solo.tick(25);
    for (const from of [2, 3]) solo.message(from, { kind: 'decided', proposal: content });
    solo.tick(60);
    const ask = (from: number) =>
      solo.message(from, {
        kind: 'prepare',
        request: true,
        prepare: solo.prepareOf(from, content),
      });
    ask(0);
    expect(commits(solo)).to.have.length(0);
    ask(2);
    expect(commits(solo)).to.have.length(1);
    const kinds = solo.effects.map((effect) =>
      effect.kind === 'persist' ? effect.record.kind : effect.kind,
    );
    expect(kinds.lastIndexOf('prepared')).to.be.greaterThan(kinds.lastIndexOf('send'));
    expect(kinds.lastIndexOf('prepared')).to.be.lessThan(kinds.lastIndexOf('write-cell'));
  });

  it('asks for PREPAREs when it is asked, told of the decision as it is: others may have been told, too', () => {
    const solo = createSolo(1, 7);
    solo.openAll();
    const content = solo.content(1, {});
    solo.propose(content);
    const told = [2, 3, 4];
    for (const from of told) solo.progress(from, 1);
    solo.tick(25);
    for (const from of told) solo.message(from, { kind: 'decided', proposal: content });
    expect(solo.delivered()).to.eql([1]);
    const say = (from: number, request: boolean) => {
      const said = solo.message(from, {
        kind: 'prepare',
        request,
        prepare: solo.prepareOf(from, content),
      });
      return said.flatMap((effect) =>
        effect.kind === 'send' && effect.message.kind === 'prepare'
          ? [`${effect.to} ${effect.message.request ? 'asked' : 'answered'}`]
          : [],
      );
    };
    solo.live(1_000);
    expect(solo.sent('prepare')).to.eql([]);
    const all = [0, 2, 3, 4, 5, 6].map((to) => `${to} asked`);
    expect(say(0, true)).to.eql(all);
    expect(say(5, true)).to.eql([]);
    // It waits for nothing, so only questions make it ask again.
    solo.live(1_000);
    expect(solo.sent('prepare')).to.have.length(1);
    expect(say(0, true)).to.eql([...[2, 3, 4, 6].map((to) => `${to} asked`), '0 answered']);
    expect(say(6, false)).to.eql([]);
    expect(commits(solo)).to.have.length(0);
    expect(say(2, false)).to.eql([]);
    expect(commits(solo)).to.have.length(1);
    solo.live(1_000);
    expect(say(0, true)).to.eql(['0 answered']);
  });

  it('commits without own certificate when q others say so', () => {
    const { solo, content } = voted();
    for (const from of [0, 2, 3]) {
      solo.cell(from, { kind: 'commit', view: 0, slot: 1, digest: solo.digest(content) });
    }
    expect(solo.delivered()).to.eql([1]);
  });

  it('helps with PREPARE and COMMIT after it has decided', () => {
    const { solo, content } = voted();
    for (const from of [0, 2, 3]) {
      solo.cell(from, { kind: 'vote', view: 0, slot: 1, digest: solo.digest(content) });
    }
    expect(solo.core.status().fastCommits).to.equal(1);
    expect(commits(solo)).to.have.length(0);
    const ask = { kind: 'prepare', request: true, prepare: solo.prepareOf(3, content) } as const;
    const said = solo.message(3, ask);
    expect(said.map(({ kind }) => kind)).to.eql(['send', 'write-cell']);
    expect(solo.message(3, ask)).to.eql([]);
    solo.nowMs += 60;
    expect(solo.message(3, ask).filter(({ kind }) => kind === 'send')).to.have.length(1);
  });

  it('refuses to help with what it did not vote for', () => {
    const { solo } = voted();
    const other = solo.content(1, {}, START_MS + 7);
    solo.message(3, { kind: 'prepare', request: true, prepare: solo.prepareOf(3, other) });
    expect(solo.crypto.counts.signed).to.equal(0);
  });

  it('writes no COMMIT for its own vote when something else was decided', () => {
    const { solo, content } = voted();
    for (const from of [2, 3]) solo.progress(from, 1);
    solo.tick(25);
    const other = solo.content(1, {}, START_MS + 1);
    for (const from of [2, 3]) solo.message(from, { kind: 'decided', proposal: other });
    expect(solo.delivered()).to.eql([1]);
    solo.tick(60);
    const ask = { kind: 'prepare', request: true, prepare: solo.prepareOf(0, content) } as const;
    solo.message(0, ask);
    expect(commits(solo)).to.eql([]);
  });
});
