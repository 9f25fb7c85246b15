/** The client's end of a submission stream, outwards: a line of JSON for each envelope, in the order in which they become known. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { onConnectionEnd } from '../connection-end.ts';
import type { ErrorBody } from '../errors.ts';
import type { StreamItemView } from '../schemas.ts';

export interface ResultSink {
  /** Lines of one turn leave together. */
  send(result: StreamItemView): void;
  heartbeat(): void;
  /** Last words (none: everything was answered and the client has ended), then the end of the response. */
  end(notice: ErrorBody | undefined): void;
  /** False: the client has not taken what was sent; wait for `onChange`. */
  readonly ready: boolean;
  /** When the client has to have taken it; Infinity while it is ready. Monotonic. */
  readonly takenByMs: number;
  readonly lastSentMs: number;
  readonly closed: boolean;
  /** Cuts the connection. */
  destroy(): void;
}

export interface ResultSinkOptions {
  readonly stallMsMax: number;
  readonly bytesPerSecondMin: number;
}

const LINE_FEED = Buffer.from('\n');

/** `onChange` is called when `ready` or `closed` may be another. */
export function createResultSink(
  response: ServerResponse,
  socket: Socket,
  options: ResultSinkOptions,
  onChange: () => void,
): ResultSink {
  let lines = '';
  let scheduled = false;
  let lastSentMs = performance.now();
  let takenByMs = Number.POSITIVE_INFINITY;

  function flush(): void {
    scheduled = false;
    const text = lines;
    lines = '';
    if (text !== '' && !response.writableEnded) write(text);
  }

  function write(text: string | Buffer): void {
    lastSentMs = performance.now();
    if (response.write(text)) return;
    const neededMs = (bytes: number): number => (1_000 * bytes) / options.bytesPerSecondMin;
    if (takenByMs !== Number.POSITIVE_INFINITY) {
      takenByMs += neededMs(text.length);
      return;
    }
    takenByMs = lastSentMs + options.stallMsMax + neededMs(response.writableLength);
    onChange();
  }

  function onEnd(): void {
    forget();
    onChange();
  }

  const forget = onConnectionEnd(socket, onEnd);
  response.on('close', onEnd);
  response.on('drain', () => {
    takenByMs = Number.POSITIVE_INFINITY;
    onChange();
  });
  return {
    send(result) {
      lines += `${JSON.stringify(result)}\n`;
      if (scheduled) return;
      scheduled = true;
      queueMicrotask(flush);
    },
    heartbeat() {
      write(LINE_FEED);
    },
    end(notice) {
      flush();
      response.end(notice === undefined ? undefined : `${JSON.stringify(notice)}\n`);
    },
    get ready() {
      return takenByMs === Number.POSITIVE_INFINITY;
    },
    get takenByMs() {
      return takenByMs;
    },
    get lastSentMs() {
      return lastSentMs;
    },
    get closed() {
      return response.destroyed || socket.destroyed;
    },
    destroy() {
      socket.destroy();
    },
  };
}
