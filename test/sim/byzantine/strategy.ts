/** What a lie is made of. A liar runs real cores; its strategies change what they say on the way out, or add to it. */
import type {
  Batch,
  Cell,
  CheckpointCertificate,
  Input,
  Message,
  NewView,
  PreparedCertificate,
  Proposal,
  ViewChange,
} from '../../../consensus/core/index.ts';
import type { CoreState } from '../../../consensus/core/state.ts';
import type { Random } from '../random.ts';
import type { WrittenCell } from '../region.ts';
import type { Transactions } from '../transactions.ts';
import type { Conspiracy } from './conspiracy.ts';

/** What a liar has: its own identity, what it has heard, and the other liars. Nobody else's keys, nobody else's memory. */
export interface Means {
  readonly self: number;
  readonly replicas: number;
  readonly quorum: number;
  readonly faults: number;
  readonly random: Random;
  readonly conspiracy: Conspiracy;
  readonly transactions: Transactions;
  readonly nowMs: () => number;
  /** State of one of its cores: its digests and its view of things. */
  readonly state: () => CoreState | undefined;
  readonly sign: (text: Uint8Array) => Uint8Array;
  /** To one peer, past all strategies. */
  readonly say: {
    cell(to: number, cell: Cell): void;
    frame(to: number, frame: WrittenCell): void;
    message(to: number, message: Message): void;
    batch(to: number, batch: Batch): void;
    bytes(to: number, bytes: Uint8Array): void;
    /** Into `writer`'s region at `to`: MACs should keep anybody from reading it. */
    spoofed(writer: number, to: number, cell: Cell, original: Cell): void;
  };
  readonly heard: Heard;
}

/** What came in and can be of use later: signed things are as good in a liar's hand as in anybody's. */
export interface Heard {
  readonly changes: ViewChange[];
  readonly newViews: NewView[];
  readonly prepared: PreparedCertificate[];
  readonly checkpoints: CheckpointCertificate[];
  readonly proposals: Proposal[];
  readonly batches: Batch[];
  /** Votes and COMMITs that others wrote into its memory. */
  readonly votes: { readonly from: number; readonly cell: Cell }[];
  /** Its own cells as it wrote them. */
  readonly ownCells: WrittenCell[];
  readonly ownMessages: Message[];
  readonly ownChanges: ViewChange[];
}

/** Each answers what `to` is told instead; undefined: nothing. */
export interface Strategy {
  cell?(cell: Cell, to: number): Cell | undefined;
  message?(message: Message, to: number): Message | undefined;
  batch?(batch: Batch, to: number): Batch | undefined;
  /** Before it is given to the own cores. */
  hear?(input: Input): void;
  /** Now and then. */
  act?(): void;
}

export type StrategyFactory = (means: Means) => Strategy;

/** Every other correct or lying replica. */
export function others({ self, replicas }: Means): number[] {
  return Array.from({ length: replicas }, (_, replica) => replica).filter((peer) => peer !== self);
}

export function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}
