/**
 * What one identity has said, over all lives of its process, and what it must therefore never say
 * (V1, S1, S3, W2, D2): the promises that the safety of the protocol rests on.
 */
import type {
  Digest24,
  Effect,
  LogRecord,
  Message,
  Proposal,
  ViewChange,
} from '../../../consensus/core/index.ts';
import { encodeViewChangeBody } from '../../../consensus/wire/index.ts';

interface SaidVote {
  readonly view: number;
  readonly digest: string;
  /** A COMMIT on a certificate, not on a decision. */
  readonly certified: boolean;
}

export class Voice {
  readonly self: number;
  /** Promises that were broken. */
  readonly broken: string[] = [];
  readonly #digestOf: (proposal: Proposal) => Digest24;
  /** Per (kind, view, slot), or lane seq: the digest. */
  readonly #said = new Map<string, string>();
  /** Highest-view vote and COMMIT per slot. */
  readonly #votes = new Map<number, SaidVote>();
  readonly #commits = new Map<number, SaidVote>();
  /** Votes that are on disk. */
  readonly #stored = new Set<string>();
  /** No vote, PREPARE or COMMIT in a lower view. */
  #leftFor = 0;

  constructor(self: number, digestOf: (proposal: Proposal) => Digest24) {
    this.self = self;
    this.#digestOf = digestOf;
  }

  hear(effect: Effect): void {
    switch (effect.kind) {
      case 'persist':
        return this.#store(effect.record);
      case 'rotate-log':
        return this.#rotate(effect.records);
      case 'write-batch':
        return this.#once(ownBatch(effect.ref.seq), hexOf(effect.ref.digest));
      case 'drop-batch':
        // Something else is executed in its place: its number is free again (L7).
        if (effect.lane === this.self) this.#said.delete(ownBatch(effect.ref.seq));
        return;
      case 'send':
        return this.#hearMessage(effect.message);
      case 'write-cell': {
        const { cell } = effect;
        if (cell.kind === 'proposal') {
          const place = `v${cell.view}s${cell.proposal.slot}`;
          this.#once(`proposal ${place}`, hexOf(this.#digestOf(cell.proposal)));
          this.#needsVote(place, hexOf(this.#digestOf(cell.proposal)), 'proposal');
        } else if (cell.kind === 'vote' || cell.kind === 'commit') {
          this.#hearVote(cell.kind, cell.view, cell.slot, hexOf(cell.digest));
        }
        return;
      }
    }
  }

  #fail(what: string): void {
    this.broken.push(`${this.self}: ${what}`);
  }

  #once(what: string, digest: string): void {
    const known = this.#said.get(what);
    if (known !== undefined && known !== digest) this.#fail(`two digests for ${what}`);
    this.#said.set(what, digest);
  }

  #store(record: LogRecord): void {
    if (record.kind === 'vote') {
      const { view, proposal } = record;
      this.#stored.add(`v${view}s${proposal.slot} ${hexOf(this.#digestOf(proposal))}`);
    } else if (record.kind === 'prepared') {
      const { view, slot, digest } = record.certificate;
      this.#stored.add(`prepared v${view}s${slot} ${hexOf(digest)}`);
    } else if (record.kind === 'view-change') {
      this.#leftFor = Math.max(this.#leftFor, record.viewChange.view);
      this.#stored.add(`view-change v${record.viewChange.view}`);
    } else if (record.kind === 'new-view') {
      this.#leftFor = Math.max(this.#leftFor, record.newView.view);
    }
  }

  /** D3: a new log forgets nothing that is alive. */
  #rotate(records: readonly LogRecord[]): void {
    const [first] = records;
    if (first?.kind !== 'checkpoint') return this.#fail('a log that begins with no checkpoint');
    this.#stored.clear();
    const view = this.#leftFor;
    this.#leftFor = 0;
    for (const record of records) this.#store(record);
    if (this.#leftFor < view) this.#fail(`the new log forgets view ${view}`);
    this.#leftFor = view;
    const base = first.certificate?.state.slot ?? 0;
    for (const [slot, { view: voted, digest }] of this.#votes) {
      if (slot <= base || this.#stored.has(`v${voted}s${slot} ${digest}`)) continue;
      this.#fail(`the new log forgets vote v${voted}s${slot}`);
    }
  }

  #inView(view: number, what: string): void {
    if (view < this.#leftFor) this.#fail(`${what} after it has left for v${this.#leftFor}`);
  }

  #needsVote(place: string, digest: string, what: string): void {
    if (this.#said.get(`vote ${place}`) === digest) return;
    if (what === 'proposal' && this.#stored.has(`${place} ${digest}`)) return;
    this.#fail(`${what} ${place} without a vote for it`);
  }

  #hearVote(kind: 'vote' | 'commit', view: number, slot: number, digest: string): void {
    const place = `v${view}s${slot}`;
    this.#inView(view, `${kind} ${place}`);
    this.#once(`${kind} ${place}`, digest);
    const last = kind === 'vote' ? this.#votes : this.#commits;
    const certified = this.#stored.has(`prepared ${place} ${digest}`);
    if ((last.get(slot)?.view ?? -1) <= view) last.set(slot, { view, digest, certified });
    if (kind === 'commit') return this.#needsVote(place, digest, 'COMMIT');
    if (!this.#stored.has(`${place} ${digest}`)) this.#fail(`vote ${place} before it is stored`);
  }

  #hearMessage(message: Message): void {
    if (message.kind === 'prepare') {
      const { view, slot, digest } = message.prepare;
      const place = `v${view}s${slot}`;
      this.#inView(view, `PREPARE ${place}`);
      this.#needsVote(place, hexOf(digest), 'PREPARE');
    } else if (message.kind === 'view-change') this.#hearChange(message.viewChange);
  }

  /** It may leave out nothing that it has said above its checkpoint. */
  #hearChange(change: ViewChange): void {
    const { view, checkpoint, reports } = change;
    this.#once(`VIEW-CHANGE v${view}`, hexOf(encodeViewChangeBody(change)));
    if (!this.#stored.has(`view-change v${view}`)) {
      this.#fail(`VIEW-CHANGE v${view} before it is stored`);
    }
    const base = checkpoint?.state.slot ?? 0;
    for (const [slot, said] of this.#votes) {
      if (slot <= base || said.view >= view) continue;
      const vote = reports.find((report) => report.slot === slot)?.vote;
      if (vote?.view === said.view && hexOf(vote.digest) === said.digest) continue;
      this.#fail(`VIEW-CHANGE v${view} hides its vote v${said.view}s${slot}`);
    }
    for (const [slot, said] of this.#commits) {
      if (slot <= base || said.view >= view || !said.certified) continue;
      const prepared = reports.find((report) => report.slot === slot)?.prepared;
      if ((prepared?.view ?? -1) >= said.view) continue;
      this.#fail(`VIEW-CHANGE v${view} hides its certificate of s${slot}`);
    }
  }
}

function ownBatch(seq: number): string {
  return `batch ${seq} of the own lane`;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
