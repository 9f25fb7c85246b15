/** The scale model as a section of the report: what is measured and what is modeled stands apart, and says which it is. */
import type { SlotCost } from '../consensus/slot-cost.ts';
import type { Plot, Section, Series } from '../result.ts';
import { batchUs, cellsUs, cpuParts, cpuUs, VOTINGS, type Voting } from './cost.ts';
import { type Cluster, type Deployment, deploy } from './deployment.ts';
import { NETWORKS, type NetworkModel } from './networks.ts';
import type { Simulated } from './simulated.ts';

export interface Point {
  readonly n: number;
  /** On one thread: what the model is held against. */
  readonly measured: SlotCost;
  /** Modeled, for the same. */
  readonly modeledUs: number;
  readonly counted: Simulated;
  readonly model: Cluster;
  /** Undefined where there were no processes. */
  readonly processUs: number | undefined;
  readonly sha256Us: number;
}

export interface Load {
  /** In the one large batch of a slot. */
  readonly fullBatchTransactions: number;
}

const MEASURED = 'measured on this machine';
const MODELED = 'modeled';

export function seriesOf(points: readonly Point[], load: Load): Series[] {
  return [
    ...points.flatMap(measuredSeries),
    ...points.map(countedSeries),
    ...points.map(operationSeries),
    ...points.flatMap((point) => VOTINGS.map((voting) => modeledSeries(point, voting, load))),
  ];
}

function measuredSeries(point: Point): Series[] {
  const { n, measured, modeledUs, processUs, sha256Us } = point;
  const { us, slowShare, turnsPerSlot, idleTurnUs } = measured;
  const parameters = {
    figures: MEASURED,
    provider: 'shm',
    durability: 'memory',
    signatures: 'none',
  };
  const found: Series[] = [
    {
      name: `n = ${n}, measured, one thread`,
      parameters,
      figures: {
        'CPU us per slot and replica': us,
        'slow path, share': slowShare,
        turns: turnsPerSlot,
        'us of an idle turn, all in turn': idleTurnUs.all,
        'us of an idle turn, alone': idleTurnUs.alone,
        'SHA-256 of 256 B, us': sha256Us,
      },
    },
    {
      name: `n = ${n}, modeled, one thread`,
      parameters: { figures: MODELED },
      figures: { 'CPU us per slot and replica': modeledUs, 'modeled / measured': modeledUs / us },
    },
  ];
  if (processUs === undefined) return found;
  const figures = { 'CPU us per slot and replica': processUs, 'SHA-256 of 256 B, us': sha256Us };
  return [...found, { name: `n = ${n}, measured, processes`, parameters, figures }];
}

function countedSeries({ n, counted: { counts, unexpected } }: Point): Series {
  const { written, read } = counts;
  return {
    name: `n = ${n}, counted, per slot and replica`,
    parameters: { figures: 'counted in the simulator' },
    figures: {
      turns: counts.turns,
      takes: counts.takes,
      settles: counts.settles,
      'votes written': written.vote,
      'votes read': read.vote,
      'proposals read': read.proposal,
      'progress written': written.progress,
      'progress read': read.progress,
      'batches read': counts.batchesRead,
      'messages read': counts.messagesRead,
      'SHA-256s of the core': counts.hashes,
      'signatures made': counts.signed,
      'signatures checked': counts.verified,
      'MACs made': counts.writesOut,
      'writes out': counts.writesOut,
      'bytes out': counts.bytesOut,
      'slow path messages, all': unexpected,
    },
  };
}

function operationSeries({ n, model: { costs, work }, sha256Us }: Point): Series {
  return {
    name: `n = ${n}, measured, single operations`,
    parameters: { figures: MEASURED, provider: 'shm' },
    figures: {
      'write a vote to all, us': costs.writeCell.vote,
      'more for one peer, us': costs.sealVote,
      'write a progress cell to all, us': costs.writeCell.progress,
      'read a vote, us': costs.readCell.vote,
      'of that in JavaScript, us': costs.dispatch,
      'decode a vote, us': costs.decodeCell.vote,
      'read a progress cell, us': costs.readCell.progress,
      'decode a progress cell, us': costs.decodeCell.progress,
      'core, one vote, us': work.voteUs,
      'core, a slot, us': work.coreUs,
      'write a batch to all, us': costs.writeBatch.small,
      'read a batch, us': costs.readBatch.small,
      'read a full batch, us': costs.readBatch.large,
      'check a signature, us': costs.verify,
      'SHA-256 of 256 B, us': sha256Us,
    },
  };
}

function modeledSeries({ n, model }: Point, voting: Voting, load: Load): Series {
  const parts = cpuParts(model.work, model.costs, voting);
  const slotUs = cpuUs(parts);
  const { fullBatchTransactions } = load;
  const fullSlotUs = slotUs + batchUs(model.costs);
  const figures: Record<string, number> = {
    'CPU us per slot and replica': slotUs,
    'CPU us per tx and replica': fullSlotUs / fullBatchTransactions,
  };
  for (const [name, us] of Object.entries(parts)) figures[`${name}, us`] = us;
  if (voting === 'all-to-all') {
    const { work, costs } = model;
    const takenUs = work.counts.read.vote * work.voteUs;
    figures['of all: votes, the core included, us'] = cellsUs(work, costs, 'vote') + takenUs;
    figures['of all: progress cells, without the core, us'] = cellsUs(work, costs, 'progress');
  }
  for (const [index, network] of NETWORKS.entries()) {
    const deployed = deploy(model, network, voting);
    if (index === 0) {
      figures['writes out'] = deployed.traffic.writes;
      figures['bytes out'] = deployed.traffic.bytes;
      figures['writes, all replicas'] = deployed.traffic.writes * n;
    }
    figures[`commit us, ${network.name}`] = deployed.commitUs;
    figures[`slots/s, ${network.name}`] = deployed.slotsPerSecond;
  }
  return { name: `n = ${n}, modeled, ${voting}`, parameters: { figures: MODELED }, figures };
}

export function plotsOf(points: readonly Point[]): Plot[] {
  const line = (name: string, of: (point: Point) => number | undefined) => ({
    name,
    points: points.flatMap((point) => {
      const value = of(point);
      return value === undefined ? [] : [[point.n, value] as const];
    }),
  });
  const ofVoting = (of: (point: Point, voting: Voting) => number) =>
    VOTINGS.map((voting) => line(`modeled, ${voting}`, (point) => of(point, voting)));
  const deployed = (network: NetworkModel, of: (deployment: Deployment) => number) =>
    ofVoting((point, voting) => of(deploy(point.model, network, voting)));
  const x = { label: 'replicas', log: false };
  return [
    {
      title: 'Processor time of one slot for one replica',
      x,
      y: { label: 'us', log: true },
      lines: [
        line('measured, one thread', ({ measured }) => measured.us),
        line('measured, processes', ({ processUs }) => processUs),
        line('modeled, one thread', ({ modeledUs }) => modeledUs),
        ...ofVoting(({ model }, voting) => cpuUs(cpuParts(model.work, model.costs, voting))),
      ],
    },
    ...NETWORKS.map((network) => ({
      title: `Modeled commit latency, ${network.name}`,
      x,
      y: { label: 'us', log: false },
      lines: deployed(network, ({ commitUs }) => commitUs),
    })),
    ...NETWORKS.slice(0, 1).map((network) => ({
      title: `Modeled bound of slots a second, ${network.name}`,
      x,
      y: { label: 'slots/s', log: true },
      lines: deployed(network, ({ slotsPerSecond }) => slotsPerSecond),
    })),
  ];
}

export function ratiosOf(points: readonly Point[]): Section['ratios'] {
  return points.flatMap(({ n, model, modeledUs, measured }) => {
    const us = (voting: Voting): number => cpuUs(cpuParts(model.work, model.costs, voting));
    return [
      { name: `n = ${n}: modeled / measured, one thread`, value: modeledUs / measured.us },
      {
        name: `n = ${n}: modeled, gathered / all-to-all`,
        value: us('gathered') / us('all-to-all'),
      },
      {
        name: `n = ${n}: modeled, collector / all-to-all`,
        value: us('collector') / us('all-to-all'),
      },
    ];
  });
}
