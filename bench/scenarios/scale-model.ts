/** What a slot and a transaction cost as n grows: measured as far as this machine goes, modeled beyond, for three ways of voting. */
import { DEFAULT_LIMITS } from '../../consensus/core/limits.ts';
import { Cluster, type ClusterJobResult } from '../consensus/cluster.ts';
import { measureSlotCost } from '../consensus/slot-cost.ts';
import { type Costs, cpuParts, cpuUs, type Work } from '../model/cost.ts';
import { NETWORKS } from '../model/networks.ts';
import { measureOperations } from '../model/operations.ts';
import { replayCosts } from '../model/replay.ts';
import { type Point, plotsOf, ratiosOf, seriesOf } from '../model/report.ts';
import { type Simulated, simulate } from '../model/simulated.ts';
import type { Section } from '../result.ts';
import { takeFigures } from '../retake.ts';
import { amount, type BenchOptions, type Scenario } from '../scenario.ts';
import { sha256Us } from '../sha256.ts';

const SIZES = [4, 7, 10, 16, 31];
/** As many processes as two cores can carry without each waiting for the others most of the time. */
const PROCESSES = [4, 7, 10];
const BATCH_BYTES = 64;
const FULL_BATCH_TRANSACTIONS = 256;
const TRANSACTION_BYTES = 256;
const SLOT_REPLICAS = 8_000;
/** Of the simulator: two of its checkpoints, so that what these cost is in every slot's share. */
const SIMULATED_SLOTS = 2 * DEFAULT_LIMITS.checkpointSlots;
const PROCESS_SLOTS = 2_000;
/** As fast as slots follow each other on the one thread, but not so fast that many batches meet in one slot. */
const BATCHES_PER_SECOND_MAX = 5_000;
const TITLE = 'Cost of a slot and of a transaction as n grows, measured and modeled';

export const scaleModel: Scenario = {
  name: 'scale-model',
  title: TITLE,
  async run(options) {
    const points: Point[] = [];
    for (const n of SIZES) points.push(await pointOf(n, options));
    return sectionOf(points);
  },
};

async function pointOf(n: number, options: BenchOptions): Promise<Point> {
  options.say(`n = ${n}: on one thread`);
  const before = sha256Us();
  const job = {
    replicas: n,
    batchBytes: BATCH_BYTES,
    slotReplicas: amount(options, SLOT_REPLICAS),
  };
  const measured = measureSlotCost(job);
  options.say(`n = ${n}: simulated`);
  const batchesPerSecond = Math.min(BATCHES_PER_SECOND_MAX, 1e6 / measured.us);
  const counted = await simulate({ replicas: n, slots: SIMULATED_SLOTS, batchesPerSecond });
  options.say(`n = ${n}: single operations`);
  const operations = measureOperations({
    replicas: n,
    batchBytes: { small: BATCH_BYTES, large: FULL_BATCH_TRANSACTIONS * TRANSACTION_BYTES },
    message: counted.message,
  });
  const { idleTurnUs, turnsPerSlot: turns } = measured;
  const costs: Costs = { ...operations, turn: idleTurnUs.alone };
  const processUs = PROCESSES.includes(n) ? await measureProcesses(n, options) : undefined;
  const works = worksOf(counted);
  const together = { ...works.work, counts: { ...works.work.counts, turns } };
  const costsTogether: Costs = { ...operations, turn: idleTurnUs.all };
  return {
    n,
    measured,
    modeledUs: cpuUs(cpuParts(together, costsTogether, 'all-to-all')),
    model: { costs, ...works, smallBatchBytes: BATCH_BYTES },
    counted,
    processUs,
    sha256Us: (before + sha256Us()) / 2,
  };
}

/** Of a replica on the average (all but one follow), and of the leader. */
function worksOf(simulated: Simulated): { work: Work; leader: Work } {
  const {
    replicas,
    counts,
    leader: countsOfLeader,
    leaderRecording,
    followerRecording,
  } = simulated;
  const leader = replayCosts(leaderRecording);
  const follower = replayCosts(followerRecording);
  const mean = (of: (costs: typeof leader) => number): number =>
    (of(leader) + (replicas - 1) * of(follower)) / replicas;
  return {
    work: { counts, coreUs: mean((one) => one.slotUs), voteUs: mean((one) => one.voteUs) },
    leader: { counts: countsOfLeader, coreUs: leader.slotUs, voteUs: leader.voteUs },
  };
}

async function measureProcesses(replicas: number, options: BenchOptions): Promise<number> {
  options.say(`n = ${replicas}: processes`);
  const { figures } = await takeFigures(() => runProcesses(replicas, options), options.say);
  return figures.cpuUsPerSlot;
}

async function runProcesses(replicas: number, options: BenchOptions): Promise<ClusterJobResult> {
  const cluster = await Cluster.start({ replicas, provider: 'shm', durability: 'memory' });
  try {
    const batches = amount(options, Math.ceil(PROCESS_SLOTS / replicas));
    const job = { batches, batchBytes: BATCH_BYTES, inFlight: 1 };
    await cluster.run(job);
    return await cluster.run(job);
  } finally {
    await cluster.stop();
  }
}

function sectionOf(points: readonly Point[]): Section {
  const networks = NETWORKS.map(
    ({ name, latencyUs, postUs, messageUs, bytesPerUs }) =>
      `${name}: ${latencyUs} us one way, ${postUs} us of the sender for a write, ${messageUs} us of the card for a message, ${bytesPerUs} B/us`,
  );
  return {
    name: 'scale-model',
    title: TITLE,
    text: `Measured: all replicas on one thread, one turn each in turn, over shared memory, a batch of ${BATCH_BYTES} bytes a slot; processor time of replicas that are processes; and each operation by itself. Counted: what the cores do for a slot in the simulator's virtual time, without faults. Modeled: those counts times those costs, in a stated network. Ways of voting: all-to-all, as it is; gathered, where the poll hands all votes of a slot to JavaScript as one; collector, where each replica writes one cell with a MAC for each reader to the slot's collector, which relays (modeled only: neither exists). A transaction: ${TRANSACTION_BYTES} bytes, ${FULL_BATCH_TRANSACTIONS} in the slot's one batch, signatures of clients left out. Networks are assumed: ${networks.join('; ')}.`,
    unit: 'us',
    series: seriesOf(points, { fullBatchTransactions: FULL_BATCH_TRANSACTIONS }),
    ratios: ratiosOf(points),
    plots: plotsOf(points),
  };
}
