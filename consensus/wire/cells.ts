/**
 * Cells: what a replica writes into its peers' regions. The transport adds epoch, incarnation and
 * MAC, and may pad the body with zeros.
 *
 *   kind      slot          view   flags        body
 *   proposal  slot          view   bit 0: cut   timeMs u64 | per lane: seq u64, digest 32
 *   vote      slot          view   0            digest 24
 *   commit    slot          view   0            digest 24
 *   progress  applied slot  view   bit 0: changing, bit 1: mute
 *                                               wish u32 | beat u32 | per lane: seq u64, digest 32
 *
 * The view of a progress cell is the writer's own, and its wish is never below it.
 */
import { assertNever } from '../core/assert.ts';
import type { Cell } from '../core/types.ts';
import { copyShort, type Decoded, isZero, malformed, ok, readU32, writeU32 } from './bytes.ts';
import { KnownTips, readFrontier, TIP_BYTES, writeFrontier } from './frontier.ts';
import {
  decodeProposalBody,
  proposalBodyBytes,
  proposalFlags,
  writeProposalBody,
} from './proposal.ts';

/** As the transport takes and gives it (`CellContent` in rdma/contract.ts). */
export interface CellFrame {
  readonly kind: Cell['kind'];
  readonly slot: number;
  readonly view: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

const FLAG_CHANGING = 1;
const FLAG_MUTE = 2;
/** Wish and beat. */
const PROGRESS_HEAD_BYTES = 8;
const BEAT_OFFSET = 4;
const DIGEST24_BYTES = 24;
const U32_MAX = 0xffff_ffff;

/** Bytes of the body before any padding. */
export function cellBodyBytes(kind: Cell['kind'], replicas: number): number {
  switch (kind) {
    case 'proposal':
      return proposalBodyBytes(replicas);
    case 'progress':
      return PROGRESS_HEAD_BYTES + replicas * TIP_BYTES;
    case 'vote':
    case 'commit':
      return DIGEST24_BYTES;
    default:
      return assertNever(kind);
  }
}

/** `body`: where the body goes, of exactly its length; otherwise it gets an array of its own. */
export function encodeCell(cell: Cell, body?: Uint8Array): CellFrame {
  switch (cell.kind) {
    case 'proposal':
      return encodeProposal(cell, body);
    case 'vote':
    case 'commit':
      return { kind: cell.kind, slot: cell.slot, view: cell.view, flags: 0, body: cell.digest };
    case 'progress':
      return encodeProgress(cell, body);
    default:
      return assertNever(cell);
  }
}

/** As `encodeCell`, for a writer that is done with each frame before the next: its body is overwritten then. */
export function createCellEncoder(replicas: number): (cell: Cell) => CellFrame {
  const proposal = new Uint8Array(cellBodyBytes('proposal', replicas));
  const progress = new Uint8Array(cellBodyBytes('progress', replicas));
  return (cell) => encodeCell(cell, cell.kind === 'proposal' ? proposal : progress);
}

/** Keeps nothing of `frame`, whose body may be a scratch buffer. */
export function decodeCell(frame: CellFrame, replicas: number): Decoded<Cell> {
  return decode(frame, replicas, undefined);
}

/**
 * As `decodeCell`, for a reader that is done with each vote and COMMIT before the next cell: they are overwritten then. They
 * are most of what peers write, and three in each slot. Tips that were read last are not read into new objects.
 */
export function createCellDecoder(replicas: number): (frame: CellFrame) => Decoded<Cell> {
  const memory: CellMemory = {
    known: new KnownTips(replicas),
    vote: { kind: 'ok', value: { kind: 'vote', ...emptyWord() } },
    commit: { kind: 'ok', value: { kind: 'commit', ...emptyWord() } },
  };
  return (frame) => decode(frame, replicas, memory);
}

interface CellMemory {
  readonly known: KnownTips;
  readonly vote: DecodedWord<'vote'>;
  readonly commit: DecodedWord<'commit'>;
}

/** What a vote or a COMMIT says. */
interface Word {
  view: number;
  slot: number;
  readonly digest: Uint8Array;
}

type DecodedWord<K> = {
  readonly kind: 'ok';
  readonly value: { readonly kind: K } & Word;
};

function emptyWord(): Word {
  return { view: 0, slot: 0, digest: new Uint8Array(DIGEST24_BYTES) };
}

function decode(frame: CellFrame, replicas: number, memory: CellMemory | undefined): Decoded<Cell> {
  const { kind, slot, view, flags, body } = frame;
  if (!Number.isSafeInteger(slot) || slot < 0) return malformed('slot exceeds 2^53 - 1');
  if (!isU32(view)) return malformed('view is not a u32');
  const bodyBytes = cellBodyBytes(kind, replicas);
  if (body.length < bodyBytes) return malformed('cell body too short');
  if (!isZero(body, bodyBytes)) return malformed('cell padding is not zero');
  switch (kind) {
    case 'proposal': {
      const proposal = decodeProposalBody(slot, flags, body, 0, replicas, memory?.known);
      return proposal.kind === 'ok' ? ok({ kind, view, proposal: proposal.value }) : proposal;
    }
    case 'vote':
    case 'commit':
      if (flags !== 0) return malformed('unknown cell flags');
      if (memory !== undefined) return overwrite(memory[kind], frame);
      return ok({ kind, view, slot, digest: copyShort(body, 0, DIGEST24_BYTES) });
    case 'progress':
      return decodeProgress(frame, replicas, memory?.known);
    default:
      return assertNever(kind);
  }
}

function overwrite<W extends CellMemory['vote' | 'commit']>(
  decoded: W,
  { view, slot, body }: CellFrame,
): W {
  const { value } = decoded;
  value.view = view;
  value.slot = slot;
  for (let i = 0; i < DIGEST24_BYTES; i++) value.digest[i] = body[i] as number;
  return decoded;
}

function encodeProposal(
  { view, proposal }: Extract<Cell, { kind: 'proposal' }>,
  body: Uint8Array = new Uint8Array(cellBodyBytes('proposal', proposal.frontier.length)),
): CellFrame {
  writeProposalBody(body, 0, proposal);
  return { kind: 'proposal', slot: proposal.slot, view, flags: proposalFlags(proposal), body };
}

function encodeProgress(
  cell: Extract<Cell, { kind: 'progress' }>,
  body: Uint8Array = new Uint8Array(cellBodyBytes('progress', cell.held.length)),
): CellFrame {
  const { appliedSlot, held, view, changing, wish, mute, beat } = cell;
  if (!isU32(wish) || !isU32(beat)) throw new RangeError('wish and beat are u32');
  if (wish < view) throw new RangeError('a wish below the view');
  writeU32(body, 0, wish);
  writeU32(body, BEAT_OFFSET, beat);
  writeFrontier(body, PROGRESS_HEAD_BYTES, held);
  const flags = (changing ? FLAG_CHANGING : 0) | (mute ? FLAG_MUTE : 0);
  return { kind: 'progress', slot: appliedSlot, view, flags, body };
}

/** The length has been checked. */
function decodeProgress(
  frame: CellFrame,
  replicas: number,
  known: KnownTips | undefined,
): Decoded<Cell> {
  const { slot, view, flags, body } = frame;
  if ((flags & ~(FLAG_CHANGING | FLAG_MUTE)) !== 0) return malformed('unknown progress flags');
  const wish = readU32(body, 0);
  if (wish < view) return malformed('wish below the view');
  const held = readFrontier(body, PROGRESS_HEAD_BYTES, replicas, known);
  if (held.kind === 'malformed') return held;
  return ok({
    kind: 'progress',
    appliedSlot: slot,
    held: held.value,
    view,
    changing: (flags & FLAG_CHANGING) !== 0,
    wish,
    mute: (flags & FLAG_MUTE) !== 0,
    beat: readU32(body, BEAT_OFFSET),
  });
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= U32_MAX;
}
