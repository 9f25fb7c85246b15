/**
 * The client's end of a submission stream, inwards: the request body as envelopes, read only as long as somebody wants
 * more. What is not read stays with the client, held back by TCP.
 */
import type { IncomingMessage } from 'node:http';
import { ApiError } from '../errors.ts';
import { createFrameReader } from '../framing.ts';

export interface SubmissionSource {
  /** Reads on, or stops. */
  flow(wanted: boolean): void;
  /** The client has said all it wants to say. */
  readonly ended: boolean;
  /** The body is beyond repair from here on; nothing more is read. */
  readonly fault: ApiError | undefined;
  /** Bytes of an envelope that has not arrived whole. */
  readonly heldBytes: number;
  /** Since when there has been no whole envelope or heart-beat although somebody wanted one; monotonic. */
  readonly silentSinceMs: number;
  /** Throws away what still comes. */
  discard(): void;
}

export interface SourceEvents {
  onEnvelopes(envelopes: readonly Uint8Array[]): void;
  /** `ended` or `fault` is another. */
  onChange(): void;
}

export function createSubmissionSource(
  request: IncomingMessage,
  options: { readonly envelopeBytesMax: number; readonly slackBytes: number },
  events: SourceEvents,
): SubmissionSource {
  const { envelopeBytesMax, slackBytes } = options;
  // What is only a little too large is refused by itself, as everywhere; the stream is given up for what is not worth reading.
  const frames = createFrameReader(envelopeBytesMax + slackBytes);
  let flowing = false;
  let ended = false;
  let fault: ApiError | undefined;
  let silentSinceMs = performance.now();

  function onData(chunk: Buffer): void {
    const read = frames.push(chunk);
    if (read.value.length > 0) silentSinceMs = performance.now();
    const envelopes: Uint8Array[] = [];
    for (const frame of read.value) {
      if (frame.kind === 'message') envelopes.push(frame.bytes);
      if (frame.kind === 'notice')
        fault = malformed('it holds a notice, which only a server sends');
      if (fault !== undefined) break;
    }
    if (read.kind === 'malformed') fault ??= tooLong(envelopeBytesMax);
    events.onEnvelopes(envelopes);
    if (fault !== undefined) finish();
  }

  function onEnd(): void {
    ended = true;
    if (frames.heldBytes > 0) fault ??= malformed('it ends within an envelope or its length');
    finish();
  }

  function finish(): void {
    request.off('data', onData);
    request.off('end', onEnd);
    request.pause();
    events.onChange();
  }

  request.on('data', onData);
  request.on('end', onEnd);
  request.pause();
  return {
    flow(wanted) {
      if (wanted === flowing || ended || fault !== undefined) return;
      flowing = wanted;
      if (!wanted) {
        request.pause();
        return;
      }
      silentSinceMs = performance.now();
      request.resume();
    },
    get ended() {
      return ended;
    },
    get fault() {
      return fault;
    },
    get heldBytes() {
      return frames.heldBytes;
    },
    get silentSinceMs() {
      return silentSinceMs;
    },
    discard() {
      request.off('data', onData);
      request.off('end', onEnd);
      request.resume();
    },
  };
}

function malformed(problem: string): ApiError {
  return new ApiError('malformed_body', {
    message: `The stream is broken: ${problem}. Nothing behind it was queued.`,
  });
}

function tooLong(envelopeBytesMax: number): ApiError {
  return new ApiError('envelope_too_large', {
    message: `The next envelope claims to be larger than the ${envelopeBytesMax} bytes that this channel allows. Nothing of it was read: send the others without it, over a new stream.`,
    details: { envelopeBytesMax },
  });
}
