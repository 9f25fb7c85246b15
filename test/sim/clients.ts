/** Clients: busy for a while, then not, with bursts; some transactions go to several replicas, some are submitted again. */
import type { Actor } from './event-queue.ts';
import type { Replica } from './replica.ts';
import type { World } from './world.ts';

const NEXT = 0;
const BURST = 1;
const AGAIN = 2;
const PAUSE = 3;

/** After everything has healed: this long, at this rate at most. */
const CALM_MS = 1_000;
const CALM_PER_SECOND_MAX = 10;
const AGAIN_MS_MAX = 3_000;

export class ClientLoad implements Actor {
  readonly #world: World;
  #perSecond = 0;
  #untilMs = Infinity;
  #isBusy = true;
  /** Goes up with `begin`: what was scheduled before is void. */
  #round = 0;

  constructor(world: World) {
    this.#world = world;
    this.begin();
  }

  begin(): void {
    const { load } = this.#world.scenario;
    this.#round++;
    this.#perSecond = load.perSecond;
    this.#untilMs = Infinity;
    this.#isBusy = true;
    for (let channel = 0; channel < this.#world.groups.length; channel++) {
      this.#scheduleNext(channel);
      this.#scheduleBurst(channel);
    }
    this.#scheduleAfter(load.busyMs, PAUSE, 0);
  }

  /** A little more, slowly, and then nothing. */
  calm(): void {
    this.#untilMs = this.#world.queue.nowMs + CALM_MS;
    this.#perSecond = Math.min(this.#perSecond, CALM_PER_SECOND_MAX);
    this.#isBusy = true;
  }

  #scheduleNext(channel: number): void {
    this.#scheduleAfter(1_000 / this.#perSecond, NEXT, channel);
  }

  #scheduleBurst(channel: number): void {
    const { burstEveryMs } = this.#world.scenario.load;
    if (burstEveryMs < Infinity) this.#scheduleAfter(burstEveryMs, BURST, channel);
  }

  #scheduleAfter(meanMs: number, kind: number, channel: number): void {
    const { queue, random } = this.#world;
    const waitMs = -Math.log(1 - random.next()) * meanMs;
    queue.schedule(queue.nowMs + waitMs, this, kind, channel, this.#round);
  }

  onEvent(kind: number, channel: number, round: number, payload: unknown): void {
    const { queue, random, scenario } = this.#world;
    if (queue.nowMs > this.#untilMs || round !== this.#round) return;
    switch (kind) {
      case NEXT:
        if (this.#isBusy) this.#submitNew(channel);
        return this.#scheduleNext(channel);
      case BURST:
        for (
          let count = random.integer(2, scenario.load.burstTransactionsMax);
          count > 0;
          count--
        ) {
          this.#submitNew(channel);
        }
        if (this.#untilMs === Infinity) this.#scheduleBurst(channel);
        return;
      case AGAIN:
        return this.#submit(channel, payload as number);
      case PAUSE:
        return this.#turnOver();
      default:
        throw new RangeError(`client event ${kind}`);
    }
  }

  #turnOver(): void {
    if (this.#untilMs < Infinity) return;
    const { busyMs, idleMs } = this.#world.scenario.load;
    this.#isBusy = !this.#isBusy;
    this.#scheduleAfter(this.#isBusy ? busyMs : idleMs, PAUSE, 0);
  }

  #submitNew(channel: number): void {
    const { queue, random, scenario, groups } = this.#world;
    const txId = groups[channel]!.transactions.issue();
    const { manyChance, againChance } = scenario.load;
    const copies = random.chance(manyChance) ? random.integer(2, 4) : 1;
    for (let copy = 0; copy < copies; copy++) this.#submit(channel, txId);
    if (random.chance(againChance)) {
      const atMs = queue.nowMs + random.next() * AGAIN_MS_MAX;
      queue.schedule(atMs, this, AGAIN, channel, this.#round, txId);
    }
  }

  #submit(channel: number, txId: number): void {
    const { random, groups } = this.#world;
    const replica = random.pick(groups[channel]!.replicas) as Replica;
    for (const life of replica.lives) life.orderer.submit(txId);
  }
}
