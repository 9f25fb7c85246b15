/**
 * D1 to D4. A replica is cut off anywhere in its log; what it said until then is known (`Voice`). The process that is started from what is left
 * must not contradict it, whatever it is told.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import type { CoreLimits, Effect, LogRecord, Proposal } from '../../../consensus/core/index.ts';
import { RandomCluster } from '../support/random-cluster.ts';
import { START_MS } from '../support/replica.ts';
import { voteReport } from '../support/signed.ts';
import { createSolo, EMPTY, type Solo } from '../support/solo.ts';
import { Voice } from '../support/voice.ts';

const SMALL = { windowSlots: 8, pipelineSlotsMax: 3, fetchSlotsMax: 8, laneAdvanceBatchesMax: 3 };
const SELF = 2;
/** So that views change often. */
const IMPATIENT = { ...SMALL, heartbeatMs: 5, viewTimeoutMs: 20, leaderGoneMs: 10 };

/** Everything that replica 2 said and stored in a random run in which views change. */
function historyOf(seed: number): Effect[] {
  const cluster = new RandomCluster({ seed, replicas: 4, lossPercent: 8, limits: IMPATIENT });
  const history: Effect[] = [];
  cluster.onEffect = (self, effect) => {
    if (self === SELF) history.push(effect);
  };
  // Its first effects have come already: the empty log.
  history.push({ kind: 'rotate-log', records: [{ kind: 'checkpoint', certificate: undefined }] });
  for (let event = 0; event < 1_600; event++) cluster.disturb();
  return history;
}

interface Life {
  readonly voice: Voice;
  log: LogRecord[];
}

/** The life that ends right after record number `cut`. */
function lifeUntil(history: readonly Effect[], cut: number, voice: Voice): Life {
  const life: Life = { voice, log: [] };
  let records = 0;
  for (const effect of history) {
    if (effect.kind === 'persist') life.log.push(effect.record);
    if (effect.kind === 'rotate-log') life.log = [...effect.records];
    voice.hear(effect);
    const isRecord = effect.kind === 'persist' || effect.kind === 'rotate-log';
    if (isRecord && records++ === cut) return life;
  }
  return life;
}

/** Peers that want it to say something else than it did: proposals, questions, new views. */
function tempt(solo: Solo, view: number): void {
  const { stable } = solo.state.checkpoints;
  const leader = view % 4;
  for (let slot = stable.slot + 1; slot <= stable.slot + SMALL.windowSlots; slot++) {
    const other = { ...solo.content(slot, {}, START_MS + 5), cut: true };
    if (leader !== SELF) solo.propose(other, view);
    const digest = solo.digest(other);
    for (const from of [0, 1, 3]) {
      solo.cell(from, { kind: 'vote', view, slot, digest });
      solo.cell(from, { kind: 'commit', view, slot, digest });
    }
    if (slot > stable.slot + 2) continue;
    const prepare = solo.signed.prepare(0, other, view);
    solo.message(0, { kind: 'prepare', request: true, prepare });
  }
}

function live(solo: Solo): void {
  const { view } = solo.core.status();
  solo.step({ kind: 'submit', payload: Buffer.from('another batch') });
  solo.openAll();
  answerChecks(solo);
  for (let of = Math.max(0, view - 1); of <= view + 1; of++) tempt(solo, of);
  solo.live(100);
  for (let next = view + 1; next <= view + 2; next++) {
    for (const from of [0, 1]) solo.standing(from, { view: next, wish: next, changing: true });
    solo.live(50);
  }
}

function answerChecks(solo: Solo): void {
  for (const effect of [...solo.effects]) {
    if (effect.kind !== 'check-batch') continue;
    const { batch, ref } = effect;
    solo.checked(batch.lane, ref);
  }
}

function restored(records: readonly LogRecord[], limits: Partial<CoreLimits> = SMALL): Solo {
  return createSolo(SELF, 4, limits, { kind: 'restore', records });
}

describe('a replica that is killed and started again', function () {
  this.timeout(20_000);

  it('contradicts nothing that it has said, wherever its log ends', () => {
    const { state } = createSolo(SELF, 4, SMALL);
    const digestOf = (proposal: Proposal) => state.digests.proposal(proposal);
    let views = 0;
    const histories = [1, 14, 17].map(historyOf);
    fc.assert(
      fc.property(fc.constantFrom(...histories), fc.nat(9_999), (history, at) => {
        const records = history.filter(({ kind }) => kind === 'persist' || kind === 'rotate-log');
        const cut = at % records.length;
        const { voice, log } = lifeUntil(history, cut, new Voice(SELF, digestOf));
        expect(voice.broken, 'the first life').to.eql([]);
        const solo = restored(log);
        try {
          live(solo);
        } catch (error) {
          // Peers that lie about everything are more than f, and a replica that notices halts.
          if ((error as { code?: string }).code !== 'safety_violation') throw error;
        }
        for (const effect of solo.effects) voice.hear(effect);
        expect(voice.broken, `record ${cut} of ${records.length}`).to.eql([]);
        if (log.some(({ kind }) => kind === 'new-view' || kind === 'view-change')) views++;
      }),
      { numRuns: 60, seed: 7 },
    );
    expect(views, 'logs with view changes').to.be.above(20);
  });

  it('says its votes of the present view again, with the COMMITs, and no PREPARE unasked', () => {
    const first = createSolo(SELF);
    first.openAll();
    const tip = first.batch(1, EMPTY, 'a');
    for (const slot of [1, 2]) first.propose(first.content(slot, { 1: tip }));
    for (const from of [0, 1]) {
      const prepare = first.prepareOf(from, first.content(1, { 1: tip }));
      first.message(from, { kind: 'prepare', request: false, prepare });
    }
    first.live(100);
    expect(first.cells('commit').map(({ slot }) => slot)).to.eql([1]);
    const solo = restored(first.log(), {});
    solo.tick(0);
    expect(solo.cells('vote')).to.eql(first.cells('vote'));
    expect(solo.cells('commit')).to.eql(first.cells('commit'));
    const [check] = solo.effects.filter(({ kind }) => kind === 'check-batch');
    expect(check).to.deep.include({ ref: tip, extent: 'restored' });
    expect(solo.sent('prepare')).to.eql([]);
  });

  it('reports after a restart what it would have reported before', () => {
    const first = createSolo(SELF);
    first.openAll();
    for (const slot of [1, 2]) first.propose(first.content(slot, {}));
    for (const from of [0, 1]) {
      const prepare = first.prepareOf(from, first.content(1, {}));
      first.message(from, { kind: 'prepare', request: true, prepare });
    }
    const solo = restored(first.log(), {});
    for (const one of [first, solo]) {
      one.openAll();
      one.carryTo(1);
    }
    const [before] = first.sent('view-change');
    const [after] = solo.sent('view-change');
    expect(after).to.eql(before);
    expect(after?.viewChange.reports).to.have.length(2);
  });

  it('is still on its way to the view that it had asked for', () => {
    const first = createSolo(SELF);
    first.openAll();
    first.propose(first.content(1, {}));
    first.carryTo(1);
    const solo = restored(first.log(), {});
    solo.openAll();
    expect(solo.core.status()).to.include({ view: 1, changing: true });
    solo.propose(solo.content(2, {}));
    solo.live(200);
    expect(solo.votes()).to.eql([]);
    expect(solo.sent('view-change')[0]).to.eql(first.sent('view-change')[0]);
    // It gives the leader its time, anew.
    expect(solo.state.views.wish).to.equal(1);
    solo.live(500);
    expect(solo.state.views.wish).to.be.above(1);
  });

  it('knows the outcomes of its view that it has not voted for yet', () => {
    const first = createSolo(SELF);
    first.openAll();
    first.propose(first.content(1, {}));
    const reports = [1, 2].map((slot) =>
      voteReport(slot, 0, first.digest(first.content(slot, {}))),
    );
    first.message(1, { kind: 'new-view', newView: first.signed.newViewOf(1, reports) });
    expect(first.votes()).to.eql([1, 1]);
    const solo = restored(first.log(), {});
    solo.openAll();
    expect(solo.votes()).to.eql([1]);
    expect(solo.sent('fetch-proposal').map(({ slot }) => slot)).to.eql([2]);
    // It can show the NEW-VIEW to others.
    solo.message(3, { kind: 'view-change', viewChange: solo.signed.viewChange(3, 1) });
    expect(solo.sent('new-view')).to.have.length(1);
  });

  it('remembers votes above a checkpoint that was stable, but not in its ledger yet', () => {
    const first = createSolo(SELF, 4, SMALL);
    first.openAll();
    for (let slot = 1; slot <= 6; slot++) {
      first.propose(first.content(slot, {}));
      first.voteAll(first.content(slot, {}));
    }
    // Its orderer has stored nothing; the others have.
    first.showStable(0, first.signed.certificate(first.checkpointState(4), [0, 1, 3]));
    for (let slot = 7; slot <= 12; slot++) first.propose(first.content(slot, {}));
    expect(Math.max(...first.votes())).to.equal(12);
    const solo = restored(first.log());
    solo.openAll();
    expect(solo.cells('vote').map(({ slot }) => slot)).to.eql(first.votes());
    for (let slot = 7; slot <= 12; slot++) {
      solo.propose({ ...solo.content(slot, {}), cut: true });
      expect(solo.votes().filter((voted) => voted === slot)).to.have.length(1);
    }
    solo.carryTo(1);
    const [sent] = solo.sent('view-change');
    expect(sent?.viewChange.reports.map(({ slot }) => slot)).to.eql([5, 6, 7, 8, 9, 10, 11, 12]);
  });

  it('remembers who has begun a new life since', () => {
    const first = createSolo(SELF);
    first.openAll();
    first.message(3, { kind: 'fetch-checkpoint', life: 7, ready: false });
    const solo = restored(first.log(), {});
    solo.openAll();
    solo.carryTo(1);
    expect(solo.sent('view-change')[0]?.viewChange.lives).to.eql([0, 0, 0, 7]);
    const { signed } = solo;
    const late = [signed.viewChange(0, 1), signed.viewChange(3, 1)];
    const own = solo.sent('view-change')[0]!.viewChange;
    const newView = signed.newView(1, [late[0]!, own, late[1]!]);
    solo.message(1, { kind: 'new-view', newView });
    expect(solo.accusations()[0]).to.contain('of a former life');
  });

  it('goes on with its own lane after the last batch that it made, read again or not', () => {
    const first = createSolo(SELF);
    first.openAll();
    first.step({ kind: 'submit', payload: Buffer.from('a') });
    first.step({ kind: 'submit', payload: Buffer.from('b') });
    const solo = restored(first.log(), {});
    const [written] = solo
      .step({ kind: 'submit', payload: Buffer.from('c') })
      .filter(({ kind }) => kind === 'write-batch');
    expect(written).to.have.nested.property('ref.seq', 3);
    solo.openAll();
    answerChecks(solo);
    expect(solo.state.lanes[SELF]!.tip.seq).to.equal(3);
    // Those that nobody else may have are sent again.
    solo.step({ kind: 'session', peer: 0, open: false });
    const said = solo.step({ kind: 'session', peer: 0, open: true });
    const sent = said.flatMap((effect) =>
      effect.kind === 'send' && effect.message.kind === 'batch' ? [effect.message.batch.seq] : [],
    );
    expect(sent).to.eql([1, 2, 3]);
  });

  it('and leads goes on behind what it had proposed', () => {
    const first = createSolo(0);
    first.openAll();
    for (const text of ['a', 'b']) first.step({ kind: 'submit', payload: Buffer.from(text) });
    const [one, two] = first.cells('proposal');
    const solo = createSolo(0, 4, {}, { kind: 'restore', records: first.log() });
    solo.openAll();
    answerChecks(solo);
    expect(solo.cells('proposal').slice(0, 2)).to.eql([one, two]);
    solo.step({ kind: 'submit', payload: Buffer.from('c') });
    expect(solo.cells('proposal').map(({ proposal }) => proposal.slot)).to.eql([1, 2, 3]);
  });

  it('alone decides again what it had decided, however often it is killed', () => {
    let log: LogRecord[] | undefined;
    for (let life = 0; life < 4; life++) {
      const entry = log === undefined ? undefined : ({ kind: 'restore', records: log } as const);
      const solo = createSolo(0, 1, {}, entry);
      solo.tick(0);
      answerChecks(solo);
      solo.step({ kind: 'submit', payload: Buffer.from(`${life}`) });
      solo.live(200);
      expect(solo.delivered(), `life ${life}`).to.eql(
        Array.from({ length: life + 1 }, (_, index) => index + 1),
      );
      log = solo.log();
      const known = solo.log();
      log = entry === undefined ? known : [...entry.records, ...known];
    }
  });

  it('does not take the time that it was dead for the time that a commit takes', () => {
    const first = createSolo(SELF);
    first.openAll();
    first.propose(first.content(1, {}));
    const solo = restored(first.log(), {});
    const { commitMs } = solo.state.path;
    solo.openAll();
    solo.voteAll(solo.content(1, {}));
    expect(solo.delivered()).to.eql([1]);
    expect(solo.core.status().fastCommits).to.equal(1);
    expect(solo.state.path.commitMs).to.equal(commitMs);
  });

  it('stands at the checkpoint of its log', () => {
    const first = createSolo(SELF, 4, SMALL);
    first.openAll();
    for (let slot = 1; slot <= 5; slot++) {
      first.propose(first.content(slot, {}));
      first.voteAll(first.content(slot, {}));
      first.apply();
    }
    for (const from of [0, 1]) first.signCheckpoint(from, first.checkpointState(4));
    expect(first.log().map(({ kind }) => kind)).to.eql(['checkpoint', 'vote']);
    const solo = restored(first.log());
    expect(solo.core.status()).to.include({ executedSlot: 4, appliedSlot: 4, stableSlot: 4 });
    solo.openAll();
    expect(solo.votes()).to.eql([5]);
    solo.voteAll(solo.content(5, {}));
    expect(solo.delivered()).to.eql([5]);
    expect(solo.core.interest().fromSlot).to.equal(6);
  });
});
