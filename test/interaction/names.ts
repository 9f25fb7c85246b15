/**
 * Short names for a script: `b1.3` is batch 3 of lane 1 (`b1.3'` another one for the
 * same place); digests are 4 hex.
 */
import type {
  Batch,
  BatchRef,
  Cell,
  Effect,
  Evidence,
  Frontier,
  LogRecord,
  Message,
  NewView,
  Proposal,
  ViewChange,
} from '../../consensus/core/index.ts';
import { outcomesOf } from '../../consensus/core/view-change.ts';
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

type Progress = Extract<Cell, { kind: 'progress' }>;

/** Nothing is said of view 0, in which most scripts stay. */
function inView(view: number): string {
  return view === 0 ? '' : ` in v${view}`;
}

/** What a progress cell tells of views that the one before it did not. */
export function describeProgress(before: Progress | undefined, now: Progress): string | undefined {
  const was = before ?? { view: 0, wish: 0, changing: false, mute: false };
  if (now.mute !== was.mute) return now.mute ? 'is mute' : 'is mute no more';
  if (now.wish > now.view && now.wish !== was.wish) return `wishes for v${now.wish}`;
  const isContent = was.wish > was.view && now.view === was.view && now.wish === now.view;
  return isContent ? `is content with v${now.view} again` : undefined;
}

/** A life is a time. */
function lifeOf(life: number): string {
  return life === 0 ? '0' : `+${life - START_MS}`;
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
          return `proposes ${what} at +${timeMs - START_MS}${cut ? ' cut' : ''}${inView(cell.view)}`;
        }
        case 'vote':
          return `votes s${cell.slot} ${short(cell.digest)}${inView(cell.view)}`;
        case 'commit':
          return `COMMIT s${cell.slot} ${short(cell.digest)}${inView(cell.view)}`;
        case 'progress':
          return undefined;
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
      const cut = effect.checkpoint ? ' checkpoint' : effect.cut ? ' cut' : '';
      return `delivers s${effect.slot} [${batches}]${cut}, ${effect.path}`;
    }
    case 'persist':
    case 'rotate-log':
    case 'forget-batch':
      return undefined;
    case 'transfer':
      return `takes over the state after s${effect.state.slot}`;
    case 'drop-batch':
      return `drops ${names.batch(effect.lane, effect.ref)}`;
    case 'evidence':
      return describeEvidence(names, effect.evidence);
  }
}

export function describeMessage(
  names: Names,
  message: Message,
  proposalDigest: (message: Extract<Message, { kind: 'decided' | 'proposal' }>) => Uint8Array,
  batchRef: (message: Extract<Message, { kind: 'batch' }>) => BatchRef,
): string {
  switch (message.kind) {
    case 'prepare': {
      const { slot, digest, view } = message.prepare;
      const what = `PREPARE s${slot} ${short(digest)}${inView(view)}`;
      return `${what}${message.request ? ', asking' : ''}`;
    }
    case 'fetch-batch':
      return `fetch ${names.batch(message.lane, message.ref)}`;
    case 'batch':
      return `batch ${names.batch(message.batch.lane, batchRef(message))}`;
    case 'attest':
      return `attests ${names.batch(message.lane, message.ref)}`;
    case 'fetch-decided':
      return `fetch decided s${message.fromSlot}..s${message.toSlot}`;
    case 'decided':
      return `decided s${message.proposal.slot} ${short(proposalDigest(message))}`;
    case 'fetch-proposal':
      return `fetch content s${message.slot} ${short(message.digest)}`;
    case 'proposal':
      return `content s${message.proposal.slot} ${short(proposalDigest(message))}`;
    case 'view-change':
      return `VIEW-CHANGE v${message.viewChange.view}${describeReports(message.viewChange)}`;
    case 'new-view': {
      return describeNewView(message.newView);
    }
    case 'checkpoint':
      return `CHECKPOINT s${message.checkpoint.state.slot}`;
    case 'fetch-checkpoint':
      return `fetch checkpoint${message.ready ? ', and a new view' : ''}`;
    case 'stable-checkpoint': {
      const { certificate, namedSlot } = message;
      return `stable s${certificate?.state.slot ?? 0}, named s${namedSlot}`;
    }
  }
}

function describeNewView({ view, changes }: NewView): string {
  const replicas =
    changes[0]?.checkpoint?.state.frontier.length ?? REPLICAS_OF[changes.length] ?? 4;
  const { base, outcomes } = outcomesOf(changes, replicas, 0);
  const settled = outcomes.map(
    ({ slot, digest }) => `s${slot} ${digest === undefined ? 'null' : short(digest)}`,
  );
  const from = base === 0 ? '' : ` from s${base}`;
  const what = `NEW-VIEW v${view} of ${changes.map(({ signer }) => signer).join(' ')}${from}`;
  return `${what}: ${settled.join(', ') || 'nothing open'}`;
}

/** Scripts with so many VIEW-CHANGEs in a NEW-VIEW have so many replicas. */
const REPLICAS_OF: readonly (number | undefined)[] = [undefined, 1, 2, 4, 5, 7];

function describeReports({ lives, checkpoint, reports }: ViewChange): string {
  const known = lives.flatMap((life, replica) =>
    life === 0 ? [] : [` knows ${replica} since ${lifeOf(life)}`],
  );
  const stable = checkpoint === undefined ? '' : ` stable s${checkpoint.state.slot}`;
  const base = known.join('') + stable;
  const told = reports.map(({ slot, vote, prepared }) => {
    const voted = vote && ` voted ${short(vote.digest)} in v${vote.view}`;
    const certified = prepared && ` prepared ${short(prepared.digest)} in v${prepared.view}`;
    return `, s${slot}${voted ?? ''}${certified ?? ''}`;
  });
  return base + told.join('');
}

function describeEvidence(names: Names, evidence: Evidence): string {
  const who = `ACCUSES ${evidence.peer}:`;
  switch (evidence.kind) {
    case 'lane-equivocation': {
      const [a, b] = evidence.digests.map((digest) =>
        names.batch(evidence.peer, { seq: evidence.seq, digest }),
      );
      return `${who} two batches, ${a} and ${b}`;
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
    case 'prepare-equivocation': {
      const [a, b] = evidence.prepares;
      return `${who} signed two PREPAREs for s${a.slot}, ${short(a.digest)} and ${short(b.digest)}`;
    }
    case 'invalid-view-change':
      return `${who} invalid VIEW-CHANGE v${evidence.view}, ${evidence.reason}`;
    case 'invalid-new-view':
      return `${who} invalid NEW-VIEW v${evidence.view}, ${evidence.reason}`;
    case 'invalid-checkpoint':
      return `${who} invalid CHECKPOINT s${evidence.slot}, ${evidence.reason}`;
  }
}

export function describeRecord(
  names: Names,
  record: LogRecord,
  digestOf: (proposal: Proposal) => Uint8Array,
  refOf: (batch: Batch) => BatchRef,
): string {
  switch (record.kind) {
    case 'batch':
      return `batch ${names.batch(record.batch.lane, refOf(record.batch))}`;
    case 'vote': {
      const { view, proposal } = record;
      return `vote s${proposal.slot} ${short(digestOf(proposal))} in v${view}`;
    }
    case 'prepared': {
      const { view, slot, digest } = record.certificate;
      return `prepared s${slot} ${short(digest)} in v${view}`;
    }
    case 'view-change':
      return `VIEW-CHANGE v${record.viewChange.view}`;
    case 'new-view':
      return `NEW-VIEW v${record.newView.view}`;
    case 'checkpoint':
      return `checkpoint s${record.certificate?.state.slot ?? 0}`;
    case 'stable':
      return `stable s${record.certificate.state.slot}`;
    case 'lives':
      return `lives ${record.lives.map(lifeOf).join(' ')}`;
  }
}
