/**
 * What a deliver request asks for: which blocks, in which form. Decided
 * before the first byte is answered.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { ChannelService } from '../../orderer/service.ts';
import type { FrameFormat } from '../block-frames.ts';
import { ApiError } from '../errors.ts';
import { FRAME_MEDIA_TYPE } from '../framing.ts';
import { negotiate } from '../media-types.ts';
import {
  type BlockReference,
  readBlockReference,
  readChoice,
  readFlag,
  readNumber,
  readQuery,
} from '../parameters.ts';

export const NDJSON = 'application/x-ndjson';
export const SSE = 'text/event-stream';
const PARAMETERS = ['from', 'to', 'follow', 'format', 'raw'] as const;

export type DeliverMedia = typeof NDJSON | typeof SSE | typeof FRAME_MEDIA_TYPE | 'websocket';

export interface DeliverPlan {
  readonly media: DeliverMedia;
  readonly format: FrameFormat;
  /** First block. */
  readonly from: number;
  /** Last block; Infinity: none. Less than `from`: there is nothing to send. */
  readonly to: number;
}

/**
 * Reads the query against the present height. Fabric's rules: `newest` is the newest block that
 * exists now and is part of the answer; without `follow` a block that does not exist is an error
 * (its FAIL_IF_NOT_READY), with it the stream waits.
 * @throws ApiError `invalid_parameter`, `bad_range`, `block_not_ready`, `not_acceptable`.
 */
export function readDeliverPlan(
  rawQuery: unknown,
  headers: IncomingHttpHeaders,
  isWebSocket: boolean,
  channel: ChannelService,
): DeliverPlan {
  const query = readQuery(rawQuery, PARAMETERS);
  const format = readChoice('format', query.format, ['json', 'protobuf']);
  const media = isWebSocket ? 'websocket' : mediaOf(headers.accept, format);
  const follow = readFlag('follow', query.follow);
  const raw = readFlag('raw', query.raw);
  const { height } = channel.info();
  const lastSeen = readLastEventId(headers['last-event-id'], media);
  const from = lastSeen ?? resolve(readBlockReference('from', query.from ?? 'newest'), height);
  const to = readEnd(query.to, follow, height);
  if (lastSeen === undefined && query.to !== undefined && from > to) {
    throw new ApiError('bad_range', { message: `from is ${from}, to is ${to}: swap them.` });
  }
  // A client that resumes after the last block it asked for has everything: that is no error.
  const missing = lastSeen !== undefined ? undefined : firstMissing(from, to, height);
  if (!follow && missing !== undefined) {
    throw blockNotReady(missing, height);
  }
  const protobuf = media === FRAME_MEDIA_TYPE || (media === 'websocket' && format === 'protobuf');
  return { media, from, to, format: protobuf ? 'protobuf' : raw ? 'json-raw' : 'json' };
}

export function blockNotReady(number: number, height: number): ApiError {
  return new ApiError('block_not_ready', {
    message: `Block ${number} does not exist here yet; the newest is ${height - 1}. Use follow=true on the deliver stream to wait for it.`,
    details: { number, height },
  });
}

function mediaOf(
  accept: string | undefined,
  format: 'json' | 'protobuf' | undefined,
): Exclude<DeliverMedia, 'websocket'> {
  if (format === 'protobuf') {
    return FRAME_MEDIA_TYPE;
  }
  const media = negotiate(accept, [NDJSON, SSE, FRAME_MEDIA_TYPE]);
  if (media === undefined) {
    throw new ApiError('not_acceptable', {
      message: `A deliver stream comes as ${NDJSON}, ${SSE} or ${FRAME_MEDIA_TYPE}, or over a WebSocket.`,
    });
  }
  return format === 'json' && media === FRAME_MEDIA_TYPE ? NDJSON : media;
}

/** First block after the one that an EventSource saw last. */
function readLastEventId(
  header: string | string[] | undefined,
  media: DeliverMedia,
): number | undefined {
  if (media !== SSE || typeof header !== 'string' || header === '') {
    return undefined;
  }
  return readNumber('Last-Event-ID', header) + 1;
}

function readEnd(text: string | undefined, follow: boolean, height: number): number {
  if (text === undefined) {
    return follow ? Number.POSITIVE_INFINITY : height - 1;
  }
  return resolve(readBlockReference('to', text), height);
}

function firstMissing(from: number, to: number, height: number): number | undefined {
  if (from >= height) return from;
  return to >= height && to !== Number.POSITIVE_INFINITY ? to : undefined;
}

function resolve(reference: BlockReference, height: number): number {
  if (reference === 'oldest') return 0;
  return reference === 'newest' ? height - 1 : reference;
}
