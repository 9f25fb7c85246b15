/**
 * Frames of the start-up exchange, sent over the mutual-TLS links before (and beside) a run.
 * Reports and requests are JSON, since they are rare and small; blocks are length-prefixed bytes.
 */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Decoded } from '../../ledger/format/index.ts';
import type { LedgerReport } from './decide.ts';

/** Blocks of one answer: at least one, then as many as fit. */
export const BLOCKS_BYTES_MAX = 1 << 20;
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

const Height = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Hash = Type.String({ pattern: '^[0-9a-f]{64}$' });
const JsonMessage = Compile(
  Type.Union([
    Type.Object(
      { kind: Type.Literal('fetch'), fromNumber: Height },
      { additionalProperties: false },
    ),
    Type.Object(
      {
        kind: Type.Literal('report'),
        wantsReply: Type.Boolean(),
        report: Type.Object(
          {
            storedHeight: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
            certifiedHeight: Height,
            tipHash: Hash,
            tail: Type.Array(
              Type.Object({ number: Height, hash: Hash }, { additionalProperties: false }),
              { maxItems: TAIL_BLOCKS_MAX },
            ),
            base: Type.Union([
              Type.Null(),
              Type.Object({ height: Height, tipHash: Hash }, { additionalProperties: false }),
            ]),
          },
          { additionalProperties: false },
        ),
      },
      { additionalProperties: false },
    ),
  ]),
);

export function encodeStartMessage(message: StartMessage): Uint8Array {
  if (message.kind === 'blocks') return encodeBlocks(message.fromNumber, message.blocks);
  if (message.kind === 'fetch') return new TextEncoder().encode(JSON.stringify(message));
  const report = { ...message.report, base: message.report.base ?? null };
  return new TextEncoder().encode(JSON.stringify({ ...message, report }));
}

export function decodeStartMessage(bytes: Uint8Array): Decoded<StartMessage> {
  if (bytes[0] === BLOCKS_FRAME) return decodeBlocks(bytes);
  if (bytes[0] !== JSON_FRAME) return malformed('unknown start-up frame');
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return malformed('start-up frame is not JSON');
  }
  if (!JsonMessage.Check(parsed)) return malformed('start-up frame has the wrong shape');
  if (parsed.kind === 'fetch') return { kind: 'ok', value: parsed };
  const { report, wantsReply } = parsed;
  if (report.certifiedHeight > report.storedHeight) {
    return malformed('report claims more certified than stored blocks');
  }
  const value = {
    kind: 'report' as const,
    wantsReply,
    report: { ...report, base: report.base ?? undefined },
  };
  return { kind: 'ok', value };
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
