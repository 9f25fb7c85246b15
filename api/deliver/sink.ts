/** The client's end of a deliver stream, whatever carries it. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { FrameLease } from '../block-frames.ts';
import { onConnectionEnd } from '../connection-end.ts';
import type { ErrorBody } from '../errors.ts';
import { FRAME_MEDIA_TYPE, frameHeader } from '../framing.ts';
import { type DeliverPlan, SSE } from './plan.ts';

export interface DeliverSink {
  /** Hands a block over and releases its lease when the bytes have left the process. */
  send(number: number, lease: FrameLease): void;
  /** False: wait for `onChange` before the next `send`. */
  readonly ready: boolean;
  readonly closed: boolean;
  heartbeat(): void;
  /** Last words (none: the range is complete), then the end of the stream. */
  end(notice: ErrorBody | undefined): void;
  /** Cuts the connection. */
  destroy(): void;
}

/** `onChange` is called when `ready` or `closed` may have changed. */
export type SinkEvents = { onChange(): void };

const LINE_FEED = Buffer.from('\n');
const HEARTBEAT_FRAME = Buffer.alloc(4);
/** Milliseconds after which an EventSource connects again. */
const SSE_PROLOGUE = Buffer.from('retry: 1000\n\n');

interface HttpFraming {
  readonly prologue: Buffer | undefined;
  readonly heartbeat: Buffer;
  before(number: number, bytes: number): Uint8Array | undefined;
  readonly after: Buffer | undefined;
  notice(body: ErrorBody): Buffer;
}

const ndjson: HttpFraming = {
  prologue: undefined,
  heartbeat: LINE_FEED,
  before: () => undefined,
  after: undefined,
  notice: (body) => Buffer.from(`${JSON.stringify(body)}\n`),
};

const sse: HttpFraming = {
  prologue: SSE_PROLOGUE,
  heartbeat: Buffer.from(': heartbeat\n\n'),
  before: (number) => Buffer.from(`id: ${number}\nevent: block\ndata: `),
  after: LINE_FEED,
  notice: (body) => Buffer.from(`event: end\ndata: ${JSON.stringify(body)}\n\n`),
};

const protobufSequence: HttpFraming = {
  prologue: undefined,
  heartbeat: HEARTBEAT_FRAME,
  before: (_number, bytes) => frameHeader(bytes, 'message'),
  after: undefined,
  notice: (body) => {
    const text = Buffer.from(JSON.stringify(body));
    return Buffer.concat([frameHeader(text.length, 'notice'), text]);
  },
};

/**
 * Leases whose bytes are still in the connection; a connection that breaks does not
 * always call back for each write.
 */
function createLeases() {
  const held = new Set<FrameLease>();
  return {
    hold(lease: FrameLease): () => void {
      held.add(lease);
      return () => {
        held.delete(lease);
        lease.release();
      };
    },
    releaseAll(): void {
      for (const lease of held) lease.release();
      held.clear();
    },
  };
}

/** A stream inside an HTTP response whose head has been written. */
export function createHttpSink(
  response: ServerResponse,
  socket: Socket,
  media: DeliverPlan['media'],
  events: SinkEvents,
): DeliverSink {
  const framing = media === SSE ? sse : media === FRAME_MEDIA_TYPE ? protobufSequence : ndjson;
  const leases = createLeases();
  const onEnd = (): void => {
    forget();
    leases.releaseAll();
    events.onChange();
  };
  const forget = onConnectionEnd(socket, onEnd);
  response.on('drain', events.onChange);
  response.on('close', onEnd);
  if (framing.prologue !== undefined) {
    response.write(framing.prologue);
  }
  return {
    send(number, lease) {
      const before = framing.before(number, lease.bytes.length);
      response.cork();
      if (before !== undefined) response.write(before);
      response.write(lease.bytes, leases.hold(lease));
      if (framing.after !== undefined) response.write(framing.after);
      response.uncork();
    },
    get ready() {
      return !response.writableNeedDrain;
    },
    get closed() {
      return response.destroyed || socket.destroyed;
    },
    heartbeat() {
      response.write(framing.heartbeat);
    },
    end(notice) {
      response.end(notice === undefined ? undefined : framing.notice(notice));
    },
    destroy() {
      socket.destroy();
    },
  };
}

/** Close codes: RFC 6455 section 7.4.1; 1013 "try again later" from the IANA registry. */
const CLOSE_CODES: Readonly<Record<string, number>> = {
  shutting_down: 1001,
  stream_too_slow: 1013,
  unexpected_message: 1003,
  internal_error: 1011,
};
const CLOSE_NORMAL = 1000;
/** RFC 6455 section 5.5: a control frame holds 125 bytes, two of them the code. */
const CLOSE_REASON_BYTES_MAX = 123;

/** A stream of WebSocket messages, one a block: text for JSON, binary for protobuf. */
export function createWebSocketSink(
  socket: WebSocket,
  plan: DeliverPlan,
  bufferBytesMax: number,
  events: SinkEvents,
): DeliverSink {
  const binary = plan.format === 'protobuf';
  const leases = createLeases();
  let unansweredPings = 0;
  socket.on('close', () => {
    leases.releaseAll();
    events.onChange();
  });
  socket.on('pong', () => {
    unansweredPings = 0;
  });
  return {
    send(_number, lease) {
      // The line feed at the end belongs to NDJSON, not to a message.
      const bytes = binary ? lease.bytes : lease.bytes.subarray(0, -1);
      const release = leases.hold(lease);
      socket.send(bytes, { binary }, () => {
        release();
        events.onChange();
      });
    },
    get ready() {
      return socket.bufferedAmount < bufferBytesMax;
    },
    get closed() {
      return socket.readyState !== socket.OPEN;
    },
    heartbeat() {
      if (unansweredPings >= 2) {
        socket.terminate();
        return;
      }
      unansweredPings += 1;
      socket.ping();
    },
    end(notice) {
      if (notice === undefined) {
        socket.close(CLOSE_NORMAL, 'end of range');
        return;
      }
      socket.send(JSON.stringify(notice), { binary: false });
      socket.close(CLOSE_CODES[notice.code] ?? CLOSE_CODES.internal_error, closeReason(notice));
    },
    destroy() {
      socket.terminate();
    },
  };
}

function closeReason({ code, details }: ErrorBody): string {
  const next = details?.next;
  const reason = next === undefined ? code : `${code}: resume from block ${String(next)}`;
  return reason.slice(0, CLOSE_REASON_BYTES_MAX);
}
