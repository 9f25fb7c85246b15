/**
 * Layout of a region: who may write what, where. `native/layout.h` states the same numbers for C++,
 * and test/rdma/layout.test.ts compares the two, one by one.
 *
 * Region j <- i: owned and read by replica j, written by replica i
 * alone. All numbers little-endian.
 *
 *   offset      size                     content
 *   +---------+------------------------+------------------------------------------------------------+
 *   | 0       | 4096                   | header                                                     |
 *   | 4096    | W x proposalCellBytes  | proposal cells, index = slot mod W                         |
 *   |         | W x 64                 | vote cells                                                 |
 *   |         | W x 64                 | commit cells                                               |
 *   |         | progressCellBytes      | progress cell                                              |
 *   | page    | laneRingBytes          | lane ring                                                  |
 *   |         | controlRingBytes       | control ring                                               |
 *   +---------+------------------------+------------------------------------------------------------+
 *
 * Header (one cache line for each word that one side writes while the other side reads):
 *
 *     0        8         12         16            32            64         128       192         256
 *   +--------+---------+----------+-------------+-------------+----------+---------+-----------+--------+
 *   | magic  | version | reserved | regionBytes | digest [32] | doorbell | waiting | lane tail | control|
 *   | 8 B    | u32     |          | u64         |             | u32      | u32     | u64       | tail   |
 *   +--------+---------+----------+-------------+-------------+----------+---------+-----------+--------+
 *   320: hints, 128 x u32: hint[d mod 128] is the ordinal of the cell that made the doorbell d + 1, or
 *   0xffffffff when it was a ring. A hint only says where to look; a reader that is 128 or more behind looks
 *   everywhere.
 *
 * Cell (64 bytes for votes and commits; a multiple of 64 for the others):
 *
 *     0        8       12      14     15      16                  size-24        size-16        size
 *   +--------+-------+-------+------+-------+-------------------+--------------+--------------+
 *   | slot   | view  | epoch | kind | flags | body (size-40)    | incarnation  | MAC          |
 *   | u64    | u32   | u16   | u8   | u8    | zero-padded       | u64          | 16 B         |
 *   +--------+-------+-------+------+-------+-------------------+--------------+--------------+
 *   The MAC covers all before it. Its key is bound to writer, reader, channel, session and region.
 *   The last 16 bytes of a progress cell's body are the provider's: how many bytes of the reader's rings
 *   this writer has taken (lane head u64, control head u64). They are the reader's credits.
 *   kind `credit` (5) lies in the progress cell's place and carries heads only; it is never handed up.
 *
 * Frame in a ring (header 64 bytes, then the fragment padded to 64; positions are
 * absolute byte counts, place = position mod ring bytes; a fragment that meets the end of
 * the ring goes on at its start):
 *
 *     0         4        8          16                 48        64
 *   +---------+--------+----------+------------------+---------+---------------------+---------+
 *   | length  | total  | sequence | SHA-256 of the   | MAC     | fragment            | padding |
 *   | u32     | u32    | u64      | fragment         | 16 B    | length bytes        |         |
 *   +---------+--------+----------+------------------+---------+---------------------+---------+
 *   A payload of `total` bytes is cut into fragments of `ringBytes / 4` (the last one is the rest). The MAC
 *   covers the 48 bytes before it. `sequence` counts the ring's frames from 0 in each session.
 */

import { createHash } from 'node:crypto';
import type { CellKind } from './contract.ts';

export const LAYOUT = {
  MAGIC: 'SLUICE01',
  VERSION: 1,

  HEADER_BYTES: 4096,
  HEADER_MAGIC: 0,
  HEADER_VERSION: 8,
  HEADER_REGION_BYTES: 16,
  HEADER_DIGEST: 32,
  HEADER_DIGEST_BYTES: 32,
  HEADER_DOORBELL: 64,
  HEADER_WAITING: 128,
  HEADER_LANE_TAIL: 192,
  HEADER_CONTROL_TAIL: 256,
  HEADER_HINTS: 320,
  HINTS: 128,
  HINT_RING: 0xffffffff,

  CELL_ALIGN: 64,
  CELL_SLOT: 0,
  CELL_VIEW: 8,
  CELL_EPOCH: 12,
  CELL_KIND: 14,
  CELL_FLAGS: 15,
  CELL_BODY: 16,
  CELL_OVERHEAD_BYTES: 40,
  CELL_INCARNATION_FROM_END: 24,
  CELL_MAC_FROM_END: 16,
  VOTE_CELL_BYTES: 64,
  COMMIT_CELL_BYTES: 64,
  BODY_FIXED_BYTES: 8,
  BODY_BYTES_PER_REPLICA: 40,
  PROGRESS_HEADS_BYTES: 16,

  KIND_PROPOSAL: 1,
  KIND_VOTE: 2,
  KIND_COMMIT: 3,
  KIND_PROGRESS: 4,
  KIND_CREDIT: 5,

  MAC_BYTES: 16,
  MAC_KEY_BYTES: 16,
  SHA256_BYTES: 32,

  FRAME_HEADER_BYTES: 64,
  FRAME_ALIGN: 64,
  FRAME_LENGTH: 0,
  FRAME_TOTAL: 4,
  FRAME_SEQUENCE: 8,
  FRAME_SHA256: 16,
  FRAME_MAC: 48,
  FRAGMENTS_PER_RING: 4,

  RING_LANE: 0,
  RING_CONTROL: 1,

  PAGE_BYTES: 4096,
} as const;

export const CELL_KIND_CODES: Readonly<Record<CellKind, number>> = {
  proposal: LAYOUT.KIND_PROPOSAL,
  vote: LAYOUT.KIND_VOTE,
  commit: LAYOUT.KIND_COMMIT,
  progress: LAYOUT.KIND_PROGRESS,
};

/** Cell kinds by their code; index 0 is no kind. */
export const CELL_KINDS: readonly (CellKind | undefined)[] = [
  undefined,
  'proposal',
  'vote',
  'commit',
  'progress',
];

/** What both ends of a session must agree on before they exchange a byte. */
export interface RegionDimensions {
  readonly replicas: number;
  readonly windowSlots: number;
  readonly laneRingBytes: number;
  readonly controlRingBytes: number;
  readonly payloadBytesMax: number;
}

/** Offsets and sizes in bytes of one region. */
export interface RegionLayout {
  readonly proposalCellBytes: number;
  readonly progressCellBytes: number;
  readonly proposalsOffset: number;
  readonly votesOffset: number;
  readonly commitsOffset: number;
  readonly progressOffset: number;
  readonly laneRingOffset: number;
  readonly controlRingOffset: number;
  readonly regionBytes: number;
}

function alignUp(bytes: number, align: number): number {
  return Math.ceil(bytes / align) * align;
}

/**
 * Bytes that a writer may put into the body of a cell of this kind, given the number of replicas.
 */
export function cellBodyBytes(kind: CellKind, replicas: number): number {
  switch (kind) {
    case 'vote':
      return LAYOUT.VOTE_CELL_BYTES - LAYOUT.CELL_OVERHEAD_BYTES;
    case 'commit':
      return LAYOUT.COMMIT_CELL_BYTES - LAYOUT.CELL_OVERHEAD_BYTES;
    case 'proposal':
    case 'progress':
      return LAYOUT.BODY_FIXED_BYTES + LAYOUT.BODY_BYTES_PER_REPLICA * replicas;
  }
}

/** Where everything lies in a region of these dimensions. */
export function regionLayout(dimensions: RegionDimensions): RegionLayout {
  const { replicas, windowSlots, laneRingBytes, controlRingBytes } = dimensions;
  const proposalCellBytes = alignUp(
    cellBodyBytes('proposal', replicas) + LAYOUT.CELL_OVERHEAD_BYTES,
    LAYOUT.CELL_ALIGN,
  );
  const progressCellBytes = alignUp(
    cellBodyBytes('progress', replicas) + LAYOUT.PROGRESS_HEADS_BYTES + LAYOUT.CELL_OVERHEAD_BYTES,
    LAYOUT.CELL_ALIGN,
  );
  const proposalsOffset = LAYOUT.HEADER_BYTES;
  const votesOffset = proposalsOffset + windowSlots * proposalCellBytes;
  const commitsOffset = votesOffset + windowSlots * LAYOUT.VOTE_CELL_BYTES;
  const progressOffset = commitsOffset + windowSlots * LAYOUT.COMMIT_CELL_BYTES;
  const laneRingOffset = alignUp(progressOffset + progressCellBytes, LAYOUT.PAGE_BYTES);
  const controlRingOffset = laneRingOffset + laneRingBytes;
  return {
    proposalCellBytes,
    progressCellBytes,
    proposalsOffset,
    votesOffset,
    commitsOffset,
    progressOffset,
    laneRingOffset,
    controlRingOffset,
    regionBytes: controlRingOffset + controlRingBytes,
  };
}

/**
 * SHA-256 (hex) of the layout's constants and of the dimensions: two
 * replicas that differ never connect.
 */
export function layoutDigest(dimensions: RegionDimensions): string {
  const { replicas, windowSlots, laneRingBytes, controlRingBytes, payloadBytesMax } = dimensions;
  const constants = Object.entries(LAYOUT).map(([name, value]) => `${name}=${value}`);
  const sizes = [replicas, windowSlots, laneRingBytes, controlRingBytes, payloadBytesMax];
  return createHash('sha256')
    .update(`${constants.join('\n')}\n${sizes.join(',')}`)
    .digest('hex');
}
