/** A network of real processes to do harm to: faults, what the replicas say of themselves, and the verdict at the end. */
import { expect } from 'chai';
import type { ChannelInfo, Gateway } from '../../orderer/service.ts';
import {
  createAgent,
  type LoadResult,
  quantile,
  type Receipt,
  submitUntilCommitted,
} from '../load/driver.ts';
import { type AuditOptions, type AuditSource, audit, signerOf } from '../load/scenario.ts';
import { TestNetwork, type TestNetworkOptions } from '../support/network.ts';
import { cpuSeconds } from '../support/process-stats.ts';
import { IN_GUEST, patience } from '../support/slow.ts';
import { eventually } from '../support/until.ts';
import { requireAcknowledged } from './chain.ts';
import { ChaosLoad, type Pace, STEADY } from './load.ts';

/** The auditor's cryptography is JavaScript, which emulation makes slowest of all. So many signatures are checked, those of the newest blocks; of the blocks before, links and hashes. */
const SIGNATURES_MAX = IN_GUEST ? 60 : 4_000;
/** A busy machine takes its time. */
export const PATIENCE_MS = patience(90_000);
/** Of a start of all replicas, until something is ordered. */
export interface StartCost {
  readonly elapsedMs: number;
  /** Processor time of one replica, on the average: what a busy machine does not change. */
  readonly cpuMs: number;
}

const CATCH_UP_MS = patience(300_000);
const ASK_TIMEOUT_MS = patience(2_000);
/** Nobody who has just lost a replica waits long for it. */
const PROBE_ANSWER_MS = patience(5_000);
const PROBE_RETRY_MS = 5;
/** How soon a client gives up on an answer and goes elsewhere. */
const LOAD_ANSWER_MS = patience(4_000);

/** A started network for each test of the suite, and what its replicas logged when the test fails. */
export function onNewNetworks(use: (chaos: ChaosNetwork) => void): void {
  let chaos: ChaosNetwork | undefined;

  beforeEach(async () => {
    chaos = await ChaosNetwork.start();
    use(chaos);
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.log(chaos?.network.logs());
    await chaos?.destroy();
    chaos = undefined;
  });
}

export class ChaosNetwork {
  readonly network: TestNetwork;
  /** Every receipt that a client has been given. */
  readonly acknowledged = new Map<string, Receipt>();
  readonly #signer: Gateway;
  readonly #agent = createAgent();
  #load: ChaosLoad | undefined;

  private constructor(network: TestNetwork) {
    this.network = network;
    this.#signer = signerOf(network);
  }

  /** Four replicas that order. */
  static async start(options: TestNetworkOptions = {}): Promise<ChaosNetwork> {
    const chaos = await ChaosNetwork.create(options);
    try {
      await chaos.network.start();
    } catch (error) {
      console.log(chaos.network.logs());
      await chaos.destroy();
      throw error;
    }
    return chaos;
  }

  /** Not started yet. */
  static async create(options: TestNetworkOptions = {}): Promise<ChaosNetwork> {
    return new ChaosNetwork(await TestNetwork.create(options));
  }

  get numbers(): number[] {
    return this.network.created.replicas.map(({ number }) => number);
  }

  get signer(): Gateway {
    return this.#signer;
  }

  get channel(): string {
    return this.network.created.config.channel;
  }

  othersThan(...numbers: number[]): number[] {
    return this.numbers.filter((number) => !numbers.includes(number));
  }

  async info(number: number): Promise<ChannelInfo> {
    const answer = await fetch(`${this.network.url(number)}/v1/channels/${this.channel}`, {
      signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
    });
    return (await answer.json()) as ChannelInfo;
  }

  /** Undefined when the replica can order; otherwise what it says is in the way. */
  async obstacle(number: number): Promise<string | undefined> {
    const answer = await fetch(`${this.network.url(number)}/healthz`, {
      signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
    });
    const body = await answer.text();
    return answer.ok ? undefined : body;
  }

  /** The leader, once these replicas agree on who it is. */
  async leader(numbers: readonly number[] = this.numbers): Promise<number> {
    let leader = 0;
    await eventually('the replicas agree on the leader', async () => {
      const infos = await Promise.all(numbers.map((number) => this.info(number)));
      leader = infos[0]?.leader ?? 0;
      return infos.every((info) => info.leader === leader && info.state === 'ordering');
    });
    return leader;
  }

  startLoad(pace: Pace = STEADY): void {
    const { urls } = this.network;
    this.#load = new ChaosLoad(
      { urls, channel: this.channel, answerMs: LOAD_ANSWER_MS, ...pace },
      this.#signer,
      this.acknowledged,
    );
  }

  /** Waits until this many more transactions have their receipt; gives up when none has for a long time. */
  async committed(more: number): Promise<void> {
    const load = this.#running();
    const goal = load.committed + more;
    for (let seen = load.committed; seen < goal; seen = load.committed) {
      const news = async (): Promise<boolean> => load.failed || load.committed > seen;
      await eventually('another receipt', news, PATIENCE_MS);
    }
  }

  async stopLoad(): Promise<LoadResult> {
    const load = this.#running();
    this.#load = undefined;
    return await load.stop();
  }

  /** Restarts the replicas without waiting for them. */
  restart(...numbers: number[]): void {
    this.network.spawn(...numbers);
  }

  /** Kills all four at once and starts them; answers what it took from the start to the next receipt. */
  async cutPower(): Promise<StartCost> {
    await this.network.kill(...this.numbers);
    const startedMs = performance.now();
    this.restart(...this.numbers);
    await this.probe(this.numbers);
    const used = this.numbers.map((number) => cpuSeconds(this.network.process(number).pid));
    const cpuMs = used.reduce((sum, seconds) => sum + 1_000 * seconds, 0) / used.length;
    return { elapsedMs: performance.now() - startedMs, cpuMs };
  }

  /** Kills the leader and takes it back; answers how long it took from the kill to a receipt of the others. */
  async replaceLeader(): Promise<number> {
    const leader = await this.leader();
    const dead = this.network.kill(leader);
    const ms = await this.probe(this.othersThan(leader));
    await dead;
    this.restart(leader);
    await this.takePart([leader]);
    return ms;
  }

  /** Submits one transaction to these replicas in turn; answers after how many milliseconds it had the receipt. */
  async probe(numbers: readonly number[]): Promise<number> {
    const startedMs = performance.now();
    const { receipt } = await submitUntilCommitted(
      {
        urls: numbers.map((number) => this.network.url(number)),
        channel: this.channel,
        patienceMs: PATIENCE_MS,
        answerMs: PROBE_ANSWER_MS,
        retryMs: PROBE_RETRY_MS,
      },
      this.#agent,
      0,
      this.#signer.wrap(new TextEncoder().encode('probe')),
    );
    this.acknowledged.set(receipt.txId, receipt);
    return performance.now() - startedMs;
  }

  /** Waits until these replicas order, vote, and have all blocks that the others have now. */
  async takePart(numbers: readonly number[] = this.numbers): Promise<void> {
    for (const number of numbers) {
      await eventually(
        `replica ${number} takes part`,
        async () => {
          const [obstacle, info] = await Promise.all([this.obstacle(number), this.info(number)]);
          if (obstacle !== undefined) throw new Error(obstacle);
          if (info.mute || info.state !== 'ordering') throw new Error(JSON.stringify(info));
          return true;
        },
        PATIENCE_MS,
      );
    }
    for (const number of numbers) await this.catchUp(number);
  }

  /** Waits until this replica has all blocks that the others have now. */
  async catchUp(number: number): Promise<void> {
    const heights = await Promise.all(this.numbers.map((each) => this.heightOf(each)));
    const goal = Math.max(...heights);
    await eventually(
      `replica ${number} has block ${goal - 1}`,
      async () => (await this.info(number)).height >= goal,
      CATCH_UP_MS,
    );
  }

  /** 0 of one that does not answer. */
  async heightOf(number: number): Promise<number> {
    return await this.info(number).then(
      ({ height }) => height,
      () => 0,
    );
  }

  /** Waits until every replica votes: the fast path needs all n. Wants load, or makes a little itself. */
  async voteAll(): Promise<void> {
    await eventually(
      'all four vote (fast path)',
      async () => {
        await this.probe(this.numbers);
        const infos = await Promise.all(this.numbers.map((number) => this.info(number)));
        return infos.every(({ path }) => path === 'fast');
      },
      PATIENCE_MS,
    );
  }

  /** Waits until all replicas have the same newest block. Without load. */
  async settle(): Promise<void> {
    await eventually(
      'all have the same newest block',
      async () => {
        const infos = await Promise.all(this.numbers.map((number) => this.info(number)));
        return new Set(infos.map(({ tipHash }) => tipHash)).size === 1;
      },
      PATIENCE_MS,
    );
  }

  /** One chain at all replicas, running and stopped, with every acknowledged transaction once. Leaves them stopped. */
  async verify(name: string): Promise<void> {
    await this.settle();
    const { channel, acknowledged } = this;
    const sizes = await requireAcknowledged(this.network.url(1), channel, acknowledged);
    const running = this.network.urls.map((at) => ({ kind: 'url', at }) as const);
    const from = signedFrom(sizes, this.numbers.length);
    await requireOneChain(running, { from });
    if (from > 0) await requireOneChain(running, { signatures: false });
    await this.network.stop();
    const folders = this.numbers.map((number) => this.network.ledgerFolder(number));
    const stopped = folders.map((at) => ({ kind: 'data', at }) as const);
    await requireOneChain(stopped, { signatures: false });
    console.log(
      `${name}: one chain of ${sizes.length} blocks at four replicas, ` +
        `with all ${acknowledged.size} acknowledged transactions`,
    );
  }

  #running(): ChaosLoad {
    if (this.#load === undefined) throw new Error('there is no load');
    return this.#load;
  }

  async destroy(): Promise<void> {
    this.#load?.abandon();
    this.#agent.destroy();
    // One that was stopped by SIGSTOP does not hear SIGTERM.
    for (const number of this.numbers) {
      if (this.network.wasStarted(number)) this.network.process(number).kill('SIGCONT');
    }
    await this.network.destroy();
  }
}

/** The block from which on all signatures are checked: each replica may have another set of a block's certificate. */
function signedFrom(sizes: readonly number[], replicas: number): number {
  let signatures = 0;
  for (let number = sizes.length - 1; number > 0; number--) {
    signatures += (sizes[number] ?? 0) + replicas * replicas;
    if (signatures > SIGNATURES_MAX) return number;
  }
  return 0;
}

async function requireOneChain(
  sources: readonly AuditSource[],
  options: AuditOptions,
): Promise<void> {
  const report = await audit(sources, options);
  expect(report.verdict).to.equal('good');
  expect(new Set(report.sources.map(({ tipHash }) => tipHash)).size).to.equal(1);
}

export function describeStarts(costs: readonly StartCost[]): string {
  const elapsed = describeTimes(costs.map(({ elapsedMs }) => elapsedMs));
  return `${elapsed}; processor time of a replica ${describeTimes(costs.map(({ cpuMs }) => cpuMs))}`;
}

/** `p50 12 ms, p90 34 ms, max 56 ms of 20`. */
export function describeTimes(timesMs: readonly number[]): string {
  const sorted = Float64Array.from(timesMs).sort();
  const ms = (q: number): string => `${quantile(sorted, q).toFixed(0)} ms`;
  return `p50 ${ms(0.5)}, p90 ${ms(0.9)}, max ${ms(1)} of ${sorted.length}`;
}
