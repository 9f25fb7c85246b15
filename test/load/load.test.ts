/**
 * The long load test (`npm run test:load`): 20,000 transactions with four replicas, again with one killed in
 * the middle, and what an idle network costs. Prints figures; asserts what must hold at any speed.
 */
import { expect } from 'chai';
import { TestNetwork } from '../support/network.ts';
import { cpuSeconds, sleeps } from '../support/process-stats.ts';
import { audit, describeResult, runScenario, type ScenarioOptions } from './scenario.ts';

const TRANSACTIONS = Number(process.env.SLUICE_LOAD_TRANSACTIONS ?? 20_000);
const IN_FLIGHT = Number(process.env.SLUICE_LOAD_IN_FLIGHT ?? 16);
/** V8 optimizes until then what the start has run. */
const SETTLE_SECONDS = 8;
const IDLE_SECONDS = 10;
/** A second and replica. */
const IDLE_WAKES_MAX = 100;
const LONE_TRANSACTIONS = 100;
/** Long enough for every thread to have gone to sleep. */
const LONE_PAUSE_MS = 50;
const RESIDENT_BYTES_MAX = 150 * 2 ** 20;

const load: ScenarioOptions = {
  transactions: TRANSACTIONS,
  payloadBytes: 256,
  clients: 8,
  inFlight: IN_FLIGHT,
};

async function expectAudited(urls: readonly string[]): Promise<void> {
  const report = await audit(urls.map((at) => ({ kind: 'url', at })));
  expect(report.verdict).to.equal('good');
  expect(new Set(report.sources.map(({ tipHash }) => tipHash)).size).to.equal(1);
  expect(report.transactions).to.equal(load.transactions + 1);
  console.log(
    `audited: ${report.signatures} signatures, the same chain at ${urls.length} replicas`,
  );
}

describe('load', function () {
  this.timeout(900_000);
  let network: TestNetwork;

  beforeEach(async () => {
    network = await TestNetwork.create();
    await network.start();
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.log(network.logs());
    await network.destroy();
  });

  it('sleeps when idle', async () => {
    const pids = network.created.replicas.map(({ number }) => network.process(number).pid);
    const sum = (of: (pid: number) => number): number =>
      pids.reduce((total, pid) => total + of(pid), 0);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_SECONDS * 1_000));
    const before = { cpu: sum(cpuSeconds), sleeps: sum(sleeps) };
    await new Promise((resolve) => setTimeout(resolve, IDLE_SECONDS * 1_000));
    const share = (sum(cpuSeconds) - before.cpu) / IDLE_SECONDS;
    const wakes = (sum(sleeps) - before.sleeps) / IDLE_SECONDS / pids.length;
    console.log(
      `idle: four replicas together use ${(100 * share).toFixed(1)} % of a core, each is woken ${wakes.toFixed(0)} times a second`,
    );
    // A heartbeat of the leader every 50 ms, and some timers: what it costs is a matter of the machine.
    expect(wakes).to.be.below(IDLE_WAKES_MAX);
  });

  it('wakes up for a lone transaction', async () => {
    const lone = { transactions: LONE_TRANSACTIONS, payloadBytes: 256, clients: 1, inFlight: 1 };
    const result = await runScenario(network, { ...lone, pauseMs: LONE_PAUSE_MS });
    console.log(describeResult('one at a time on an idle network', lone, result));
    expect(new Set(result.txIds).size).to.equal(LONE_TRANSACTIONS);
  });

  it('orders each transaction once, the same at four replicas', async () => {
    const result = await runScenario(network, load);
    console.log(describeResult('four replicas', load, result));
    expect(new Set(result.txIds).size).to.equal(load.transactions);
    await expectAudited(network.urls);
    for (const bytes of result.residentBytesPeak) expect(bytes).to.be.below(RESIDENT_BYTES_MAX);
  });

  it('loses nothing when a replica is killed under load', async () => {
    const options = { ...load, kill: 3 };
    const result = await runScenario(network, options);
    console.log(describeResult('replica 3 killed in the middle', options, result));
    expect(new Set(result.txIds).size).to.equal(load.transactions);
    const alive = network.urls.filter((_, index) => index !== 2);
    await expectAudited(alive);
  });
});
