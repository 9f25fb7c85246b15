/**
 * Cells: what a replica writes into its peers' regions. The transport adds epoch, incarnation and
 * MAC, and may pad the body with zeros.
 *
 *   kind      slot          view   flags        body
 *   proposal  slot          view   bit 0: cut   timeMs u64 | per lane: seq u64, digest 32
 *   vote      slot          view   0            digest 24
 *   commit    slot          view   0            digest 24
 *   progress  applied slot  0      0            reserved u64 = 0 | per lane: seq u64, digest 32
 */
import { assertNever } from '../core/assert.ts';
import type { Cell, Proposal } from '../core/types.ts';
import { copyShort, type Decoded, isZero, malformed, ok, readU64, writeU64 } from './bytes.ts';
import { readFrontier, TIP_BYTES, writeFrontier } from './frontier.ts';

/** As the transport takes and gives it (`CellContent` in rdma/contract.ts). */
export interface CellFrame {
  readonly kind: Cell['kind'];
  readonly slot: number;
  readonly view: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

const FLAG_CUT = 1;
const FIXED_BYTES = 8;
const DIGEST24_BYTES = 24;
const VIEW_MAX = 0xffff_ffff;

/** Bytes of the body before any padding. */
export function cellBodyBytes(kind: Cell['kind'], replicas: number): number {
  switch (kind) {
    case 'proposal':
    case 'progress':
      return FIXED_BYTES + replicas * TIP_BYTES;
    case 'vote':
    case 'commit':
      return DIGEST24_BYTES;
    default:
      return assertNever(kind);
  }
}

/** Body of a proposal cell; also part of the `decided` message and of the decided log. */
export function writeProposalBody(bytes: Uint8Array, offset: number, proposal: Proposal): void {
  writeU64(bytes, offset, proposal.timeMs);
  writeFrontier(bytes, offset + FIXED_BYTES, proposal.frontier);
}

export function encodeProposalBody(proposal: Proposal): Uint8Array {
  const body = new Uint8Array(cellBodyBytes('proposal', proposal.frontier.length));
  writeProposalBody(body, 0, proposal);
  return body;
}

/** Reads a body at `offset`; the caller has checked the length. Keeps nothing of `bytes`. */
export function decodeProposalBody(
  slot: number,
  flags: number,
  bytes: Uint8Array,
  offset: number,
  replicas: number,
): Decoded<Proposal> {
  if ((flags & ~FLAG_CUT) !== 0) return malformed('unknown proposal flags');
  const timeMs = readU64(bytes, offset);
  if (timeMs === undefined) return malformed('proposal time exceeds 2^53 - 1');
  const frontier = readFrontier(bytes, offset + FIXED_BYTES, replicas);
  if (frontier.kind === 'malformed') return frontier;
  return ok({ slot, timeMs, cut: (flags & FLAG_CUT) !== 0, frontier: frontier.value });
}

export function proposalFlags(proposal: Proposal): number {
  return proposal.cut ? FLAG_CUT : 0;
}

export function encodeCell(cell: Cell): CellFrame {
  switch (cell.kind) {
    case 'proposal': {
      const { proposal } = cell;
      return {
        kind: 'proposal',
        slot: proposal.slot,
        view: cell.view,
        flags: proposalFlags(proposal),
        body: encodeProposalBody(proposal),
      };
    }
    case 'vote':
    case 'commit':
      return { kind: cell.kind, slot: cell.slot, view: cell.view, flags: 0, body: cell.digest };
    case 'progress': {
      const body = new Uint8Array(cellBodyBytes('progress', cell.held.length));
      writeFrontier(body, FIXED_BYTES, cell.held);
      return { kind: 'progress', slot: cell.appliedSlot, view: 0, flags: 0, body };
    }
    default:
      return assertNever(cell);
  }
}

/** Keeps nothing of `frame.body`, which may be a scratch buffer. */
export function decodeCell(frame: CellFrame, replicas: number): Decoded<Cell> {
  const { kind, slot, view, flags, body } = frame;
  if (!Number.isSafeInteger(slot) || slot < 0) return malformed('slot exceeds 2^53 - 1');
  if (!Number.isInteger(view) || view < 0 || view > VIEW_MAX) return malformed('view is not a u32');
  const bodyBytes = cellBodyBytes(kind, replicas);
  if (body.length < bodyBytes) return malformed('cell body too short');
  if (!isZero(body, bodyBytes)) return malformed('cell padding is not zero');
  switch (kind) {
    case 'proposal': {
      const proposal = decodeProposalBody(slot, flags, body, 0, replicas);
      return proposal.kind === 'ok' ? ok({ kind, view, proposal: proposal.value }) : proposal;
    }
    case 'vote':
    case 'commit':
      if (flags !== 0) return malformed('unknown cell flags');
      return ok({ kind, view, slot, digest: copyShort(body, 0, DIGEST24_BYTES) });
    case 'progress': {
      if (flags !== 0 || view !== 0) return malformed('unknown progress flags');
      if (!isZero(body, 0, FIXED_BYTES)) return malformed('reserved bytes are not zero');
      const held = readFrontier(body, FIXED_BYTES, replicas);
      return held.kind === 'ok' ? ok({ kind, appliedSlot: slot, held: held.value }) : held;
    }
    default:
      return assertNever(kind);
  }
}
