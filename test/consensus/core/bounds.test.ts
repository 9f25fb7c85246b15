import { expect } from 'chai';
import { createSolo, EMPTY } from '../support/solo.ts';

describe('bounds', () => {
  it('hold what a lane owner floods with', () => {
    const solo = createSolo(0, 4, { laneBatchesHeldMax: 20, ownBatchesPendingMax: 10 });
    for (let i = 0; i < 100; i++) solo.batch(2, EMPTY, `fork ${i}`, 'none');
    let after = EMPTY;
    for (let i = 0; i < 100; i++) after = solo.batch(2, after, `chain ${i}`, 'none');
    expect(solo.state.lanes[2]!.heldBatches).to.equal(20);
    expect(solo.core.status().ignored['batch beyond what is held of a lane']).to.equal(180);
  });

  describe('of a lane whose owner has begun anew with batches in flight', () => {
    const HELD_MAX = 8;
    function executed(limits = {}) {
      const solo = createSolo(1, 4, {
        laneBatchesHeldMax: HELD_MAX,
        laneAdvanceBatchesMax: HELD_MAX,
        ownBatchesPendingMax: HELD_MAX,
        ...limits,
      });
      solo.openAll();
      const first = solo.batch(2, EMPTY, 'first');
      const content = solo.content(1, { 2: first });
      solo.propose(content);
      solo.voteAll(content);
      expect(solo.delivered()).to.eql([1]);
      return { solo, first, lane: solo.state.lanes[2]! };
    }
    it('leave room for what it says now', () => {
      const { solo, first, lane } = executed();
      for (const life of ['one', 'two', 'three']) {
        for (const open of [false, true]) solo.step({ kind: 'session', peer: 2, open });
        let after = solo.refOf(2, EMPTY, life);
        for (let i = 0; i < HELD_MAX; i++) after = solo.batch(2, after, `${life} ${i}`, 'none');
      }
      expect(lane.heldBatches).to.equal(0);
      expect(lane.deadBatches).to.equal(HELD_MAX);
      expect(solo.effects.filter(({ kind }) => kind === 'check-batch')).to.have.length(1);
      const now = solo.batch(2, first, 'now');
      expect(lane.tip).to.eql(now);
    });

    it('see through batches that came before what they continue', () => {
      const { solo, lane } = executed();
      const ancestors = [solo.refOf(2, EMPTY, 'lost')];
      for (let i = 0; i < 4; i++) ancestors.push(solo.refOf(2, ancestors[i]!, `batch ${i}`));
      for (const i of [3, 2, 1]) solo.batch(2, ancestors[i]!, `batch ${i}`, 'none');
      expect(lane.heldBatches).to.equal(3);
      solo.batch(2, ancestors[0]!, 'batch 0', 'none');
      expect(lane.heldBatches).to.equal(0);
      expect(lane.deadBatches).to.equal(4);
      const dropped = solo.effects.filter(({ kind }) => kind === 'drop-batch');
      expect(dropped).to.have.length(3);
    });

    /** As many orphans as are kept, by their bytes. */
    function full() {
      const bytes = 1_000;
      const { solo, lane } = executed({
        batchBytesMax: bytes,
        laneAdvanceBytesMax: bytes,
        laneBytesHeldMax: 3 * bytes,
      });
      let after = solo.refOf(2, EMPTY, 'lost');
      for (let i = 0; i < HELD_MAX; i++) after = solo.batch(2, after, `${i}`.repeat(bytes), 'none');
      expect(lane.deadBytes).to.equal(3 * bytes);
      expect(lane.deadBatches).to.equal(3);
      return { solo, lane, payload: Buffer.alloc(bytes, 'x') };
    }

    it('hold for their bytes, too', () => {
      full();
    });

    it('give up nothing that a decided slot names, before that is executed', () => {
      const { solo, lane, payload } = full();
      const { digest: previous } = solo.refOf(2, EMPTY, 'elsewhere');
      const named = { seq: 2, digest: solo.state.digests.batch(2, 2, previous, payload) };
      const content = solo.content(2, { 2: named });
      for (const from of [2, 3]) solo.progress(from, 2);
      solo.tick(25);
      for (const from of [2, 3]) solo.message(from, { kind: 'decided', proposal: content });
      solo.live(100);
      expect(solo.sent('fetch-batch').at(-1)?.ref).to.eql(named);
      const batch = { lane: 2, seq: 2, previous, payload };
      solo.message(0, { kind: 'batch', batch });
      // It leads nowhere (E2), which takes the batch to see.
      expect(solo.delivered()).to.eql([1, 2]);
      expect(lane.executed.seq).to.equal(1);
      expect(lane.heldBatches).to.equal(0);
    });
  });

  it('take no batch that nobody asked for, except from its owner', () => {
    const solo = createSolo(1);
    solo.openAll();
    const batch = { lane: 2, seq: 1, previous: EMPTY.digest, payload: Buffer.from('a') };
    solo.message(3, { kind: 'batch', batch });
    expect(solo.state.lanes[2]!.heldBatches).to.equal(0);
    solo.message(2, { kind: 'batch', batch });
    expect(solo.state.lanes[2]!.heldBatches).to.equal(1);
  });

  it('take no other batch than the one asked for', () => {
    const solo = createSolo(1);
    solo.openAll();
    solo.propose(solo.content(1, { 2: solo.refOf(2, EMPTY, 'a') }));
    solo.tick(5);
    const batch = { lane: 2, seq: 1, previous: EMPTY.digest, payload: Buffer.from('b') };
    solo.message(0, { kind: 'batch', batch });
    expect(solo.state.lanes[2]!.heldBatches).to.equal(0);
    expect(solo.core.status().ignored['another batch than asked for']).to.equal(1);
  });

  it('take no batch that is too long, from anybody', () => {
    const solo = createSolo(1, 4, { batchBytesMax: 4 });
    solo.openAll();
    solo.propose(solo.content(1, { 2: solo.refOf(2, EMPTY, 'too long') }));
    solo.tick(5);
    solo.batch(2, EMPTY, 'too long', 'none');
    const payload = Buffer.from('too long');
    const batch = { lane: 2, seq: 1, previous: EMPTY.digest, payload };
    solo.message(0, { kind: 'batch', batch });
    expect(solo.state.lanes[2]!.heldBatches).to.equal(0);
    const reason = 'batch exceeds batchBytesMax';
    expect(solo.accusations()).to.eql([`malformed 2: ${reason}`, `malformed 0: ${reason}`]);
  });

  it('limit answers per peer', () => {
    const solo = createSolo(0, 4, { wantsMax: 2, fetchSlotsMax: 2 });
    solo.openAll();
    const ref = solo.batch(2, EMPTY, 'a');
    let answers = 0;
    for (let i = 0; i < 20; i++) {
      const said = solo.message(1, { kind: 'fetch-batch', lane: 2, ref, after: 0 });
      answers += said.filter(({ kind }) => kind === 'send').length;
    }
    expect(answers).to.equal(4);
    solo.nowMs += 50;
    expect(
      solo.message(1, { kind: 'fetch-batch', lane: 2, ref, after: 0 }),
    ).to.have.length.greaterThan(0);
  });

  it('report each kind of malformed input once, and count all', () => {
    const solo = createSolo(0);
    for (let i = 0; i < 5; i++) solo.step({ kind: 'malformed', from: 2, reason: 'noise' });
    expect(solo.evidence()).to.have.length(1);
    expect(solo.core.status().peers.find(({ peer }) => peer === 2)?.faults).to.equal(5);
  });

  it('keep the leader within a window above the stable checkpoint', () => {
    const solo = createSolo(0, 4, { windowSlots: 8, pipelineSlotsMax: 4, fetchSlotsMax: 8 });
    solo.openAll();
    const decideAll = () => {
      for (let i = 0; i < 20; i++) {
        const pending = solo.state.lanes[0]!.tip.seq - solo.state.executed.frontier[0]!.seq;
        if (pending < 8) solo.step({ kind: 'submit', payload: Buffer.from(`${i}`) });
        for (const { proposal } of solo.cells('proposal')) solo.voteAll(proposal);
        solo.apply();
      }
    };
    decideAll();
    expect(solo.state.leader.head.slot).to.equal(8);
    const { state } = solo.state.checkpoints.open[0]!;
    for (const from of [1, 2]) solo.signCheckpoint(from, state!);
    expect(solo.core.status().stableSlot).to.equal(4);
    decideAll();
    expect(solo.state.leader.head.slot).to.equal(12);
  });

  it('stop a leader while too many bytes lie above the stable checkpoint', () => {
    const solo = createSolo(0, 4, { checkpointBytes: 100 });
    solo.openAll();
    for (let i = 0; i < 20; i++) {
      if (solo.state.lanes[0]!.tip.seq - solo.state.executed.frontier[0]!.seq < 8) {
        solo.step({ kind: 'submit', payload: new Uint8Array(50) });
      }
      for (const { proposal } of solo.cells('proposal')) solo.voteAll(proposal);
      solo.apply();
    }
    // Four checkpoints' worth, of two batches each.
    expect(solo.state.retained.unstableBytes).to.equal(400);
    expect(solo.state.executed.slot).to.equal(8);
  });

  it('do not bury an orderer that does not apply', () => {
    const solo = createSolo(1, 4, { windowSlots: 4, pipelineSlotsMax: 2, fetchSlotsMax: 4 });
    solo.openAll();
    const decide = (slot: number) => {
      solo.propose(solo.content(slot, {}));
      solo.voteAll(solo.content(slot, {}));
    };
    for (let slot = 1; slot <= 4; slot++) decide(slot);
    const certificate = solo.signed.certificate(solo.checkpointState(2));
    solo.showStable(0, certificate, 4);
    for (let slot = 5; slot <= 6; slot++) decide(slot);
    expect(solo.delivered()).to.eql([1, 2, 3, 4]);
    solo.step({ kind: 'applied', slot: 1, blocksUncertified: 0 });
    expect(solo.delivered()).to.eql([1, 2, 3, 4, 5]);
  });

  it('keep executed batches up to the stable checkpoint, and of older ones retainedBytesMax', () => {
    const solo = createSolo(0, 1, { retainedBytesMax: 4_000, windowSlots: 32, fetchSlotsMax: 8 });
    for (let i = 1; i <= 300; i++) {
      solo.step({ kind: 'submit', payload: new Uint8Array(30) });
      expect(solo.state.lanes[0]!.batches.size).to.be.at.most(16 + 3);
      solo.apply();
    }
    expect(solo.core.status().stableSlot).to.equal(288);
    expect(solo.state.lanes[0]!.batches.size).to.equal(12);
    expect(solo.state.lanes[0]!.heldBytes).to.equal(0);
    expect(solo.state.retained.bytes).to.equal(12 * (1_024 + 30));
    expect(solo.state.retained.unstableBytes).to.equal(12 * 30);
    const forgotten = solo.effects.flatMap((effect) =>
      effect.kind === 'forget-batch' ? [effect.batch.seq] : [],
    );
    expect(forgotten).to.eql(Array.from({ length: 288 }, (_, index) => index + 1));
  });

  it('ask for no more cells than matter', () => {
    const solo = createSolo(1);
    expect(solo.core.interest()).to.eql({ fromSlot: 1, toSlot: 4 });
    solo.openAll();
    for (const from of [0, 2]) {
      solo.progress(from, 1_000);
    }
    expect(solo.core.interest()).to.eql({ fromSlot: 1, toSlot: 256 });
  });
});
