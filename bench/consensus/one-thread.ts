/**
 * A whole cluster on one thread: real loops over real transports, one turn each in turn. Nobody waits and nobody is waited
 * for, so time divided by replicas and slots is what the protocol itself costs, and a profile shows nothing else. Their
 * clocks run as much slower as they have to share the thread: what is done every so many milliseconds (heartbeats, progress
 * cells) is done as often for each slot as if each had a processor of its own.
 */
import { randomBytes } from 'node:crypto';
import { DEFAULT_LIMITS } from '../../consensus/core/limits.ts';
import { assembleLoop } from '../../consensus/runtime/assemble.ts';
import { ed25519KeyPair } from '../../consensus/runtime/ed25519.ts';
import type { ConsensusLoop, LoopPort } from '../../consensus/runtime/loop.ts';
import type {
  ToWorker,
  TransportCall,
  WorkerEvent,
  WorkerOptions,
} from '../../consensus/runtime/protocol.ts';
import type { ProviderName, RegionOffer, SessionKeys } from '../../rdma/contract.ts';
import { FRESH_RUN } from './fresh-run.ts';
import { Instruments, type Job, type JobResult } from './instruments.ts';
import { cpuUs } from './usage.ts';

export interface ClusterOptions {
  readonly replicas: number;
  readonly provider: ProviderName;
  /** Folder for the logs; undefined: `memory`. */
  readonly walFolder: string | undefined;
}

/** What a main thread would see of a loop, and say to it. */
class Outside implements LoopPort {
  readonly messages: ToWorker[] = [];
  reply: Extract<WorkerEvent, { kind: 'transport-reply' }> | undefined;
  readonly open = new Set<number>();
  onWrites: (to: number, frames: Uint8Array) => void = () => {};

  receive(): ToWorker | undefined {
    return this.messages.shift();
  }

  post(events: readonly WorkerEvent[]): void {
    for (const event of events) {
      if (event.kind === 'transport-reply') this.reply = event;
      else if (event.kind === 'writes') this.onWrites(event.to, event.frames);
      else if (event.kind === 'session' && event.open) this.open.add(event.peer);
      else if (event.kind === 'evidence' || event.kind === 'transport-fault') {
        throw new Error(`the cluster is not healthy: ${JSON.stringify(event)}`);
      }
    }
  }
}

interface Member {
  readonly loop: ConsensusLoop;
  readonly outside: Outside;
  readonly instruments: Instruments;
}

export class OneThreadCluster {
  readonly #members: readonly Member[];

  constructor(options: ClusterOptions) {
    const seeds = Array.from({ length: options.replicas }, () => new Uint8Array(randomBytes(32)));
    const runId = new Uint8Array(randomBytes(32));
    const clock = slowClock(options.replicas);
    this.#members = seeds.map((_, self) =>
      createMember(optionsOf(options, runId, seeds, self), clock),
    );
    for (const [from, { outside }] of this.#members.entries()) {
      outside.onWrites = (to, frames) => {
        this.#at(to).outside.messages.push({ kind: 'writes', from, frames });
        outside.messages.push({ kind: 'shipped', to, bytes: frames.length });
      };
    }
    this.#meet();
  }

  /** One batch after the other (or `inFlight` at a time) from `submitter`; 0 leads. `turns`: of each replica. */
  run(job: Job, submitter = 0): JobResult & { readonly turns: number } {
    let result: JobResult | undefined;
    let turns = 0;
    this.#at(submitter).instruments.start(job, (done) => {
      result = done;
    });
    for (; result === undefined; turns++) for (const { loop } of this.#members) loop.turn();
    return { ...(result as JobResult), turns };
  }

  /** What a turn takes that brings nothing, microseconds: all in turn, or one alone, which has the caches for itself. */
  idleTurnUs(turns: number): { all: number; alone: number } {
    const rounds = Math.ceil(turns / this.#members.length);
    const all = timeTurns(rounds, this.#members) / this.#members.length;
    // A follower: a leader has to show that it lives.
    return { all, alone: timeTurns(turns, this.#members.slice(1, 2)) };
  }

  /** Of the leader's commits until now, or a little before: how many have needed signatures. */
  slowShare(): number {
    const status = this.#at(0).instruments.status;
    if (status === undefined) throw new Error('it has not run long enough to tell');
    const { fastCommits, slowCommits, fetchedCommits } = status;
    return slowCommits / Math.max(1, fastCommits + slowCommits + fetchedCommits);
  }

  close(): void {
    for (const { loop } of this.#members) loop.end();
  }

  #at(index: number): Member {
    return this.#members[index] as Member;
  }

  #meet(): void {
    const count = this.#members.length;
    for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) this.#connect(a, b);
    while (this.#members.some(({ outside }) => outside.open.size < count - 1)) {
      for (const { loop } of this.#members) loop.turn();
    }
  }

  #connect(a: number, b: number): void {
    const pairSecret = new Uint8Array(randomBytes(32));
    const keys = (self: number, peer: number): SessionKeys => ({
      pairSecret,
      selfIncarnation: incarnationOf(self),
      peerIncarnation: incarnationOf(peer),
    });
    const offerOfA = this.#offer(a, b, keys(a, b));
    const offerOfB = this.#offer(b, a, keys(b, a));
    this.#call(a, { op: 'accept', peer: b, offer: offerOfB });
    this.#call(b, { op: 'accept', peer: a, offer: offerOfA });
    this.#call(a, { op: 'confirm', peer: b });
    this.#call(b, { op: 'confirm', peer: a });
  }

  #offer(self: number, peer: number, keys: SessionKeys): RegionOffer {
    const offer = this.#call(self, { op: 'offer', peer, keys });
    if (offer === undefined) throw new Error('an offer call was answered without an offer');
    return offer;
  }

  #call(self: number, call: TransportCall): RegionOffer | undefined {
    const { loop, outside } = this.#at(self);
    outside.reply = undefined;
    outside.messages.push({ kind: 'transport', id: 0, call });
    loop.turn();
    const reply = outside.reply as Outside['reply'];
    if (reply === undefined || reply.error !== undefined) {
      throw new Error(`${call.op}: ${reply?.error?.message ?? 'no answer'}`);
    }
    return reply.offer;
  }
}

function slowClock(times: number): () => number {
  const startMs = Date.now();
  const originMs = performance.now();
  return () => startMs + Math.floor((performance.now() - originMs) / times);
}

/** Processor time of a round of turns, microseconds. */
function timeTurns(rounds: number, members: readonly Member[]): number {
  const before = cpuUs();
  for (let i = 0; i < rounds; i++) for (const { loop } of members) loop.turn();
  return (cpuUs() - before) / rounds;
}

function createMember(options: WorkerOptions, clock: () => number): Member {
  const outside = new Outside();
  const instruments = new Instruments(options.self, {
    outer: outside,
    wake: () => {},
    onPassedOver: () => {
      throw new Error('the cluster is not healthy: a replica that has its turns has fallen behind');
    },
  });
  const loop = assembleLoop(options, { port: instruments, clock });
  loop.begin();
  return { loop, outside, instruments };
}

function optionsOf(
  { replicas, provider, walFolder }: ClusterOptions,
  runId: Uint8Array,
  seeds: readonly Uint8Array[],
  self: number,
): WorkerOptions {
  return {
    channel: 'bench',
    self,
    replicas,
    runId,
    ...FRESH_RUN,
    wal:
      walFolder === undefined
        ? undefined
        : { directory: `${walFolder}/${self}`, reserveBytes: 16 * 1024 * 1024 },
    batchTimeoutMs: 2_000,
    limits: DEFAULT_LIMITS,
    provider,
    rdma: {},
    waitMode: 'spin',
    spinUs: 0,
    signingSeed: seeds[self] as Uint8Array,
    consenterKeys: seeds.map((seed) => ed25519KeyPair(seed).publicKey),
    incarnation: incarnationOf(self),
  };
}

function incarnationOf(replica: number): string {
  return String(1_000 + replica);
}
