/**
 * Frames of the start-up exchange, sent over the mutual-TLS links before (and beside) a run.
 * Reports and requests are JSON, since they are rare and small; blocks are length-prefixed bytes. Checked by hand: a
 * schema library would be the largest thing in a replica's memory.
 */
import type { Decoded } from '../../ledger/format/index.ts';
import type { LedgerReport, TailBlock } from './decide.ts';
import { readRunKey } from './run-record.ts';

/** Blocks of one answer: at least one, then as many as fit. */
export const BLOCKS_BYTES_MAX = 1 << 20;
/** Blocks of one frame: a frame full of empty ones must not become millions of objects. */
export const BLOCKS_PER_FRAME_MAX = 1_024;
/** Reports and requests; a report with the longest tail takes half of it. */
const JSON_BYTES_MAX = 256 * 1024;
/** Uncertified blocks named in a report; the orderer's back-pressure keeps the tail far shorter. */
export const TAIL_BLOCKS_MAX = 1_024;

export type StartMessage =
  | { readonly kind: 'report'; readonly report: LedgerReport; readonly wantsReply: boolean }
  | { readonly kind: 'fetch'; readonly fromNumber: number }
  | {
      readonly kind: 'blocks';
      readonly fromNumber: number;
      readonly blocks: readonly Uint8Array[];
    };

const JSON_FRAME = 0x7b; // '{'
const BLOCKS_FRAME = 0x01;
const BLOCKS_HEADER_BYTES = 9;

export function encodeStartMessage(message: StartMessage): Uint8Array {
  if (message.kind === 'blocks') return encodeBlocks(message.fromNumber, message.blocks);
  if (message.kind === 'fetch') return new TextEncoder().encode(JSON.stringify(message));
  const { base, ready } = message.report;
  const report = { ...message.report, base: base ?? null, ready: ready ?? null };
  return new TextEncoder().encode(JSON.stringify({ ...message, report }));
}

export function decodeStartMessage(bytes: Uint8Array): Decoded<StartMessage> {
  if (bytes[0] === BLOCKS_FRAME) return decodeBlocks(bytes);
  if (bytes[0] !== JSON_FRAME) return malformed('unknown start-up frame');
  if (bytes.length > JSON_BYTES_MAX) return malformed('start-up frame is too large');
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return malformed('start-up frame is not JSON');
  }
  const message = readMessage(parsed);
  return message === undefined
    ? malformed('start-up frame has the wrong shape')
    : { kind: 'ok', value: message };
}

function readMessage(value: unknown): StartMessage | undefined {
  if (!isRecord(value)) return undefined;
  if (value.kind === 'fetch') {
    const { fromNumber } = value;
    return hasKeys(value, 2) && isHeight(fromNumber) ? { kind: 'fetch', fromNumber } : undefined;
  }
  const { wantsReply } = value;
  if (value.kind !== 'report' || !hasKeys(value, 3) || typeof wantsReply !== 'boolean') {
    return undefined;
  }
  const report = readReport(value.report);
  return report === undefined ? undefined : { kind: 'report', report, wantsReply };
}

function readReport(value: unknown): LedgerReport | undefined {
  if (!isRecord(value) || !hasKeys(value, 6)) return undefined;
  const { storedHeight, certifiedHeight, tipHash } = value;
  if (!isHeight(storedHeight) || !isHeight(certifiedHeight) || !isHash(tipHash)) return undefined;
  if (storedHeight < 1 || certifiedHeight > storedHeight) return undefined;
  const base = value.base === null ? undefined : readBase(value.base);
  if (base === undefined && value.base !== null) return undefined;
  const ready = value.ready === null ? undefined : value.ready;
  if (ready !== undefined && !isHeight(ready)) return undefined;
  const tail = readTail(value.tail);
  return tail && { storedHeight, certifiedHeight, tipHash, tail, base, ready };
}

function readBase(value: unknown): LedgerReport['base'] {
  if (!isRecord(value) || !hasKeys(value, 4) || typeof value.mute !== 'boolean') return undefined;
  const run = readRunKey(value);
  return run && { ...run, mute: value.mute };
}

function readTail(value: unknown): TailBlock[] | undefined {
  if (!Array.isArray(value) || value.length > TAIL_BLOCKS_MAX) return undefined;
  const tail: TailBlock[] = [];
  for (const item of value) {
    if (!isRecord(item) || !hasKeys(item, 2)) return undefined;
    const { number, hash } = item;
    if (!isHeight(number) || !isHash(hash)) return undefined;
    tail.push({ number, hash });
  }
  return tail;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hasKeys(value: Record<string, unknown>, count: number): boolean {
  return Object.keys(value).length === count;
}

function isHeight(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}

function encodeBlocks(fromNumber: number, blocks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(
    blocks.reduce((sum, block) => sum + 4 + block.length, BLOCKS_HEADER_BYTES),
  );
  const view = new DataView(bytes.buffer);
  bytes[0] = BLOCKS_FRAME;
  view.setBigUint64(1, BigInt(fromNumber), true);
  let offset = BLOCKS_HEADER_BYTES;
  for (const block of blocks) {
    view.setUint32(offset, block.length, true);
    bytes.set(block, offset + 4);
    offset += 4 + block.length;
  }
  return bytes;
}

function decodeBlocks(bytes: Uint8Array): Decoded<StartMessage> {
  if (bytes.length < BLOCKS_HEADER_BYTES) return malformed('blocks frame is truncated');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const number = view.getBigUint64(1, true);
  if (number > BigInt(Number.MAX_SAFE_INTEGER)) return malformed('block number above 2^53');
  const blocks: Uint8Array[] = [];
  let offset = BLOCKS_HEADER_BYTES;
  while (offset < bytes.length) {
    if (blocks.length >= BLOCKS_PER_FRAME_MAX) return malformed('blocks frame has too many blocks');
    if (offset + 4 > bytes.length) return malformed('blocks frame is truncated');
    const length = view.getUint32(offset, true);
    offset += 4;
    if (length > bytes.length - offset) return malformed('blocks frame is truncated');
    blocks.push(bytes.subarray(offset, offset + length));
    offset += length;
  }
  return { kind: 'ok', value: { kind: 'blocks', fromNumber: Number(number), blocks } };
}

function malformed(reason: string): { kind: 'malformed'; reason: string } {
  return { kind: 'malformed', reason };
}
