/**
 * What must be true of every run, whatever happens: the safety oracles of one channel. They watch what leaves
 * correct replicas and what lands on disks, and share no arithmetic with the code under test.
 */
import type { Effect, Evidence, Message } from '../../consensus/core/index.ts';
import { GENESIS_HASH } from './chain.ts';
import { isEqual } from './crypto.ts';
import type { Block } from './disk.ts';
import type { Life } from './life.ts';
import type { ParsedTransaction } from './transactions.ts';

type Delivery = Extract<Effect, { kind: 'deliver' }>;

export interface OracleOptions {
  readonly replicas: number;
  readonly isByzantine: (replica: number) => boolean;
  /** No correct replica votes for a later time than this, nor may anything be ordered with it. */
  readonly latestTimeMs: () => number;
  readonly onViolation: (rule: string, replica: number | undefined) => void;
}

/** Of one correct replica, over all its lives. */
interface Said {
  /** By (view, slot): digest of the vote. */
  readonly votes: Map<number, Uint8Array>;
  readonly proposals: Map<number, Uint8Array>;
  /** Highest view that it has asked to enter. */
  changedTo: number;
  hasForgotten: boolean;
}

interface Position {
  /** The slot that has to come next in this life. */
  nextSlot: number;
  timeMs: number;
}

const SLOTS_MAX = 2 ** 22;

export class Oracle {
  readonly #options: OracleOptions;
  readonly #quorum: number;
  readonly #said: Said[];
  readonly #positions = new Map<Life, Position>();
  /** What the first correct replica delivered in each slot. */
  readonly #slots = new Map<number, string>();
  /** Blocks by number - 1, as first stored by a correct replica. */
  readonly #blocks: Block[] = [];
  readonly #blockOf = new Map<number, number>();
  readonly #storedBy: Set<number>[] = [];
  #acknowledged = 0;
  #highestSlot = 0;

  constructor(options: OracleOptions) {
    this.#options = options;
    const faults = Math.floor((options.replicas - 1) / 3);
    this.#quorum = Math.ceil((options.replicas + faults + 1) / 2);
    this.#said = Array.from({ length: options.replicas }, () => ({
      votes: new Map(),
      proposals: new Map(),
      changedTo: 0,
      hasForgotten: false,
    }));
  }

  /** Number of the highest block that q replicas have on disk. */
  get acknowledgedBlock(): number {
    return this.#acknowledged;
  }

  get highestBlock(): number {
    return this.#blocks.length;
  }

  get highestSlot(): number {
    return this.#highestSlot;
  }

  violation(rule: string, replica?: number): void {
    this.#options.onViolation(rule, replica);
  }

  /** A life begins; its first delivery has to be `nextSlot`. */
  onBegin(life: Life, nextSlot: number): void {
    this.#positions.set(life, { nextSlot, timeMs: 0 });
  }

  onEnd(life: Life): void {
    this.#positions.delete(life);
  }

  onTransferred(life: Life, slot: number, timeMs: number): void {
    const position = this.#positions.get(life);
    if (position === undefined) return;
    if (slot < position.nextSlot - 1) this.violation('a transfer went back', life.self);
    position.nextSlot = slot + 1;
    position.timeMs = timeMs;
  }

  onEffect(life: Life, effect: Effect): void {
    switch (effect.kind) {
      case 'write-cell':
        return this.#onCell(life, effect);
      case 'send':
        return this.#onMessage(life, effect.message);
      case 'evidence':
        return this.#onEvidence(life, effect.evidence);
      default:
        return;
    }
  }

  #onCell(life: Life, { cell }: Extract<Effect, { kind: 'write-cell' }>): void {
    if (cell.kind === 'progress') return;
    const said = this.#said[life.self] as Said;
    if (cell.view < said.changedTo) {
      this.violation(`${cell.kind} of view ${cell.view} after VIEW-CHANGE`, life.self);
    }
    if (cell.kind === 'proposal') {
      const digest = life.state.digests.proposal(cell.proposal);
      const where = `v${cell.view} s${cell.proposal.slot}`;
      const key = keyOf(cell.view, cell.proposal.slot);
      this.#once(said.proposals, key, digest, life, `two proposals in ${where}`);
      return;
    }
    const where = `v${cell.view} s${cell.slot}`;
    const key = keyOf(cell.view, cell.slot);
    if (cell.kind === 'vote') {
      return this.#once(said.votes, key, cell.digest, life, `two votes in ${where}`);
    }
    this.#matchesVote(life, key, cell.digest, `COMMIT in ${where}`);
  }

  #once(
    said: Map<number, Uint8Array>,
    key: number,
    digest: Uint8Array,
    life: Life,
    rule: string,
  ): void {
    const before = said.get(key);
    if (before === undefined) said.set(key, digest.slice());
    else if (!isEqual(before, digest)) this.violation(rule, life.self);
  }

  #matchesVote(life: Life, key: number, digest: Uint8Array, what: string): void {
    const vote = this.#said[life.self]?.votes.get(key);
    if (vote === undefined) this.violation(`${what} without a vote`, life.self);
    else if (!isEqual(vote, digest)) this.violation(`${what} against the own vote`, life.self);
  }

  #onMessage(life: Life, message: Message): void {
    const said = this.#said[life.self] as Said;
    if (message.kind === 'view-change' && message.viewChange.signer === life.self) {
      said.changedTo = Math.max(said.changedTo, message.viewChange.view);
    }
    if (message.kind !== 'prepare') return;
    const { view, slot, digest, signer } = message.prepare;
    if (signer !== life.self) return this.violation('PREPARE of another', life.self);
    if (view < said.changedTo) this.violation(`PREPARE of view ${view} after VIEW-CHANGE`, signer);
    this.#matchesVote(life, keyOf(view, slot), digest, `PREPARE in v${view} s${slot}`);
  }

  /** Nobody accuses a correct replica. */
  #onEvidence(life: Life, evidence: Evidence): void {
    const { isByzantine } = this.#options;
    if (isByzantine(evidence.peer)) return;
    // One that has forgotten its lane makes other batches of the same numbers.
    const isLane = evidence.kind === 'lane-equivocation';
    if (isLane && this.#said[evidence.peer]?.hasForgotten === true) return;
    const { kind, peer } = evidence;
    const detail = 'reason' in evidence ? `: ${evidence.reason}` : '';
    this.violation(`${kind} of replica ${peer}, which is correct${detail}`, life.self);
  }

  /** A correct replica forgets what it voted; from now on it is mute until that cannot matter. */
  onForgotten(replica: number): void {
    const said = this.#said[replica] as Said;
    said.changedTo = 0;
    said.hasForgotten = true;
  }

  onSlot(life: Life, delivery: Delivery, transactions: readonly ParsedTransaction[]): void {
    const position = this.#positions.get(life);
    if (position === undefined) return;
    const { slot, timeMs } = delivery;
    if (slot !== position.nextSlot) {
      this.violation(`delivered s${slot} instead of s${position.nextSlot}`, life.self);
    }
    position.nextSlot = slot + 1;
    const isEmpty = delivery.batches.length === 0 && !delivery.cut;
    if (timeMs < position.timeMs && !isEmpty) this.violation('ordered time went back', life.self);
    position.timeMs = Math.max(position.timeMs, timeMs);
    if (timeMs > this.#options.latestTimeMs()) this.violation('ordered time runs ahead', life.self);
    const content = contentOf(delivery);
    const known = this.#slots.get(slot);
    if (known === undefined) {
      this.#slots.set(slot, content);
      this.#highestSlot = Math.max(this.#highestSlot, slot);
    } else if (known !== content) {
      this.violation(`s${slot} is ${content}, elsewhere ${known}`, life.self);
    }
    for (const { txId, genuine } of transactions) {
      if (!genuine) this.violation(`ordered transaction ${txId}, which no client sent`, life.self);
    }
  }

  onStored(replica: number, block: Block): void {
    const known = this.#blocks[block.number - 1];
    if (this.#options.isByzantine(replica)) {
      if (known !== undefined && isEqual(known.hash, block.hash)) this.#count(replica, block);
      return;
    }
    if (known === undefined) this.#onNewBlock(replica, block);
    else if (!isEqual(known.hash, block.hash)) {
      this.violation(`block ${block.number} differs from another replica's`, replica);
      return;
    }
    this.#count(replica, block);
  }

  #onNewBlock(replica: number, block: Block): void {
    const before = this.#blocks[block.number - 2];
    const previous = block.number === 1 ? GENESIS_HASH : before?.hash;
    if (previous === undefined || !isEqual(previous, block.previousHash)) {
      this.violation(`block ${block.number} does not continue the chain`, replica);
    }
    this.#blocks[block.number - 1] = block;
    for (const txId of block.txIds) {
      if (this.#blockOf.has(txId)) this.violation(`transaction ${txId} is on the chain twice`);
      this.#blockOf.set(txId, block.number);
    }
  }

  #count(replica: number, block: Block): void {
    let storers = this.#storedBy[block.number - 1];
    if (storers === undefined) {
      storers = new Set();
      this.#storedBy[block.number - 1] = storers;
    }
    storers.add(replica);
    if (storers.size >= this.#quorum) {
      this.#acknowledged = Math.max(this.#acknowledged, block.number);
    }
  }

  isOnChain(txId: number): boolean {
    return this.#blockOf.has(txId);
  }
}

function keyOf(view: number, slot: number): number {
  return view * SLOTS_MAX + slot;
}

function contentOf({ timeMs, cut, checkpoint, batches }: Delivery): string {
  let text = `${timeMs}${cut ? ' cut' : ''}${checkpoint ? ' checkpoint' : ''}`;
  for (const { lane, ref } of batches) {
    const [a = 0, b = 0, c = 0, d = 0] = ref.digest;
    text += ` ${lane}.${ref.seq}.${(((a * 256 + b) * 256 + c) * 256 + d).toString(16)}`;
  }
  return text;
}
