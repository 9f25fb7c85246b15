/**
 * One core of n, its peers played by the test: whatever they say is well-formed and may be a lie.
 */

import { coreOf } from '../../../consensus/core/core.ts';
import type {
  BatchRef,
  Cell,
  CheckpointCertificate,
  CheckpointState,
  ConsensusCore,
  CoreLimits,
  CoreOptions,
  Effect,
  Evidence,
  Input,
  LogRecord,
  Message,
  Prepare,
  Proposal,
  View,
} from '../../../consensus/core/index.ts';
import { type CoreState, createState } from '../../../consensus/core/state.ts';
import { encodeMessage } from '../../../consensus/wire/index.ts';
import { type CountingCrypto, testCrypto } from './crypto.ts';
import { coreOptionsOf, START_MS } from './replica.ts';
import { signedWords } from './signed.ts';

export const EMPTY: BatchRef = { seq: 0, digest: new Uint8Array(32) };

type Progress = Extract<Cell, { kind: 'progress' }>;
type CellOf<K extends Cell['kind']> = Extract<Cell, { kind: K }>;
type MessageOf<K extends Message['kind']> = Extract<Message, { kind: K }>;

export function createSolo(
  self: number,
  replicas = 4,
  limits: Partial<CoreLimits> = {},
  entry: CoreOptions['entry'] = { kind: 'begin' },
): Solo {
  return new Solo(coreOptionsOf(self, replicas, limits, entry));
}

export class Solo {
  readonly state: CoreState;
  readonly core: ConsensusCore;
  readonly crypto: CountingCrypto;
  /** Everything said so far. */
  readonly effects: Effect[] = [];
  readonly signed: ReturnType<typeof signedWords>;
  nowMs = START_MS;
  readonly #self: number;
  readonly #replicas: number;
  #answered = 0;

  constructor(options: CoreOptions) {
    this.#self = options.self;
    this.#replicas = options.replicas;
    this.crypto = testCrypto(options.self);
    this.state = createState(options, this.crypto);
    this.core = coreOf(this.state);
    this.signed = signedWords(this.state);
  }

  get #peers(): number[] {
    return this.state.peers.map((_, peer) => peer).filter((peer) => peer !== this.#self);
  }

  // What happens to it.

  step(input: Input): Effect[] {
    const said = this.core.step(input, this.nowMs);
    this.effects.push(...said);
    return said;
  }

  openAll(): void {
    for (const peer of this.#peers) this.step({ kind: 'session', peer, open: true });
  }

  tick(afterMs: number): Effect[] {
    this.nowMs += afterMs;
    return this.step({ kind: 'tick' });
  }

  /** Time passes, and the core is woken whenever it asks for that. */
  live(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const nextMs = this.core.nextTickMs();
      if (nextMs > untilMs) break;
      this.nowMs = Math.max(nextMs, this.nowMs);
      this.step({ kind: 'tick' });
    }
    this.nowMs = untilMs;
  }

  /** The orderer answers for whatever was delivered: everything is on disk. */
  apply(): void {
    for (; this.#answered < this.effects.length; this.#answered++) {
      const effect = this.effects[this.#answered] as Effect;
      if (effect.kind !== 'deliver') continue;
      const { slot, checkpoint } = effect;
      if (checkpoint) this.step({ kind: 'checkpointed', ...stateAfter(slot) });
      this.step({ kind: 'applied', slot, blocksUncertified: 0 });
    }
  }

  // Contents.

  refOf(lane: number, after: BatchRef, text: string): BatchRef {
    const seq = after.seq + 1;
    return { seq, digest: this.state.digests.batch(lane, seq, after.digest, Buffer.from(text)) };
  }

  /** Content of a slot with these tips. */
  content(slot: number, tips: Record<number, BatchRef>, timeMs = START_MS): Proposal {
    const frontier = Array.from({ length: this.#replicas }, (_, lane) => tips[lane] ?? EMPTY);
    return { slot, timeMs, cut: false, frontier };
  }

  digest(proposal: Proposal): Uint8Array {
    return this.state.digests.proposal(proposal);
  }

  /** What a replica that has nothing but empty slots of the usual time signs at `slot`. */
  checkpointState(slot: number, timeMs = START_MS): CheckpointState {
    return { ...stateAfter(slot), timeMs, frontier: this.content(slot, {}).frontier };
  }

  // What peers say.

  /** As the loop does: what a vote or a COMMIT says is overwritten when it has been taken. */
  cell(from: number, cell: Cell): Effect[] {
    if (cell.kind !== 'vote' && cell.kind !== 'commit') {
      return this.step({ kind: 'cell', from, cell });
    }
    const lent = { ...cell, digest: cell.digest.slice() };
    const effects = this.step({ kind: 'cell', from, cell: lent });
    Object.assign(lent, { view: 2 ** 31, slot: 2 ** 40 });
    lent.digest.fill(0xee);
    return effects;
  }

  message(from: number, message: Message): Effect[] {
    return this.step({ kind: 'message', from, message });
  }

  /** The next batch of a peer's lane after `after`; said and checked. */
  batch(lane: number, after: BatchRef, text: string, verdict: boolean | 'none' = true): BatchRef {
    const payload = Buffer.from(text);
    const batch = { lane, seq: after.seq + 1, previous: after.digest, payload };
    const ref = this.refOf(lane, after, text);
    this.step({ kind: 'lane-batch', from: lane, batch });
    if (verdict !== 'none') this.checked(lane, ref, verdict);
    return ref;
  }

  /** The orderer's verdict; by default on everything. */
  checked(lane: number, ref: BatchRef, valid = true, signatures = true): Effect[] {
    return this.step({ kind: 'batch-checked', lane, ref, valid, signatures });
  }

  propose(proposal: Proposal, view: View = 0): Effect[] {
    return this.cell(view % this.#replicas, { kind: 'proposal', view, proposal });
  }

  /** Every peer votes for it, so that it is decided, if this replica votes, too. */
  voteAll(proposal: Proposal, view: View = 0): void {
    const { slot } = proposal;
    const digest = this.digest(proposal);
    for (const from of this.#peers) this.cell(from, { kind: 'vote', view, slot, digest });
  }

  prepareOf(signer: number, proposal: Proposal, view = 0): Prepare {
    return this.signed.prepare(signer, proposal, view);
  }

  /** A peer's progress cell of view 0. */
  progress(from: number, appliedSlot: number, held = this.content(1, {}).frontier): Effect[] {
    return this.cell(from, progressCell(appliedSlot, held));
  }

  /** A peer's progress cell that tells of views and nothing else. */
  standing(from: number, at: Partial<Progress>): Effect[] {
    const wish = Math.max(at.view ?? 0, at.wish ?? 0);
    return this.cell(from, { ...progressCell(0, this.content(1, {}).frontier), ...at, wish });
  }

  /** f + 1 peers, those after this replica, wish for `view`. */
  carryTo(view: View): void {
    for (let i = 1; i <= this.state.faults + 1; i++) {
      const from = (this.#self + i) % this.#replicas;
      this.standing(from, { wish: view, view: Math.max(0, view - 1) });
    }
  }

  /** A peer says what it has signed at a checkpoint. */
  signCheckpoint(from: number, state: CheckpointState): Effect[] {
    const checkpoint = this.signed.checkpoint(from, state);
    return this.message(from, { kind: 'checkpoint', checkpoint });
  }

  /** A peer tells what is stable, and how far the run has come. */
  showStable(
    from: number,
    certificate: CheckpointCertificate | undefined,
    namedSlot = certificate?.state.slot ?? 0,
    life = 0,
  ): Effect[] {
    return this.message(from, { kind: 'stable-checkpoint', certificate, namedSlot, life });
  }

  // What it has said, read in the ways that tests ask for.

  cells<K extends Cell['kind']>(kind: K): CellOf<K>[] {
    return this.effects.flatMap((effect) =>
      effect.kind === 'write-cell' && effect.cell.kind === kind ? [effect.cell as CellOf<K>] : [],
    );
  }

  votes(): number[] {
    return this.cells('vote').map(({ slot }) => slot);
  }

  delivered(): number[] {
    return this.effects.flatMap((effect) => (effect.kind === 'deliver' ? [effect.slot] : []));
  }

  evidence(): Evidence[] {
    return this.effects.flatMap((effect) => (effect.kind === 'evidence' ? [effect.evidence] : []));
  }

  /** Kind, peer and, where there is one, reason. */
  accusations(): string[] {
    return this.evidence().map((evidence) => {
      const { reason } = evidence as { reason?: string };
      return `${evidence.kind} ${evidence.peer}${reason === undefined ? '' : `: ${reason}`}`;
    });
  }

  /** Messages of one kind, each once however many got it in a row. */
  sent<K extends Message['kind']>(kind: K): MessageOf<K>[] {
    const found: MessageOf<K>[] = [];
    let last = { to: Infinity, bytes: '' };
    for (const effect of this.effects) {
      if (effect.kind !== 'send' || effect.message.kind !== kind) continue;
      const bytes = Buffer.from(encodeMessage(effect.message)).toString('latin1');
      const isSame = bytes === last.bytes && effect.to > last.to;
      if (!isSame) found.push(effect.message as MessageOf<K>);
      last = { to: effect.to, bytes };
    }
    return found;
  }

  /** The log as it stands on disk. */
  log(): LogRecord[] {
    let log: LogRecord[] = [];
    for (const effect of this.effects) {
      if (effect.kind === 'rotate-log') log = [...effect.records];
      else if (effect.kind === 'persist') log.push(effect.record);
    }
    return log;
  }
}

function stateAfter(slot: number) {
  return { slot, height: slot + 1, tipHash: new Uint8Array(32).fill(slot % 251) };
}

export function progressCell(appliedSlot: number, held: readonly BatchRef[]): Progress {
  const view = { view: 0, changing: false, wish: 0, mute: false, beat: 0 };
  return { kind: 'progress', appliedSlot, held, ...view };
}
