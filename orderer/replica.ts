/**
 * A whole replica without its HTTP API: ledgers, links, verify pool and one orderer per channel. Implements
 * `OrderingService`.
 */
import { hash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ed25519KeyPair, signEd25519 } from '../consensus/runtime/ed25519.ts';
import { readWalName } from '../consensus/wal/index.ts';
import type { Sha256 } from '../ledger/format/index.ts';
import { Ledger } from '../ledger/store/index.ts';
import { bootstrapChannel } from '../rdma/bootstrap.ts';
import { PeerLinks } from '../rdma/links/links.ts';
import { LINK_TOPICS } from '../rdma/links/topics.ts';
import { ChannelOrderer } from './channel.ts';
import { consenterKeys } from './channel-config/consenters.ts';
import { decodeChannelFrame, encodeChannelFrame } from './channel-frame.ts';
import { coreLimitsOf } from './core-limits.ts';
import { createWriterJudge, EnvelopeChecker } from './envelope/index.ts';
import { createGateway } from './gateway.ts';
import { checkOrdererLimits, ORDERER_LIMITS, type OrdererLimits } from './limits.ts';
import { linkOptionsOf } from './links.ts';
import { byConsenterNumber, type Log } from './log.ts';
import { IdentityResolver } from './msp/index.ts';
import { type LoadedChannel, type LoadedReplica, signingSeedOf } from './network/index.ts';
import type { ChannelService, OrderingService } from './service.ts';
import { VerifyPool } from './signature/index.ts';
import { LOG_FOLDER } from './startup/run-log.ts';
import { niceBelowConsensus } from './thread-priority.ts';
import { version } from './version.ts';

/** Topic of the start-up exchange on the links. */
const START_TOPIC = LINK_TOPICS.ordererFirst;
/** How long all n replicas are waited for before a quorum is enough to begin a run. */
const START_GRACE_MS = 5_000;

const sha256: Sha256 = (bytes) => hash('sha256', bytes, 'buffer');

export interface ReplicaDependencies {
  readonly log: Log;
  /** A channel cannot go on; the replica should be stopped. */
  readonly onFatal: (error: Error) => void;
  /** Every channel has its consensus thread, for the first time. */
  readonly onRunning?: () => void;
}

export class Replica implements OrderingService {
  readonly version = version;
  readonly replica: number;
  readonly #loaded: LoadedReplica;
  readonly #log: Log;
  readonly #onFatal: ReplicaDependencies['onFatal'];
  readonly #onRunning: ReplicaDependencies['onRunning'];
  /** Channels without a consensus thread so far. */
  readonly #notRunning: Set<string>;
  readonly #pool: VerifyPool;
  readonly #links: PeerLinks;
  readonly #incarnation = randomBytes(8).readBigUInt64LE().toString();
  readonly #channels = new Map<string, ChannelOrderer>();
  readonly #limits: OrdererLimits;

  private constructor(loaded: LoadedReplica, dependencies: ReplicaDependencies) {
    this.#loaded = loaded;
    // Links are made for the consenters of the first channel; all channels share them.
    const consenters = loaded.channels[0]?.config.consenters ?? [];
    this.#log = byConsenterNumber(
      dependencies.log,
      consenters.map(({ number }) => number),
    );
    this.#onFatal = dependencies.onFatal;
    this.#onRunning = dependencies.onRunning;
    this.#notRunning = new Set(loaded.channels.map(({ name }) => name));
    this.replica = loaded.number;
    const { pendingTransactionsMax, writersCachedMax } = loaded.network.limits;
    this.#limits = {
      ...ORDERER_LIMITS,
      ...(pendingTransactionsMax === undefined ? {} : { pendingTransactionsMax }),
      ...(writersCachedMax === undefined ? {} : { writersCachedMax }),
    };
    // First what may throw, then what holds threads.
    this.#links = this.#createLinks();
    this.#pool = new VerifyPool({
      threads: loaded.settings.verifyThreads,
      queueMax: ORDERER_LIMITS.verifyQueueItemsMax,
      herePerMs: ORDERER_LIMITS.verifyHerePerMs,
      nice: niceBelowConsensus(loaded.settings.priorities),
    });
  }

  /** Opens the ledgers and begins to meet the other replicas; returns before it can order. */
  static async start(loaded: LoadedReplica, dependencies: ReplicaDependencies): Promise<Replica> {
    const replica = new Replica(loaded, dependencies);
    try {
      for (const warning of loaded.warnings) dependencies.log.warn({}, warning);
      for (const channel of loaded.channels) await replica.#openChannel(channel);
      await replica.#links.listen();
      for (const channel of replica.#channels.values()) await channel.begin();
      replica.#links.dial();
      return replica;
    } catch (error) {
      await replica.stop();
      throw error;
    }
  }

  channels(): readonly string[] {
    return [...this.#channels.keys()];
  }

  channel(name: string): ChannelService | undefined {
    return this.#channels.get(name);
  }

  /** Stops ordering, stores what is decided, closes everything. Idempotent. */
  async stop(): Promise<void> {
    await Promise.all([...this.#channels.values()].map((channel) => channel.stop()));
    await this.#links.close();
    await this.#pool.close();
  }

  #createLinks(): PeerLinks {
    return new PeerLinks(linkOptionsOf(this.#loaded, this.#incarnation), {
      log: this.#log,
      handlers: {
        onUp: (peer, info) => {
          for (const channel of this.#channels.values()) channel.onLinkUp(peer, info);
        },
        onDown: (peer) => {
          for (const channel of this.#channels.values()) channel.onLinkDown(peer);
        },
        onFrame: (peer, topic, body) => this.#onFrame(peer, topic, body),
      },
    });
  }

  #onFrame(peer: number, topic: number, body: Uint8Array): void {
    if (topic === LINK_TOPICS.bootstrap) {
      const name = bootstrapChannel(body);
      if (name !== undefined) this.#channels.get(name)?.onBootstrapFrame(peer, body);
      return;
    }
    const frame = decodeChannelFrame(body);
    const channel = frame && this.#channels.get(frame.channel);
    if (frame === undefined || channel === undefined) return;
    if (topic === START_TOPIC) channel.onStartFrame(peer, frame.body);
    else if (topic === LINK_TOPICS.writes) channel.onWritesFrame(peer, frame.body);
  }

  async #openChannel(loaded: LoadedChannel): Promise<void> {
    const { config, name } = loaded;
    checkOrdererLimits(this.#limits, config.batchSize);
    const ledger = await Ledger.open(
      {
        directory: this.#channelDirectory(name),
        channel: name,
        genesisBlock: loaded.genesisBlock,
      },
      { sha256 },
    );
    for (const finding of ledger.tornLogs) {
      this.#log.warn({ channel: name, finding }, 'a crash cut off the end of the ledger log');
    }
    const resolver = new IdentityResolver(config, {
      cacheEntriesMax: this.#limits.writersCachedMax,
    });
    const checker = new EnvelopeChecker(
      {
        channel: name,
        absoluteMaxBytes: config.batchSize.absoluteMaxBytes,
        judgeWriter: createWriterJudge(resolver),
      },
      { pool: this.#pool },
    );
    const { gateway } = this.#loaded;
    const channel = new ChannelOrderer(this.#channelOptions(loaded), {
      ledger,
      sha256,
      pool: this.#pool,
      checker,
      gateway:
        gateway === undefined
          ? undefined
          : createGateway({
              channel: name,
              mspId: gateway.mspId,
              certificatePem: gateway.certificatePem,
              privateKeyPem: gateway.keyPem,
            }),
      log: this.#log,
      sendStart: (peer, body) => {
        this.#links.send(peer, START_TOPIC, encodeChannelFrame(name, body));
      },
      sendBootstrap: (peer, body) => this.#links.send(peer, LINK_TOPICS.bootstrap, body),
      sendWrites: (peer, frames, onTaken) => {
        const body = encodeChannelFrame(name, frames);
        if (this.#links.send(peer, LINK_TOPICS.writes, body, onTaken)) return;
        // What follows would not continue the ring: the session has to begin anew.
        this.#links.disconnect(peer, 'the link does not keep up with the writes');
        onTaken();
      },
      dropLink: (peer, reason) => this.#links.disconnect(peer, reason),
      onFatal: this.#onFatal,
      onRun: () => this.#onRun(name),
    });
    this.#channels.set(name, channel);
  }

  #onRun(channel: string): void {
    if (this.#notRunning.delete(channel) && this.#notRunning.size === 0) this.#onRunning?.();
  }

  #channelDirectory(channel: string): string {
    return join(this.#loaded.settings.dataDirectory, channel);
  }

  #channelOptions(loaded: LoadedChannel): ConstructorParameters<typeof ChannelOrderer>[0] {
    const { config, sluice, name, self, waitMode } = loaded;
    const seed = signingSeedOf(this.#loaded);
    const { secretKey } = ed25519KeyPair(seed);
    const limits = coreLimitsOf(sluice, config.batchSize);
    const { durability, diskReserveBytes, rdma, spinUs } = this.#loaded.settings;
    const { provider } = this.#loaded.network.transport;
    const directory = join(this.#channelDirectory(name), LOG_FOLDER);
    return {
      channel: name,
      self,
      consenters: consenterKeys(config),
      batchSize: config.batchSize,
      batchTimeoutMs: config.batchTimeoutMs,
      limits,
      lane: {
        batchBytesMax: sluice.batchBytesMax,
        batchTransactionsMax: this.#limits.laneBatchTransactionsMax,
        batchesUnwrittenMax: this.#limits.laneBatchesUnwrittenMax,
        batchesUndeliveredMax: this.#limits.laneBatchesUndeliveredMax,
        undeliveredBytesMax: limits.laneBytesHeldMax,
        queueTransactionsMax: this.#limits.laneQueueTransactionsMax,
        queueBytesMax: this.#limits.laneQueueBytesMax,
      },
      wal: durability === 'wal' ? { directory, reserveBytes: diskReserveBytes } : undefined,
      runLog: { directory, name: () => readWalName(directory) },
      pendingTransactionsMax: this.#limits.pendingTransactionsMax,
      provider,
      rdma,
      waitMode,
      spinUs,
      incarnation: this.#incarnation,
      signingSeed: seed,
      sign: (message) => signEd25519(secretKey, message),
      genesisTimeMs: config.createdAtMs,
      startGraceMs: START_GRACE_MS,
    };
  }
}
