/** Minutes of faults at random moments, at most f at a time, under load all the while. */
import { rmSync } from 'node:fs';
import { expect } from 'chai';
import { residentBytes } from '../support/process-stats.ts';
import { type ChaosNetwork, onNewNetworks } from './chaos-network.ts';

const MINUTES = Number(process.env.SLUICE_CHAOS_MINUTES ?? 5);
const SEED = Number(process.env.SLUICE_CHAOS_SEED ?? Date.now() % 2 ** 31);
/** Nothing happens to this one, so that its memory can be watched. */
const SURVIVOR = 1;
const RESIDENT_BYTES_MAX = 200 * 2 ** 20;
const DOWN_MS_MAX = 2_000;
const REST_MS_MAX = 1_500;

const FAULTS = ['kill', 'kill', 'kill', 'restart', 'stop', 'wipe'] as const;
type Fault = (typeof FAULTS)[number];

/** Numbers in [0, 1), the same ones for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('faults at random', function () {
  this.timeout(MINUTES * 60_000 + 600_000);
  let chaos: ChaosNetwork;

  onNewNetworks((started) => {
    chaos = started;
  });

  async function doHarm(number: number, fault: Fault, downMs: number): Promise<void> {
    const process = chaos.network.process(number);
    switch (fault) {
      case 'stop':
        process.kill('SIGSTOP');
        await pause(downMs);
        process.kill('SIGCONT');
        return;
      case 'restart':
        await process.stop();
        break;
      case 'kill':
        await chaos.network.kill(number);
        break;
      case 'wipe':
        await chaos.network.kill(number);
        rmSync(chaos.network.channelFolder(number), { recursive: true });
        break;
    }
    await pause(downMs);
    chaos.restart(number);
  }

  it(`for ${MINUTES} minutes`, async () => {
    const random = randomOf(SEED);
    const done = new Map<Fault, number>();
    const victims = chaos.othersThan(SURVIVOR);
    chaos.startLoad();
    await chaos.committed(50);
    const before = residentBytes(chaos.network.process(SURVIVOR).pid).now;
    const endMs = performance.now() + MINUTES * 60_000;
    while (performance.now() < endMs) {
      const number = victims[Math.floor(random() * victims.length)] as number;
      const fault = FAULTS[Math.floor(random() * FAULTS.length)] as Fault;
      await pause(random() * REST_MS_MAX);
      await doHarm(number, fault, random() * DOWN_MS_MAX);
      // Until it votes again it is one of the f.
      await chaos.takePart([number]);
      done.set(fault, (done.get(fault) ?? 0) + 1);
    }
    const { txIds, retries } = await chaos.stopLoad();
    const { now, peak } = residentBytes(chaos.network.process(SURVIVOR).pid);
    const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
    console.log(
      `random faults, seed ${SEED}: ${[...done].map(([fault, n]) => `${n} ${fault}`).join(', ')}; ` +
        `${txIds.length} transactions, ${retries} retries; replica ${SURVIVOR} resident ` +
        `${mib(before)} MiB before, ${mib(now)} after, ${mib(peak)} at the peak`,
    );
    expect(peak).to.be.below(RESIDENT_BYTES_MAX);
    await chaos.takePart();
    await chaos.verify(`random faults, seed ${SEED}`);
  });
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
