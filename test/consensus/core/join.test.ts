/** J1 to J4, P8: a replica that does not know what it may have voted for. */
import { expect } from 'chai';
import { DEFAULT_LIMITS } from '../../../consensus/core/limits.ts';
import { START_MS } from '../support/replica.ts';
import { createSolo, EMPTY, type Solo } from '../support/solo.ts';

const LIMITS = { windowSlots: 4, pipelineSlotsMax: 2, fetchSlotsMax: 4 };

function joiner(self = 3, replicas = 4): Solo {
  const solo = createSolo(self, replicas, LIMITS, { kind: 'join' });
  solo.openAll();
  return solo;
}

function answer(solo: Solo, from: number, stableSlot: number, namedSlot: number): void {
  const certificate =
    stableSlot === 0 ? undefined : solo.signed.certificate(solo.checkpointState(stableSlot));
  solo.showStable(from, certificate, namedSlot);
}

/** A NEW-VIEW whose makers, replicas 0 to q - 1, know these lives of replica 3, each one of them. */
function enterView(solo: Solo, view: number, knownLives: readonly number[], slot = 0): void {
  const { signed, state } = solo;
  const checkpoint = slot === 0 ? undefined : signed.certificate(solo.checkpointState(slot));
  const changes = knownLives.map((life, signer) => {
    const lives = state.lives.map((_, replica) => (replica === 3 ? life : 0));
    return signed.viewChange(signer, view, [], checkpoint, lives);
  });
  solo.message(0, { kind: 'new-view', newView: signed.newView(view, changes) });
  solo.tick(60);
}

const ownLife = (solo: Solo): number => solo.state.lives[solo.state.self] as number;
const isMute = (solo: Solo) => solo.core.status().mute;

/** Everything that a replica with a voice could have said. */
function voices(solo: Solo): string[] {
  const cells = (['vote', 'commit', 'proposal'] as const).flatMap((kind) => solo.cells(kind));
  const messages = (['prepare', 'view-change'] as const).flatMap((kind) => solo.sent(kind));
  return [...cells, ...messages].map(({ kind }) => kind);
}

describe('a joiner', () => {
  it('says that it is mute, and writes no log', () => {
    const solo = joiner();
    solo.batch(1, EMPTY, 'a');
    solo.live(10);
    expect(solo.cells('progress').at(-1)).to.include({ mute: true });
    expect(solo.log()).to.eql([]);
  });

  it('asks all, again and again, and says who it is now: the later, the higher', () => {
    const solo = joiner();
    solo.live(1_000);
    const asked = solo.sent('fetch-checkpoint');
    expect(asked.length).to.be.within(4, 10);
    expect(asked.every(({ life, ready }) => life === START_MS && !ready)).to.equal(true);
    for (const from of [0, 1, 2]) answer(solo, from, 0, 0);
    solo.live(1_000);
    expect(solo.sent('fetch-checkpoint').at(-1)).to.include({ life: START_MS, ready: true });
  });

  it('takes a later life than f + 1 peers know of: its clock was set back', () => {
    const solo = joiner();
    solo.showStable(0, undefined, 0, 2 ** 50);
    solo.showStable(1, undefined, 0, START_MS + 7);
    expect(ownLife(solo)).to.equal(START_MS);
    solo.showStable(2, undefined, 0, START_MS + 5);
    expect(ownLife(solo)).to.equal(START_MS + 8);
  });

  it('says nothing that counts, whatever it is offered', () => {
    const solo = joiner();
    for (let slot = 1; slot <= 3; slot++) {
      const content = solo.content(slot, {});
      solo.propose(content);
      solo.voteAll(content);
      for (const from of [0, 1, 2]) {
        solo.message(from, {
          kind: 'prepare',
          request: true,
          prepare: solo.prepareOf(from, content),
        });
      }
    }
    solo.carryTo(3);
    solo.live(2_000);
    expect(solo.core.status()).to.include({ view: 3, changing: true, mute: true });
    solo.message(1, { kind: 'new-view', newView: solo.signed.newViewOf(3) });
    // It leads view 3, and does not.
    solo.batch(1, EMPTY, 'a');
    solo.live(2_000);
    expect(voices(solo)).to.eql([]);
    expect(solo.log()).to.eql([]);
    expect(solo.state.views.wish).to.equal(3);
  });

  it('follows and executes what the others decide', () => {
    const solo = joiner();
    const content = solo.content(1, {});
    solo.propose(content);
    for (const from of [0, 1, 2]) {
      solo.cell(from, { kind: 'commit', view: 0, slot: 1, digest: solo.digest(content) });
    }
    solo.apply();
    expect(solo.delivered()).to.eql([1]);
    solo.live(DEFAULT_LIMITS.progressDelayMsMax);
    expect(solo.cells('progress').at(-1)).to.include({ appliedSlot: 1, mute: true });
  });

  it('waits for a stable checkpoint that has passed the highest slot that q name, and for a new view', () => {
    const solo = joiner();
    const takeOver = (slot: number) => {
      solo.tick(60);
      answer(solo, 0, slot, slot);
      solo.live(30);
      solo.step({ kind: 'transferred', slot });
    };
    answer(solo, 0, 2, 3);
    answer(solo, 1, 2, 5);
    answer(solo, 2, 0, 2);
    solo.live(30);
    solo.step({ kind: 'transferred', slot: 2 });
    takeOver(4);
    const life = ownLife(solo);
    enterView(solo, 1, [life, life, life], 4);
    expect(isMute(solo), 'the checkpoint lies below slot 5').to.equal(true);
    takeOver(6);
    expect(isMute(solo)).to.equal(false);
    expect(solo.log().map(({ kind }) => kind)).to.eql(['checkpoint', 'lives', 'new-view']);
    solo.propose(solo.content(7, {}), 1);
    expect(solo.votes()).to.eql([7]);
  });

  it('stays mute in a view that one of the makers entered without knowing of its new life', () => {
    const solo = joiner();
    for (const from of [0, 1, 2]) answer(solo, from, 0, 0);
    const life = ownLife(solo);
    enterView(solo, 1, [life, 0, life]);
    expect(solo.core.status()).to.include({ view: 1, mute: true });
    enterView(solo, 2, [life, life, life - 1]);
    expect(solo.core.status()).to.include({ view: 2, mute: true });
    solo.propose(solo.content(1, {}), 2);
    expect(solo.votes()).to.eql([]);
    enterView(solo, 4, [life, life, life]);
    expect(solo.core.status()).to.include({ view: 4, mute: false });
    solo.propose(solo.content(1, {}), 4);
    expect(solo.votes()).to.eql([1]);
  });

  it('is not made to wait longer than two windows by a lie', () => {
    const solo = joiner();
    answer(solo, 0, 2, 2 ** 50);
    answer(solo, 1, 2, 3);
    answer(solo, 2, 2, 3);
    expect(solo.state.mute?.untilSlot).to.equal(2 + 2 * LIMITS.windowSlots);
  });

  it('knows nothing that another joiner could use', () => {
    const solo = joiner();
    solo.message(2, { kind: 'fetch-checkpoint', life: 0, ready: false });
    expect(solo.sent('stable-checkpoint')).to.have.length(0);
  });

  it('takes batches of its own lane as a peer does: it does not remember them', () => {
    const solo = joiner();
    for (const from of [0, 1, 2]) answer(solo, from, 0, 0);
    const life = ownLife(solo);
    enterView(solo, 1, [life, life, life]);
    const tip = solo.refOf(3, EMPTY, 'of a former life');
    solo.propose(solo.content(1, { 3: tip }), 1);
    expect(solo.accusations()).to.eql([]);
    solo.live(10);
    expect(solo.sent('fetch-batch').map(({ lane }) => lane)).to.eql([3]);
    const payload = Buffer.from('of a former life');
    const batch = { lane: 3, seq: 1, previous: new Uint8Array(32), payload };
    solo.message(0, { kind: 'batch', batch });
    solo.checked(3, tip);
    expect(solo.votes()).to.eql([1]);
  });
});

describe('peers of a joiner', () => {
  const asks = (solo: Solo, life: number, ready: boolean) =>
    solo.message(3, { kind: 'fetch-checkpoint', life, ready });
  const wish = (solo: Solo) => solo.state.views.wish;

  function peer(): Solo {
    const solo = createSolo(2, 4, LIMITS);
    solo.openAll();
    solo.standing(0, {});
    solo.standing(3, { mute: true });
    return solo;
  }

  it('remember its newest life, on disk, before they answer', () => {
    const solo = peer();
    const said = asks(solo, 7, false);
    expect(said.map(({ kind }) => kind)).to.eql(['persist', 'send']);
    expect(said[0]).to.deep.include({ record: { kind: 'lives', lives: [0, 0, 0, 7] } });
    expect(solo.sent('stable-checkpoint').at(-1)).to.include({ life: 7 });
    asks(solo, 5, true);
    expect(solo.core.status().ignored['word from a former life']).to.equal(1);
    expect(solo.sent('stable-checkpoint').at(-1)).to.include({ life: 7 });
    solo.carryTo(1);
    expect(solo.sent('view-change').at(-1)?.viewChange.lives).to.eql([0, 0, 0, 7]);
  });

  it('wish for a new view when it waits for nothing else, and not for every view', () => {
    const solo = peer();
    asks(solo, 7, false);
    solo.tick(1);
    expect(wish(solo)).to.equal(0);
    asks(solo, 7, true);
    expect(wish(solo)).to.equal(1);
    solo.standing(0, { wish: 1 });
    expect(solo.core.status()).to.include({ view: 1, changing: true });
    const changes = [0, 1, 2].map((signer) =>
      solo.signed.viewChange(signer, 1, [], undefined, [0, 0, 0, signer === 1 ? 0 : 7]),
    );
    solo.message(1, { kind: 'new-view', newView: solo.signed.newView(1, changes) });
    expect(solo.core.status()).to.include({ view: 1, changing: false });
    // Replica 1 did not know: it takes another view, a while later.
    asks(solo, 7, true);
    expect(wish(solo)).to.equal(1);
    for (let i = 0; i < 21; i++) {
      solo.standing(1, { view: 1 });
      solo.live(50);
    }
    expect(wish(solo)).to.equal(2);
  });

  it('learn its life from f + 1 VIEW-CHANGEs, not from one', () => {
    const learned = (lives: readonly number[]) => {
      const solo = peer();
      const changes = lives.map((life, signer) =>
        solo.signed.viewChange(signer, 1, [], undefined, [0, 0, 0, life]),
      );
      solo.message(1, { kind: 'new-view', newView: solo.signed.newView(1, changes) });
      return solo.state.lives[3];
    };
    expect(learned([9, 0, 0])).to.equal(0);
    expect(learned([9, 8, 0])).to.equal(8);
  });

  it('refuse a NEW-VIEW with a VIEW-CHANGE of its former life beside one that knows better', () => {
    const solo = peer();
    const { signed } = solo;
    const knowing = [0, 1].map((signer) =>
      signed.viewChange(signer, 1, [], undefined, [0, 0, 0, 7]),
    );
    const former = signed.viewChange(3, 1);
    solo.message(1, { kind: 'new-view', newView: signed.newView(1, [...knowing, former]) });
    expect(solo.accusations()).to.eql([
      'invalid-new-view 1: the VIEW-CHANGE of replica 3 is of a former life',
    ]);
    expect(solo.core.status().view).to.equal(0);
  });

  it('who lead leave it out, and take what is left if that is a quorum', () => {
    const solo = createSolo(1, 4, LIMITS);
    solo.openAll();
    asks(solo, 7, false);
    solo.carryTo(1);
    const { signed } = solo;
    solo.message(3, { kind: 'view-change', viewChange: signed.viewChange(3, 1) });
    solo.message(0, { kind: 'view-change', viewChange: signed.viewChange(0, 1) });
    expect(solo.sent('new-view')).to.have.length(0);
    solo.message(2, { kind: 'view-change', viewChange: signed.viewChange(2, 1) });
    const [sent] = solo.sent('new-view');
    expect(sent?.newView.changes.map(({ signer }) => signer)).to.eql([0, 1, 2]);
  });
});

describe('a leader', () => {
  it('proposes empty slots for a mute replica, up to the next checkpoint, and not again at once', () => {
    const solo = createSolo(0, 4, LIMITS);
    solo.openAll();
    const slots = () => solo.cells('proposal').map(({ proposal }) => proposal.slot);
    solo.standing(3, { mute: true });
    expect(slots()).to.eql([]);
    solo.live(60);
    expect(slots()).to.eql([1, 2]);
    for (let i = 0; i < 2; i++) {
      for (const { proposal } of solo.cells('proposal')) {
        const { slot } = proposal;
        for (const from of [1, 2]) {
          solo.message(from, {
            kind: 'prepare',
            request: false,
            prepare: solo.prepareOf(from, proposal),
          });
          solo.cell(from, { kind: 'commit', view: 0, slot, digest: solo.digest(proposal) });
        }
      }
      solo.apply();
      solo.live(60);
    }
    expect(slots()).to.eql([1, 2]);
    expect(solo.delivered()).to.eql([1, 2]);
    solo.live(800);
    expect(slots()).to.eql([1, 2]);
    solo.live(200);
    expect(slots()).to.eql([1, 2, 3, 4]);
  });

  it('stops that when the replica has a voice', () => {
    const solo = createSolo(0, 4, LIMITS);
    solo.openAll();
    solo.standing(3, { mute: true });
    solo.standing(3, { mute: false });
    solo.live(500);
    expect(solo.cells('proposal')).to.have.length(0);
  });
});
