/** A replica on cores of its own in a stated network: how long a slot takes, and how many there can be. All of it is reckoned. */
import {
  type Costs,
  cpuParts,
  cpuUs,
  gatheredCellBytes,
  type Traffic,
  trafficOf,
  type Voting,
  type Work,
} from './cost.ts';
import type { NetworkModel } from './networks.ts';
import { cellBytes, frameBytes } from './tally.ts';

export interface Cluster {
  readonly costs: Costs;
  /** Of a replica on the average, and of the leader. */
  readonly work: Work;
  readonly leader: Work;
  readonly smallBatchBytes: number;
}

export interface Deployment {
  /** Processor time of the consensus thread for one slot, posting included. */
  readonly cpuUsPerSlot: number;
  readonly traffic: Traffic;
  /** From the submission of a small batch at the leader to its execution there, nothing else under way. */
  readonly commitUs: number;
  /** With one core for each consensus thread: as many as its busiest replica, its network card or its cable can take. */
  readonly slotsPerSecond: number;
}

export function deploy(cluster: Cluster, network: NetworkModel, voting: Voting): Deployment {
  const { costs, work, leader } = cluster;
  const { replicas } = costs;
  const traffic = trafficOf(work.counts, replicas, voting);
  const ofLeader = trafficOf(leader.counts, replicas, voting);
  const busyUs = (one: Work, { writes }: Traffic): number =>
    cpuUs(cpuParts(one, costs, voting)) + writes * network.postUs;
  const cpuUsPerSlot = busyUs(work, traffic);
  const limitUs = Math.max(cpuUsPerSlot, busyUs(leader, ofLeader), cardUs(ofLeader, network));
  return {
    cpuUsPerSlot,
    traffic,
    commitUs: commitUs(cluster, network, voting),
    slotsPerSecond: 1e6 / limitUs,
  };
}

function cardUs({ writes, bytes }: Traffic, { messageUs, bytesPerUs }: NetworkModel): number {
  return Math.max(writes * messageUs, bytes / bytesPerUs);
}

/**
 * Leader's batch and proposal, the followers' votes, and whoever counts them: one after the other, each with what it must do
 * for it before it can go on, and all votes arriving together. Checking the batch is left out.
 */
function commitUs(cluster: Cluster, network: NetworkModel, voting: Voting): number {
  const { costs, work, leader, smallBatchBytes } = cluster;
  const { replicas, turn, writeBatch, readBatch, writeCell, readCell, decodeCell } = costs;
  const peers = replicas - 1;
  const hashUs = costs.hash + costs.hashPerByte * cellBytes('proposal', replicas);
  const proposed = {
    writes: 2 * peers,
    bytes: peers * (frameBytes(smallBatchBytes) + cellBytes('proposal', replicas)),
  };
  const proposeUs = turn + writeBatch.small + writeCell.proposal + 2 * hashUs + rulesUs(leader) / 2;
  const judgeUs =
    turn +
    readBatch.small +
    readCell.proposal +
    decodeCell.proposal +
    2 * hashUs +
    rulesUs(work) / 2;
  return (
    proposeUs + wayUs(proposed, network) + judgeUs + votesUs(costs, work.voteUs, network, voting)
  );
}

/** Of the core, for anything but votes. */
function rulesUs({ coreUs, voteUs, counts }: Work): number {
  return Math.max(0, coreUs - counts.read.vote * voteUs);
}

function wayUs(traffic: Traffic, network: NetworkModel): number {
  return traffic.writes * network.postUs + cardUs(traffic, network) + network.latencyUs;
}

/** From a vote to everybody's having counted them all. */
function votesUs(costs: Costs, voteUs: number, network: NetworkModel, voting: Voting): number {
  const { replicas, turn, writeCell, readCell, decodeCell, dispatch, sealVote } = costs;
  const peers = replicas - 1;
  const nativeUs = Math.max(0, readCell.vote - dispatch);
  const oneUs = dispatch + decodeCell.vote + voteUs;
  const votes = { writes: peers, bytes: peers * cellBytes('vote', replicas) };
  switch (voting) {
    case 'all-to-all':
      return writeCell.vote + wayUs(votes, network) + turn + peers * (nativeUs + oneUs);
    case 'gathered':
      return writeCell.vote + wayUs(votes, network) + turn + peers * nativeUs + oneUs;
    case 'collector': {
      const bytes = gatheredCellBytes(replicas);
      const callUs = Math.max(0, writeCell.vote - peers * sealVote);
      const toCollector = wayUs({ writes: 1, bytes }, network);
      // What comes to the collector's card at once is as much as it sends.
      const inUs = cardUs({ writes: peers, bytes: peers * bytes }, network);
      const relayUs =
        turn + peers * (nativeUs + sealVote) + callUs + 2 * peers * bytes * costs.copyPerByte;
      const toReaders = wayUs({ writes: peers, bytes: peers * bytes }, network);
      const readUs = turn + nativeUs + peers * sealVote + oneUs;
      return callUs + (peers + 1) * sealVote + toCollector + inUs + relayUs + toReaders + readUs;
    }
    default:
      voting satisfies never;
      return Number.NaN;
  }
}
