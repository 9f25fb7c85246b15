/**
 * The stream of blocks: checked one by one, carried on at another replica after a failure or a long
 * silence, without gap or repeat.
 */
import type { BlockHeader } from '../../ledger/format/index.ts';
import { createFrameReader, FRAME_MEDIA_TYPE, type Frame } from '../framing.ts';
import { ClientError, describeCauses, type ReplicaFailure } from './errors.ts';
import { type Fetch, failureOf, readBody, reasonOf, throwIfAborted } from './http.ts';
import { CLIENT_LIMITS } from './limits.ts';
import { channelUrl } from './lookup.ts';
import { type ClientTimes, createRotation, noteCause, pause } from './replicas.ts';
import type { BlockVerifier, VerifiedBlock } from './verify.ts';

export interface DeliverRange {
  /** First block wanted. */
  readonly from: number;
  /**
   * Last block wanted; without it the stream ends at the newest block, or never when it follows.
   */
  readonly to?: number | undefined;
  /** Wait for blocks that do not exist yet. */
  readonly follow?: boolean | undefined;
}

/** The replica ended or broke the stream; the message is for the list of causes. */
export class StreamError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly status: number | undefined;

  constructor(code: string, message: string, retryable = true, status?: number) {
    super(message);
    this.code = code;
    this.retryable = retryable;
    this.status = status;
  }
}

export interface OpenStream {
  readonly fetcher: Fetch;
  readonly url: string;
  readonly channel: string;
  readonly range: DeliverRange;
  /** Time until the answer's head is there. */
  readonly connectTimeoutMs: number;
  /** Time without a single byte (replicas send heart-beats) or, when following, without a block. */
  readonly idleMs: number;
  readonly signal?: AbortSignal | undefined;
}

function rangeQuery({ from, to, follow }: DeliverRange): string {
  const query = new URLSearchParams({ from: String(from) });
  if (to !== undefined) query.set('to', String(to));
  if (follow === true) query.set('follow', 'true');
  return query.toString();
}

/**
 * Waits for `work`, at most `timeoutMs`; then aborts `controller` and
 * throws `StreamError` with `code`.
 */
async function within<T>(
  work: Promise<T>,
  timeoutMs: number,
  controller: AbortController,
  code: 'idle' | 'timeout',
): Promise<T> {
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    controller.abort();
  }, timeoutMs);
  try {
    return await work;
  } catch (error) {
    if (expired) throw new StreamError(code, `nothing came for ${timeoutMs} ms`);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function openStream(
  stream: OpenStream,
  controller: AbortController,
): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const url = channelUrl(stream.url, stream.channel, `/deliver?${rangeQuery(stream.range)}`);
  const response = await within(
    stream.fetcher(url, {
      headers: { accept: FRAME_MEDIA_TYPE },
      signal: controller.signal,
      redirect: 'error',
    }),
    stream.connectTimeoutMs,
    controller,
    'timeout',
  );
  return await readerOf(stream.url, response);
}

/** The stream that the replica answers with. Throws `StreamError` when it answers something else. */
export async function readerOf(
  url: string,
  response: Response,
): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const { status } = response;
  if (status === 200 && response.body !== null) return response.body.getReader();
  const body = await readBody(response, CLIENT_LIMITS.jsonBytesMax);
  const failure = failureOf(url, { kind: 'answer', status, body, retryAfterMs: undefined });
  throw new StreamError(failure.code, failure.message, failure.retryable, status);
}

function streamErrorOf(notice: string): StreamError {
  try {
    const { code, message } = JSON.parse(notice) as Record<string, unknown>;
    return new StreamError(String(code), String(message));
  } catch {
    return new StreamError('bad_response', 'the stream ended with a notice that is not JSON');
  }
}

/**
 * Block bytes of one stream of one replica, unchecked; ends when the replica ends it well.
 * Throws `StreamError` otherwise, `ClientError` (`aborted`) when the caller stops. Used by the
 * auditor too, which checks for itself.
 */
export async function* readBlockStream(stream: OpenStream): AsyncGenerator<Uint8Array> {
  throwIfAborted(stream.signal);
  const controller = new AbortController();
  const stop = () => controller.abort();
  stream.signal?.addEventListener('abort', stop, { once: true });
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  try {
    reader = await openStream(stream, controller);
    const frames = createFrameReader(CLIENT_LIMITS.blockBytesMax);
    let lastBlockMs = Date.now();
    let arriving = false;
    for (;;) {
      const leftMs = lastBlockMs + stream.idleMs - Date.now();
      if (leftMs <= 0) throw new StreamError('idle', `no block for ${stream.idleMs} ms`);
      const { done, value } = await within(reader.read(), leftMs, controller, 'idle');
      if (done) break;
      const decoded = frames.push(value);
      if (decoded.kind === 'malformed') throw new StreamError('bad_response', decoded.reason);
      const began = decoded.value.length === 0 && !arriving;
      arriving = decoded.value.length === 0;
      // A block that began to arrive has the idle time from then on: more would let a replica
      // hold the stream by dripping bytes.
      if (began) lastBlockMs = Date.now();
      for (const frame of decoded.value) {
        const bytes = blockOf(frame);
        if (bytes === undefined) continue;
        yield bytes;
        lastBlockMs = Date.now();
      }
    }
  } catch (error) {
    throwIfAborted(stream.signal);
    if (error instanceof StreamError) throw error;
    throw new StreamError('unreachable', reasonOf(error));
  } finally {
    stream.signal?.removeEventListener('abort', stop);
    controller.abort();
    reader?.releaseLock();
  }
}

function blockOf(frame: Frame): Uint8Array | undefined {
  switch (frame.kind) {
    case 'message':
      return frame.bytes;
    case 'heartbeat':
      return undefined;
    case 'notice':
      throw streamErrorOf(frame.text);
  }
}

export interface DeliverContext {
  readonly urls: readonly string[];
  readonly first: number;
  readonly fetcher: Fetch;
  readonly channel: string;
  readonly verifier: BlockVerifier;
  readonly times: ClientTimes;
}

function failureAt(url: string, error: StreamError): ReplicaFailure {
  const { code, message, retryable, status } = error;
  return { url, code, message, retryable, ...(status === undefined ? {} : { status }) };
}

/** What a failed stream means for the delivery: throws when trying on is pointless. */
function judgeFailure(
  error: StreamError,
  url: string,
  delivery: {
    range: DeliverRange;
    replicas: number;
    notReady: Set<string>;
    causes: ReplicaFailure[];
  },
): void {
  const { range, replicas, notReady, causes } = delivery;
  noteCause(causes, failureAt(url, error));
  if (error.code === 'block_not_ready') {
    notReady.add(url);
    if (range.follow === true || notReady.size < replicas) return;
    const message = `${error.message} (at all ${replicas} replicas)`;
    throw new ClientError('block_not_ready', message, { retryable: true, causes });
  }
  if (!error.retryable) throw new ClientError(error.code, `${error.message} (${url})`, { causes });
}

/**
 * Checked blocks in order. Throws `ClientError`: `deadline_exceeded` when no replica made progress
 * for `timeoutMs`, a replica's own code when it refuses for good, `block_not_ready` when no
 * replica has the range, `aborted`.
 */
export async function* deliverBlocks(
  context: DeliverContext,
  range: DeliverRange,
  signal: AbortSignal | undefined,
): AsyncGenerator<VerifiedBlock> {
  const { urls, times } = context;
  const rotation = createRotation(urls.length, context.first, times);
  const causes: ReplicaFailure[] = [];
  const notReady = new Set<string>();
  const delivery = { range, replicas: urls.length, notReady, causes };
  let next = range.from;
  let previous: BlockHeader | undefined;
  let deadlineMs = Date.now() + times.timeoutMs;
  while (range.to === undefined || next <= range.to) {
    const { index, notBeforeMs } = rotation.next();
    if (Math.max(Date.now(), notBeforeMs) > deadlineMs) {
      throw new ClientError(
        'deadline_exceeded',
        `block ${next} came from no replica for ${times.timeoutMs} ms (${describeCauses(causes)})`,
        { retryable: true, causes },
      );
    }
    await pause(notBeforeMs - Date.now(), signal);
    const url = urls[index] as string;
    try {
      for await (const bytes of readBlockStream({
        fetcher: context.fetcher,
        url,
        channel: context.channel,
        range: { ...range, from: next },
        connectTimeoutMs: times.attemptTimeoutMs,
        idleMs: times.idleMs,
        signal,
      })) {
        const checked = await context.verifier.block(bytes, next, previous);
        if (checked.kind === 'invalid') throw new StreamError('bad_block', checked.reason);
        rotation.succeeded(index);
        notReady.clear();
        yield checked.value;
        previous = checked.value.block.header;
        next += 1;
        deadlineMs = Date.now() + times.timeoutMs;
      }
      // The end of what exists, unless more was asked for.
      if (range.follow !== true && range.to === undefined) return;
      if (range.to === undefined || next <= range.to) {
        throw new StreamError('unreachable', 'the stream ended early');
      }
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      judgeFailure(error, url, delivery);
      // A replica without a new block may simply have no news: asking the next one is no failure.
      if (error.code === 'idle' && range.follow === true) deadlineMs = Date.now() + times.timeoutMs;
      rotation.failed(index, Date.now());
    }
  }
}
