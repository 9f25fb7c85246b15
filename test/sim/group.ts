/** One channel: its network, its replicas and their lives, its oracle. */
import {
  type CoreOptions,
  faultsTolerated,
  type LogRecord,
  quorum,
} from '../../consensus/core/index.ts';
import { Conspiracy } from './byzantine/conspiracy.ts';
import { UNSIGNED_WORK } from './byzantine/index.ts';
import { Liar } from './byzantine/liar.ts';
import { type ChainTip, GENESIS_HASH, GENESIS_HEIGHT } from './chain.ts';
import { createSimulatedKeys, isEqual, type SimulatedKeys, sha256 } from './crypto.ts';
import { type Block, SimulatedLedger, type SimulatedLog } from './disk.ts';
import type { Actor } from './event-queue.ts';
import { CLOCK_AHEAD_MS_MAX } from './faults.ts';
import { Life, type Voice, type Watcher } from './life.ts';
import type { Machine } from './machine.ts';
import { Network, Port } from './network.ts';
import { Oracle } from './oracle.ts';
import { Orderer } from './orderer.ts';
import { Replica } from './replica.ts';
import { Transactions } from './transactions.ts';
import { HonestVoice } from './voice.ts';
import type { World } from './world.ts';

const FILLER_BYTES_MAX = 120;
/** Of a run that begins now: its first ordered time is above this. */
const BASE_TIME_MS = 500_000;
const FIRST_SLOT = 1;

const REBIRTH_MS = 100;

export class Group implements Watcher, Actor {
  readonly channel: number;
  readonly network: Network;
  readonly replicas: Replica[];
  readonly oracle: Oracle;
  readonly transactions: Transactions;
  readonly keys: SimulatedKeys;
  readonly conspiracy: Conspiracy;
  readonly #liars = new Map<number, Liar>();
  readonly #world: World;

  constructor(channel: number, world: World) {
    this.channel = channel;
    this.#world = world;
    const { scenario, queue, random, machines, protocol } = world;
    const { replicas } = scenario;
    this.network = new Network(
      {
        replicas,
        windowSlots: scenario.limits.windowSlots,
        profile: scenario.network,
        weakness: protocol.weakness,
      },
      { queue, random, links: world },
    );
    this.transactions = new Transactions(random, FILLER_BYTES_MAX);
    this.keys = createSimulatedKeys(channel, replicas);
    this.conspiracy = new Conspiracy(random, replicas, scenario.byzantine);
    this.oracle = new Oracle({
      replicas,
      isByzantine: (replica) => world.isByzantine(replica),
      latestTimeMs: () => queue.nowMs + CLOCK_AHEAD_MS_MAX + scenario.limits.clockSkewMsMax,
      onViolation: (rule, replica) => world.violation(channel, rule, replica),
    });
    const onStored = (replica: Replica, block: Block) => this.oracle.onStored(replica.self, block);
    this.replicas = machines.map((machine) => {
      const isByzantine = world.isByzantine(machine.index);
      return new Replica(
        { self: machine.index, channel, isByzantine },
        { queue, network: this.network, protocol, machine, onStored },
      );
    });
  }

  get correct(): Replica[] {
    return this.replicas.filter(({ isByzantine }) => !isByzantine);
  }

  start(machine: Machine): void {
    const replica = this.replicas[machine.index] as Replica;
    const lives = replica.isByzantine ? this.#lie(replica) : [this.#live(replica)];
    replica.begin(lives);
    // What entering has to say, before anything else happens.
    for (const life of lives) life.step({ kind: 'tick' });
  }

  #live(replica: Replica): Life {
    const begin = this.#beginningOf(replica);
    const port = new Port(this.network, replica.self);
    const voice = new HonestVoice(port, this.#world.protocol.wire);
    const log = this.#world.scenario.durability === 'wal' ? replica.log : undefined;
    const life = this.#createLife(replica, begin.entry, voice, log);
    life.orderer = this.#createOrderer(replica, life, begin.tip, replica.ledger);
    this.oracle.onBegin(life, begin.slot + 1);
    return life;
  }

  /** Its cores keep no log, and begin as if they had never been there. */
  #lie(replica: Replica): Life[] {
    const { self } = replica;
    const liar = this.#liars.get(self) ?? this.#createLiar(replica);
    this.#liars.set(self, liar);
    return Array.from({ length: liar.twins }, (_, twin) => {
      const life = this.#createLife(replica, { kind: 'begin' }, liar.voice(twin), undefined);
      const { disk } = this.#world.machines[self] as Machine;
      const ledger = new SimulatedLedger(disk, (block) => this.oracle.onStored(self, block));
      const tip = { height: GENESIS_HEIGHT, hash: GENESIS_HASH };
      life.orderer = this.#createOrderer(replica, life, tip, ledger);
      return life;
    });
  }

  #createLiar(replica: Replica): Liar {
    const { scenario, queue, random, protocol } = this.#world;
    const { replicas, lies } = scenario;
    const { network, conspiracy, transactions } = this;
    const options = {
      self: replica.self,
      replicas,
      quorum: quorum(replicas),
      faults: faultsTolerated(replicas),
      lies,
    };
    return new Liar(options, {
      queue,
      random,
      network,
      conspiracy,
      transactions,
      wire: protocol.wire,
      sign: this.keys.cryptoOf(replica.self).sign,
      lives: () => replica.lives,
    });
  }

  #createLife(
    replica: Replica,
    entry: CoreOptions['entry'],
    voice: Voice,
    log: SimulatedLog | undefined,
  ): Life {
    const machine = this.#world.machines[replica.self] as Machine;
    this.#world.trace?.onBegin(this.channel, replica, entry.kind);
    this.#world.coverage.count(`lives begun: ${entry.kind}`);
    return new Life(
      { core: this.#optionsOf(replica, entry), number: replica.livesBegun },
      {
        protocol: this.#world.protocol,
        crypto: this.keys.cryptoOf(replica.self),
        voice,
        log,
        clockMs: () => this.#world.queue.nowMs + machine.clockOffsetMs,
        isPaused: () => machine.isPaused,
        watcher: this,
      },
    );
  }

  /** Where the replica goes on, by what is left on its disk. */
  #beginningOf(replica: Replica): { entry: CoreOptions['entry']; slot: number; tip: ChainTip } {
    const tip: ChainTip = { height: GENESIS_HEIGHT, hash: GENESIS_HASH };
    const slot = FIRST_SLOT - 1;
    if (replica.log.records.length === 0) {
      return { entry: { kind: replica.hasForgotten ? 'join' : 'begin' }, slot, tip };
    }
    replica.hasForgotten = false;
    const records = replica.log.records.map((bytes) => this.#decode(bytes));
    const entry = { kind: 'restore', records } as const;
    const last = records.findLast((record) => record.kind === 'checkpoint');
    const state = last?.certificate?.state;
    if (state === undefined) return { entry, slot, tip };
    const block = replica.ledger.blockAt(state.height - 1);
    const hash = state.height === GENESIS_HEIGHT ? GENESIS_HASH : block?.hash;
    if (hash === undefined || !isEqual(hash, state.tipHash)) {
      this.oracle.violation('the log begins with a state that the ledger does not have');
    }
    return { entry, slot: state.slot, tip: { height: state.height, hash: state.tipHash } };
  }

  #decode(bytes: Uint8Array): LogRecord {
    const { protocol, scenario } = this.#world;
    const record = protocol.wire.decodeRecord(bytes, scenario.replicas);
    if (record.kind === 'malformed') throw new Error(`own record: ${record.reason}`);
    return record.value;
  }

  #optionsOf(replica: Replica, entry: CoreOptions['entry']): CoreOptions {
    const { scenario } = this.#world;
    return {
      self: replica.self,
      replicas: scenario.replicas,
      runId: sha256(Buffer.from(`run of channel ${this.channel}`)),
      firstSlot: FIRST_SLOT,
      baseTimeMs: BASE_TIME_MS,
      baseHeight: GENESIS_HEIGHT,
      baseHash: GENESIS_HASH,
      batchTimeoutMs: scenario.batchTimeoutMs,
      limits: scenario.limits,
      entry,
    };
  }

  #createOrderer(replica: Replica, life: Life, start: ChainTip, ledger: SimulatedLedger): Orderer {
    const { scenario, queue, random, protocol } = this.#world;
    const { self } = replica;
    return new Orderer(
      {
        self,
        start,
        blockTransactionsMax: scenario.blockTransactionsMax,
        batchTransactionsMax: scenario.batchTransactionsMax,
        ownBatchesPendingMax: scenario.limits.ownBatchesPendingMax,
        signatureCheckMs: scenario.signatureCheckMs,
        isLying: replica.isByzantine && scenario.lies.includes(UNSIGNED_WORK),
      },
      {
        queue,
        random,
        ledger,
        wire: protocol.wire,
        transactions: this.transactions,
        step: (input) => life.step(input),
        fetchBlocks: (from, to) => this.#fetchBlocks(self, from, to),
        isCertifiable: () => this.#isCertifiable(self),
        onSlot: (delivery, transactions) => this.oracle.onSlot(life, delivery, transactions),
        onBroken: (rule) => {
          if (!replica.isByzantine) this.oracle.violation(rule, self);
        },
      },
    );
  }

  /** Blocks come over the peers' own links, from one peer at a time. */
  #fetchBlocks(self: number, from: number, to: number): readonly Block[] | undefined {
    const source = this.#world.random.pick(this.replicas);
    if (source.self === self || !source.isUp || !this.#world.areLinked(self, source.self)) {
      return undefined;
    }
    const { ledger } = source.isByzantine ? this.#world.random.pick(this.correct) : source;
    const blocks = ledger.blocks.slice(from - 1, to - 1);
    if (blocks.length !== to - from) return undefined;
    return source.isByzantine ? this.#altered(blocks) : blocks;
  }

  /** What a liar hands out as blocks. */
  #altered(blocks: Block[]): Block[] {
    const { random } = this.#world;
    const at = random.below(blocks.length);
    const block = blocks[at] as Block;
    const roll = random.next();
    if (roll < 0.3) return blocks.slice(0, at);
    if (roll < 0.6) blocks[at] = { ...block, bytes: [this.transactions.forged(at)] };
    else if (roll < 0.8) blocks[at] = { ...block, previousHash: block.hash };
    return blocks;
  }

  /** Are enough peers in reach to collect a block's signatures from? */
  #isCertifiable(self: number): boolean {
    const { replicas } = this.#world.scenario;
    const faults = Math.floor((replicas - 1) / 3);
    let open = 1;
    for (let peer = 0; peer < replicas; peer++) {
      if (peer !== self && this.network.isOpen(self, peer)) open++;
    }
    return open >= Math.ceil((replicas + faults + 1) / 2);
  }

  crash(machine: Machine, losesDisk: boolean, noticeMsMax: number): void {
    const replica = this.replicas[machine.index] as Replica;
    for (const life of replica.lives) this.oracle.onEnd(life);
    this.#world.trace?.onCrash(this.channel, replica.self, losesDisk);
    replica.crash(noticeMsMax);
    const isWal = this.#world.scenario.durability === 'wal';
    if (losesDisk) {
      replica.log.lose();
      replica.ledger.lose();
    }
    if (isWal && !losesDisk) return;
    replica.hasForgotten = true;
    this.oracle.onForgotten(replica.self);
  }

  /** A lying core has seen so much that it gave up: it begins anew. */
  onEvent(_kind: number, self: number): void {
    const machine = this.#world.machines[self] as Machine;
    (this.replicas[self] as Replica).crash(REBIRTH_MS);
    this.start(machine);
  }

  onInput(life: Life, input: Parameters<Watcher['onInput']>[1]): void {
    this.#world.trace?.onInput(this.channel, life, input);
    this.#world.coverage.onInput(input);
    const liar = this.#liars.get(life.self);
    if (liar !== undefined && life === this.replicas[life.self]?.lives[0]) liar.hear(input);
    if (input.kind === 'transferred') {
      this.oracle.onTransferred(life, input.slot, 0);
    }
  }

  onEffect(life: Life, effect: Parameters<Watcher['onEffect']>[1]): void {
    this.#world.trace?.onEffect(this.channel, life, effect);
    if (this.#world.isByzantine(life.self)) return;
    this.#world.coverage.onEffect(effect);
    this.oracle.onEffect(life, effect);
  }

  onFailure(life: Life, error: unknown): void {
    if (this.#world.isByzantine(life.self)) {
      const { queue } = this.#world;
      queue.schedule(queue.nowMs + REBIRTH_MS, this, 0, life.self);
      return;
    }
    this.oracle.violation(`the core threw: ${describeError(error)}`, life.self);
  }
}

export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? `${String(error.code)}: ` : '';
  const where =
    error.stack
      ?.split('\n')
      .slice(1, 4)
      .map((line) => line.trim())
      .join(' < ') ?? '';
  return `${code}${error.message} (${where})`;
}
