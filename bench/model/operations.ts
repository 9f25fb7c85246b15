/** What single operations cost on this machine, each by itself, with the code and the native addon that a replica runs. */
import { hash, randomBytes } from 'node:crypto';
import type { BatchRef, Cell, Frontier } from '../../consensus/core/index.ts';
import {
  ed25519KeyPair,
  signEd25519,
  verifyEd25519Strict,
} from '../../consensus/runtime/ed25519.ts';
import {
  type CellFrame,
  createCellDecoder,
  decodeLaneBatch,
  decodeMessage,
  encodeCell,
  encodeLaneBatch,
} from '../../consensus/wire/index.ts';
import type { InboxHandler } from '../../rdma/contract.ts';
import { TRANSPORT_LIMITS } from '../../rdma/index.ts';
import { createPollBuffers, dispatchRecords } from '../../rdma/memory/records.ts';
import { timeEach } from './clock.ts';
import { Star } from './star.ts';
import type { CellKind } from './tally.ts';

/** Microseconds each, with so many replicas. */
export interface OperationCosts {
  readonly replicas: number;
  /** Encoded, sealed for and written to all peers. */
  readonly writeCell: Record<CellKind, number>;
  /** Of one peer: found, copied, MAC checked, handed to JavaScript. */
  readonly readCell: Record<CellKind, number>;
  readonly decodeCell: Record<CellKind, number>;
  /** Of `readCell`, what happens in JavaScript. */
  readonly dispatch: number;
  /** More of `writeCell` for one peer more: a MAC, a copy, a doorbell. */
  readonly sealVote: number;
  /** To all peers, and from one peer: batches of a small and of a large size. */
  readonly writeBatch: BatchCosts;
  readonly readBatch: BatchCosts;
  /** To one peer, and from one peer. */
  readonly sendMessage: number;
  readonly readMessage: number;
  /** SHA-256: `hash + hashPerByte * bytes`. */
  readonly hash: number;
  readonly hashPerByte: number;
  readonly sign: number;
  readonly verify: number;
  readonly copyPerByte: number;
}

export interface BatchCosts {
  readonly small: number;
  readonly large: number;
}

export interface OperationOptions {
  readonly replicas: number;
  readonly batchBytes: { readonly small: number; readonly large: number };
  /** A message as it is seen in a run, encoded. */
  readonly message: Uint8Array;
}

const CALLS = 4_000;
const BATCHES = 200;
const SIGNATURES = 200;
const SIGNED_BYTES = 110;
const SHORT_BYTES = 64;
const LONG_BYTES = 4_096;
const COPIED_BYTES = 64 * 1024;
const COPIES = 1_000;
const DIGEST24_BYTES = 24;

export function measureOperations(options: OperationOptions): OperationCosts {
  const { replicas, batchBytes, message } = options;
  const star = new Star(replicas);
  const smaller = new Star(2);
  try {
    const cells = cellsOf(replicas);
    const each = <T>(of: (cellAt: (slot: number) => Cell) => T): Record<CellKind, T> => ({
      proposal: of(cells.proposal),
      vote: of(cells.vote),
      commit: of(cells.vote),
      progress: of(cells.progress),
    });
    const writeVote = (one: Star): number =>
      one.writeCellUs((slot) => encodeCell(cells.vote(slot)));
    const small = batchUs(star, batchBytes.small);
    const large = batchUs(star, batchBytes.large);
    const writeCell = each((cellAt) => star.writeCellUs((slot) => encodeCell(cellAt(slot))));
    const { sendUs, readUs } = star.messageUs(message);
    return {
      replicas,
      writeCell,
      readCell: each((cellAt) => star.readCellUs((slot) => encodeCell(cellAt(slot)))),
      decodeCell: each((cellAt) => decodeCellUs(encodeCell(cellAt(1)), replicas)),
      dispatch: dispatchUs(replicas),
      sealVote: Math.max(0, writeCell.vote - writeVote(smaller)) / Math.max(1, replicas - 2),
      writeBatch: { small: small.writeUs, large: large.writeUs },
      readBatch: { small: small.readUs, large: large.readUs },
      sendMessage: sendUs,
      readMessage: readUs + timeEach(CALLS, () => decodeMessage(message, replicas)),
      ...cryptographyUs(),
    };
  } finally {
    star.close();
    smaller.close();
  }
}

function cryptographyUs(): Pick<
  OperationCosts,
  'hash' | 'hashPerByte' | 'sign' | 'verify' | 'copyPerByte'
> {
  const hashUs = (bytes: number): number => {
    const text = randomBytes(bytes);
    return timeEach(CALLS, () => hash('sha256', text, 'buffer'));
  };
  const { publicKey, secretKey } = ed25519KeyPair(randomBytes(32));
  const text = randomBytes(SIGNED_BYTES);
  const signature = signEd25519(secretKey, text);
  const [short, long] = [hashUs(SHORT_BYTES), hashUs(LONG_BYTES)];
  const hashPerByte = Math.max(0, long - short) / (LONG_BYTES - SHORT_BYTES);
  const [from, to] = [randomBytes(COPIED_BYTES), new Uint8Array(COPIED_BYTES)];
  return {
    hash: short - hashPerByte * SHORT_BYTES,
    hashPerByte,
    sign: timeEach(SIGNATURES, () => signEd25519(secretKey, text)),
    verify: timeEach(SIGNATURES, () => verifyEd25519Strict(publicKey, text, signature)),
    copyPerByte: timeEach(COPIES, () => to.set(from)) / COPIED_BYTES,
  };
}

/** Of each kind, by slot, as full as they are in a run. */
function cellsOf(
  replicas: number,
): Record<'proposal' | 'vote' | 'progress', (slot: number) => Cell> {
  const digest = new Uint8Array(randomBytes(DIGEST24_BYTES));
  const frontier: Frontier = Array.from(
    { length: replicas },
    (): BatchRef => ({ seq: 1_000_000, digest: new Uint8Array(randomBytes(32)) }),
  );
  return {
    proposal: (slot) => ({
      kind: 'proposal',
      view: 0,
      proposal: { slot, timeMs: Date.now(), cut: true, frontier },
    }),
    vote: (slot) => ({ kind: 'vote', view: 0, slot, digest }),
    progress: (slot) => ({
      kind: 'progress',
      appliedSlot: slot,
      held: frontier,
      view: 0,
      changing: false,
      wish: 0,
      mute: false,
      beat: slot,
    }),
  };
}

function batchUs(star: Star, bytes: number): { writeUs: number; readUs: number } {
  const batch = batchOf(bytes);
  const frame = encodeLaneBatch(batch);
  const encodeUs = timeEach(BATCHES, () => encodeLaneBatch(batch));
  const decodeUs = timeEach(CALLS, () => decodeLaneBatch(frame, batch.lane));
  return {
    writeUs: encodeUs + star.writeLaneUs(frame),
    readUs: star.readLaneUs(frame) + decodeUs,
  };
}

function batchOf(bytes: number): Parameters<typeof encodeLaneBatch>[0] {
  const payload = new Uint8Array(bytes).fill(0x5a);
  return { lane: 1, seq: 2, previous: new Uint8Array(32).fill(1), payload };
}

function decodeCellUs(frame: CellFrame, replicas: number): number {
  // As in the loop: most tips are those of the cell before.
  const decode = createCellDecoder(replicas);
  if (decode(frame).kind !== 'ok') throw new Error('a cell of the model is malformed');
  return timeEach(CALLS, () => decode(frame));
}

const RECORD_CELL = 1;
const KIND_VOTE = 2;
const RECORD_HEADER_BYTES = 24;

/** A poll's records of one vote of each peer, as `rdma/memory/records.ts` draws them. */
function dispatchUs(replicas: number): number {
  const buffers = createPollBuffers(new ArrayBuffer(TRANSPORT_LIMITS.pollRecordBytesMax), replicas);
  const { view } = buffers;
  const recordBytes = RECORD_HEADER_BYTES + DIGEST24_BYTES;
  for (let peer = 1; peer < replicas; peer++) {
    const at = (peer - 1) * recordBytes;
    view.setUint8(at, RECORD_CELL);
    view.setUint8(at + 1, peer);
    view.setUint8(at + 2, KIND_VOTE);
    view.setUint32(at + 16, DIGEST24_BYTES, true);
  }
  const nothing = (): void => {};
  const handler: InboxHandler = {
    onCell: nothing,
    onLane: nothing,
    onMessage: nothing,
    onFault: nothing,
  };
  const dropped = new Uint8Array(replicas);
  const us = timeEach(CALLS, () =>
    dispatchRecords(buffers, replicas - 1, handler, dropped, () => 'none'),
  );
  return us / (replicas - 1);
}
