import { expect } from 'chai';
import type { CoreStatus } from '../../consensus/core/index.ts';
import { OrderingHealth, type OrderingState, QuorumWatch } from '../../orderer/health.ts';

const status: CoreStatus = {
  view: 0,
  leader: 0,
  changing: false,
  viewChanges: 0,
  wishReason: undefined,
  mute: false,
  stableSlot: 0,
  windowSlots: 256,
  transferring: false,
  nextSlot: 1,
  executedSlot: 0,
  appliedSlot: 0,
  path: 'fast',
  fastCommits: 0,
  slowCommits: 0,
  fetchedCommits: 0,
  behind: false,
  ignored: {},
  peers: [],
  lanes: [],
};

const well: OrderingState = {
  status,
  replicas: 4,
  connected: 4,
  quorumLostForMs: undefined,
  transferringForMs: undefined,
  diskFull: undefined,
};

/** What /healthz says, and what a submission is answered. */
function judge(change: Partial<OrderingState>): [string | undefined, string | undefined] {
  const health = new OrderingHealth();
  const state = { ...well, ...change };
  return [health.obstacle(state), health.refusal(state)];
}

describe('what keeps a replica from ordering', () => {
  it('is nothing while it takes part, the leader connected or not', () => {
    expect(judge({})).to.deep.equal([undefined, undefined]);
    expect(judge({ connected: 3 })).to.deep.equal([undefined, undefined]);
    expect(judge({ status: undefined })).to.deep.equal([undefined, undefined]);
  });

  it('is no change of leader, unless it lasts; submissions are held all the time', () => {
    const health = new OrderingHealth();
    const state = { ...well, status: { ...status, changing: true } };
    expect(health.obstacle(state)).to.equal(undefined);
    expect(health.refusal(state)).to.equal(undefined);
    const { now } = performance;
    try {
      const later = now.call(performance) + 6_000;
      performance.now = () => later;
      expect(health.obstacle(state)).to.equal(
        'the replicas have been changing their leader for 6 s',
      );
      expect(health.refusal(state)).to.equal(undefined);
      expect(health.obstacle(well)).to.equal(undefined);
      expect(health.obstacle(state)).to.equal(undefined);
    } finally {
      performance.now = now;
    }
  });

  it('is a missing quorum, at once; submissions are held for a moment', () => {
    const sentence = '2 of 4 replicas are connected, 3 are needed to order';
    const lost = { connected: 2, quorumLostForMs: 100 };
    expect(judge(lost)).to.deep.equal([sentence, undefined]);
    expect(judge({ ...lost, quorumLostForMs: 2_100 })).to.deep.equal([sentence, sentence]);
  });

  it('is a checkpoint that is being fetched; submissions are held for some seconds', () => {
    const [unwell, refused] = judge({ transferringForMs: 100 });
    expect(unwell).to.match(/fell behind/);
    expect(refused).to.equal(undefined);
    expect(judge({ transferringForMs: 6_000 })[1]).to.match(/fell behind/);
  });

  it('is a full disk, or having no memory of its votes', () => {
    const full = judge({ diskFull: 'no room is left: /x' });
    for (const sentence of full) expect(sentence).to.match(/^the disk is full: make room, .*\/x/);
    const mute = judge({ status: { ...status, mute: true } });
    for (const sentence of mute) expect(sentence).to.match(/joined without memory/);
  });
});

describe('who is connected', () => {
  it('is counted with this replica, and timed from when too few are', () => {
    const watch = new QuorumWatch(4, 3);
    expect([watch.connected, watch.lostForMs === undefined]).to.deep.equal([1, false]);
    watch.onSession(0, true);
    watch.onSession(1, true);
    expect([watch.connected, watch.lostForMs]).to.deep.equal([3, undefined]);
    watch.onSession(1, false);
    watch.onSession(1, false);
    expect(watch.connected).to.equal(2);
    expect(watch.lostForMs).to.be.within(0, 1_000);
  });
});
