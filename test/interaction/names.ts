/**
 * Short names for a script: `b1.3` is batch 3 of lane 1 (`b1.3'` another one for the
 * same place); digests are 4 hex.
 */
import type { BatchRef, Effect, Evidence, Frontier, Message } from '../../consensus/core/index.ts';
import { START_MS } from '../consensus/support/replica.ts';

export class Names {
  readonly #byDigest = new Map<string, string>();
  readonly #byName = new Map<string, { lane: number; ref: BatchRef }>();

  batch(lane: number, ref: BatchRef): string {
    const key = hex(ref.digest);
    const known = this.#byDigest.get(key);
    if (known !== undefined) return known;
    let name = `b${lane}.${ref.seq}`;
    while (this.#byName.has(name)) name += "'";
    this.#byDigest.set(key, name);
    this.#byName.set(name, { lane, ref });
    return name;
  }

  find(name: string): { lane: number; ref: BatchRef } {
    const found = this.#byName.get(name);
    if (found === undefined) throw new Error(`no batch is called ${name}`);
    return found;
  }

  frontier(frontier: Frontier): string {
    const tips = frontier.flatMap((ref, lane) => (ref.seq === 0 ? [] : [this.batch(lane, ref)]));
    return `[${tips.join(' ')}]`;
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export function short(digest: Uint8Array): string {
  return hex(digest).slice(0, 4);
}

/** The effect as a sentence without its subject; undefined for what would only be noise. */
export function describeEffect(
  names: Names,
  effect: Effect,
  digestOf: (cell: Extract<Effect, { kind: 'write-cell' }>) => Uint8Array,
): string | undefined {
  switch (effect.kind) {
    case 'write-cell': {
      const { cell } = effect;
      switch (cell.kind) {
        case 'proposal': {
          const { slot, timeMs, cut, frontier } = cell.proposal;
          const what = `s${slot} ${short(digestOf(effect))} ${names.frontier(frontier)}`;
          return `proposes ${what} at +${timeMs - START_MS}${cut ? ' cut' : ''}`;
        }
        case 'vote':
          return `votes s${cell.slot} ${short(cell.digest)}`;
        case 'commit':
          return `COMMIT s${cell.slot} ${short(cell.digest)}`;
        case 'progress':
          return `reports applied s${cell.appliedSlot}, holds ${names.frontier(cell.held)}`;
      }
      return undefined;
    }
    case 'rewrite-cells':
      return `rewrites its cells to ${effect.to}`;
    case 'write-batch': {
      const text = Buffer.from(effect.batch.payload).toString();
      return `spreads ${names.batch(effect.batch.lane, effect.ref)} "${text}"`;
    }
    case 'check-batch':
      names.batch(effect.batch.lane, effect.ref);
      return undefined;
    case 'send':
      return undefined;
    case 'deliver': {
      const batches = effect.batches.map(({ lane, ref }) => names.batch(lane, ref)).join(' ');
      return `delivers s${effect.slot} [${batches}]${effect.cut ? ' cut' : ''}, ${effect.path}`;
    }
    case 'drop-batch':
      return `drops ${names.batch(effect.lane, effect.ref)}`;
    case 'evidence':
      return describeEvidence(names, effect.evidence);
  }
}

export function describeMessage(
  names: Names,
  message: Message,
  proposalDigest: (message: Extract<Message, { kind: 'decided' }>) => Uint8Array,
  batchRef: (message: Extract<Message, { kind: 'batch' }>) => BatchRef,
): string {
  switch (message.kind) {
    case 'prepare': {
      const { slot, digest } = message.prepare;
      return `PREPARE s${slot} ${short(digest)}${message.request ? ', asking' : ''}`;
    }
    case 'fetch-batch':
      return `fetch ${names.batch(message.lane, message.ref)}`;
    case 'batch':
      return `batch ${names.batch(message.batch.lane, batchRef(message))}`;
    case 'fetch-decided':
      return `fetch decided s${message.fromSlot}..s${message.toSlot}`;
    case 'decided':
      return `decided s${message.proposal.slot} ${short(proposalDigest(message))}`;
  }
}

function describeEvidence(names: Names, evidence: Evidence): string {
  const who = `ACCUSES ${evidence.peer}:`;
  switch (evidence.kind) {
    case 'lane-equivocation':
    case 'lane-conflict': {
      const [a, b] = evidence.digests.map((digest) =>
        names.batch(evidence.peer, { seq: evidence.seq, digest }),
      );
      if (evidence.kind === 'lane-equivocation') return `${who} two batches, ${a} and ${b}`;
      return `${who} or ${evidence.source}, of ${a} and ${b} one is invented`;
    }
    case 'lane-forgery':
      return `${who} invented a batch in this replica's lane`;
    case 'bad-proposal':
      return `${who} bad proposal s${evidence.slot}, ${evidence.reason}`;
    case 'proposal-equivocation':
    case 'vote-equivocation': {
      const [a, b] = evidence.digests.map(short);
      const what = evidence.kind === 'proposal-equivocation' ? 'proposals' : `${evidence.cell}s`;
      return `${who} two ${what} for s${evidence.slot}, ${a} and ${b}`;
    }
    case 'invalid-batch':
      return `${who} invalid batch ${names.batch(evidence.lane, evidence.ref)}`;
    case 'invalid-signature':
      return `${who} invalid signature on s${evidence.slot}`;
    case 'malformed':
      return `${who} ${evidence.reason}`;
  }
}
