import { expect } from 'chai';
import type { CoreStatus } from '../../consensus/core/index.ts';
import type { ConsenterKey } from '../../ledger/format/index.ts';
import { orderingObstacle } from '../../orderer/health.ts';

const consenters: ConsenterKey[] = [1, 2, 3, 4].map((number) => ({
  number,
  algorithm: 'ed25519',
  publicKey: new Uint8Array(32).fill(number),
}));

/** Status of the replica with index 3, the leader being index 0. */
function status(open: readonly number[], behind = false): CoreStatus {
  return {
    view: 0,
    leader: 0,
    nextSlot: 1,
    executedSlot: 0,
    appliedSlot: 0,
    path: 'fast',
    fastCommits: 0,
    slowCommits: 0,
    fetchedCommits: 0,
    behind,
    ignored: {},
    peers: [0, 1, 2].map((peer) => ({
      peer,
      open: open.includes(peer),
      appliedSlot: 0,
      faults: 0,
    })),
    lanes: [],
  };
}

describe('what keeps a replica from ordering', () => {
  it('is nothing while a quorum and the leader are connected', () => {
    expect(orderingObstacle(status([0, 1, 2]), 3, consenters)).to.equal(undefined);
    expect(orderingObstacle(status([0, 2]), 3, consenters)).to.equal(undefined);
  });

  it('is a missing quorum', () => {
    const obstacle = '2 of 4 replicas are connected, 3 are needed to order';
    expect(orderingObstacle(status([0]), 3, consenters)).to.equal(obstacle);
    expect(orderingObstacle(undefined, 3, consenters)).to.match(/^1 of 4/);
  });

  it('is a leader that is not connected, by its number', () => {
    expect(orderingObstacle(status([1, 2]), 3, consenters)).to.match(/^replica 1, the leader/);
  });

  it('is having fallen behind', () => {
    expect(orderingObstacle(status([0, 1, 2], true), 3, consenters)).to.match(/fell behind/);
  });
});
