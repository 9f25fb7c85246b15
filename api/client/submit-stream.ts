/**
 * Submission as a stream: one request at one replica, envelopes up, results down, carried on at another replica after a
 * failure. Every envelope gets one result.
 */
import { encodeFrames, FRAME_HEADER_BYTES, FRAME_MEDIA_TYPE } from '../framing.ts';
import { type DeliverContext, readerOf, StreamError } from './deliver.ts';
import { transactionIdOf } from './envelope.ts';
import { ClientError, describeCauses, type ReplicaFailure } from './errors.ts';
import { reasonOf, throwIfAborted } from './http.ts';
import { CLIENT_LIMITS } from './limits.ts';
import { channelUrl } from './lookup.ts';
import { checkReceipt, type VerifiedReceipt } from './receipt.ts';
import { createRotation, noteCause, pause } from './replicas.ts';
import { createResultLines, type ResultLine } from './result-lines.ts';
import { type Entry, Feed } from './submit-feed.ts';

export interface StreamSubmitOptions {
  /** Envelopes that are sent and have no result. More of them hide longer ways. */
  readonly inFlightMax?: number;
  /** For each envelope: then its result is `deadline_exceeded`. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export type StreamResult =
  | { readonly kind: 'committed'; readonly index: number; readonly receipt: VerifiedReceipt }
  /** Refused by a replica, whose code the error has, or `deadline_exceeded`. */
  | { readonly kind: 'failed'; readonly index: number; readonly error: ClientError };

/** A replica answers within the time that it was asked to wait, and this. */
const ANSWER_MARGIN_MS = 1_000;
const HEARTBEAT = new Uint8Array(FRAME_HEADER_BYTES);

interface Stream {
  readonly context: DeliverContext;
  readonly url: string;
  readonly feed: Feed;
  /** What this stream was given and has not answered, by its position there. */
  readonly sent: Map<number, Entry>;
  readonly controller: AbortController;
}

/** See `SluiceClient.submitStream`. */
export async function* streamSubmissions(
  context: DeliverContext,
  envelopes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options: StreamSubmitOptions,
): AsyncGenerator<StreamResult> {
  const { urls, times } = context;
  const { inFlightMax = CLIENT_LIMITS.streamInFlightDefault, signal } = options;
  const { timeoutMs = times.timeoutMs } = options;
  if (!(inFlightMax >= 1 && inFlightMax <= CLIENT_LIMITS.streamInFlightMax)) {
    const message = `inFlightMax must be 1 to ${CLIENT_LIMITS.streamInFlightMax}, not ${inFlightMax}`;
    throw new ClientError('invalid_argument', message);
  }
  const feed = new Feed(envelopes, { inFlightMax, timeoutMs });
  const rotation = createRotation(urls.length, context.first, times);
  const causes: ReplicaFailure[] = [];
  try {
    feed.restart();
    while (!feed.finished) {
      const { index, notBeforeMs } = rotation.next();
      const untilMs = Math.min(notBeforeMs, feed.oldest?.deadlineMs ?? notBeforeMs);
      await pause(untilMs - Date.now(), signal);
      yield* expired(feed, causes);
      if (Date.now() < notBeforeMs || feed.finished) continue;
      const url = urls[index] as string;
      const controller = new AbortController();
      const stream: Stream = { context, url, feed, sent: new Map(), controller };
      try {
        for await (const result of oneStream(stream, causes, signal)) {
          rotation.succeeded(index);
          yield result;
        }
      } catch (error) {
        if (!(error instanceof StreamError)) throw error;
        yield* judgeEnd(stream, error, causes);
        rotation.failed(index, Date.now());
      }
    }
  } finally {
    await feed.close();
  }
}

/** Results of envelopes whose time is over. */
function* expired(feed: Feed, causes: readonly ReplicaFailure[]): Generator<StreamResult> {
  for (let entry = feed.oldest; entry !== undefined; entry = feed.oldest) {
    if (entry.deadlineMs > Date.now()) return;
    feed.answered(entry);
    const tried = describeCauses(causes);
    const message = `no replica gave a result before the deadline${tried === '' ? '' : ` (${tried})`}; submitting it again is safe`;
    const error = new ClientError('deadline_exceeded', message, {
      retryable: true,
      causes: [...causes],
    });
    yield { kind: 'failed', index: entry.index, error };
  }
}

/** What the failure of a stream means: nothing for most of it, which goes to another replica. */
function* judgeEnd(
  { url, sent, feed }: Stream,
  error: EndedStream | StreamError,
  causes: ReplicaFailure[],
): Generator<StreamResult> {
  const { code, message, retryable } = error;
  const failure: ReplicaFailure = { url, code, message, retryable };
  noteCause(causes, failure);
  if (retryable) return;
  // The replica names the envelope that it could not read on from; all before have their results.
  const culprit = error instanceof EndedStream ? sent.get(error.items) : undefined;
  if (culprit === undefined) throw new ClientError(code, `${message} (${url})`, { causes });
  feed.answered(culprit);
  yield failedWith(culprit, failure);
}

/** The replica ended the stream with a last line. */
class EndedStream extends StreamError {
  /** So many envelopes were read, and have results. */
  readonly items: number;

  constructor(code: string, message: string, retryable: boolean, items: number) {
    super(code, message, retryable);
    this.items = items;
  }
}

/** Results of one stream, until all is answered. Throws StreamError when it ends before. */
async function* oneStream(
  stream: Stream,
  causes: readonly ReplicaFailure[],
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamResult> {
  const { context, feed, sent, controller } = stream;
  const silenceMsMax = context.times.attemptTimeoutMs + ANSWER_MARGIN_MS;
  throwIfAborted(signal);
  const stop = (): void => controller.abort();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    feed.restart();
    const lines = createResultLines(await openStream(stream));
    let answeredMs = Date.now();
    while (!feed.finished) {
      const leftMs = answeredMs + silenceMsMax - Date.now();
      if (sent.size === 0) answeredMs = Date.now();
      else if (leftMs <= 0) throw new StreamError('timeout', 'it answers nothing');
      const oldestMs = (feed.oldest?.deadlineMs ?? Number.POSITIVE_INFINITY) - Date.now();
      const came = await lines.next(Math.min(leftMs, oldestMs));
      if (came === undefined) throw new StreamError('unreachable', 'the stream ended early');
      if (came.length > 0) answeredMs = Date.now();
      for (const line of came) {
        yield await readLine(stream, line);
      }
      yield* expired(feed, causes);
    }
    // The body has ended with that, and the response is about to: the connection can be used again.
    await lines.next(ANSWER_MARGIN_MS);
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
    controller.abort();
  }
}

async function openStream(stream: Stream): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const { context, url, controller } = stream;
  const { attemptTimeoutMs } = context.times;
  const path = `/transactions/stream?timeoutMs=${Math.floor(attemptTimeoutMs)}`;
  const init: RequestInit & { readonly duplex: 'half' } = {
    method: 'POST',
    headers: { accept: 'application/x-ndjson', 'content-type': FRAME_MEDIA_TYPE },
    body: bodyOf(stream),
    duplex: 'half',
    signal: controller.signal,
    redirect: 'error',
  };
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    controller.abort();
  }, attemptTimeoutMs);
  try {
    const response = await context.fetcher(channelUrl(url, context.channel, path), init);
    return await readerOf(url, response);
  } catch (error) {
    if (error instanceof StreamError) throw error;
    if (late) throw new StreamError('timeout', `no answer within ${attemptTimeoutMs} ms`);
    throw new StreamError('unreachable', reasonOf(error));
  } finally {
    clearTimeout(timer);
  }
}

/** Envelopes that are there together leave together. */
function bodyOf({ context, feed, sent, controller }: Stream): ReadableStream<Uint8Array> {
  let count = 0;
  return new ReadableStream<Uint8Array>({
    async pull(body) {
      const entries = await feed.next(context.times.heartbeatMs, controller.signal);
      if (entries === undefined) {
        if (!controller.signal.aborted) body.close();
        return;
      }
      for (const entry of entries) sent.set(count++, entry);
      const envelopes = entries.map(({ envelope }) => envelope);
      body.enqueue(envelopes.length === 0 ? HEARTBEAT : encodeFrames(envelopes));
    },
  });
}

async function readLine(stream: Stream, line: ResultLine): Promise<StreamResult> {
  const { context, url, feed, sent } = stream;
  if (line.item === undefined) throw endOf(line);
  const entry = sent.get(line.item as number);
  if (entry === undefined)
    throw new StreamError('bad_response', 'a result for nothing that was sent');
  sent.delete(line.item as number);
  switch (line.status) {
    case 'committed': {
      const expected = { txId: txIdOf(entry), url };
      const receipt = await checkReceipt(line, expected, context.verifier);
      if (receipt.kind === 'invalid') throw new StreamError('bad_receipt', receipt.reason);
      feed.answered(entry);
      return { kind: 'committed', index: entry.index, receipt: receipt.value };
    }
    case 'pending':
      throw new StreamError('timeout', 'an envelope was not committed in time');
    case 'refused': {
      const failure = refusalOf(url, line);
      if (failure.retryable) throw new StreamError(failure.code, failure.message);
      feed.answered(entry);
      return failedWith(entry, failure);
    }
    default:
      throw new StreamError('bad_response', 'a result with an unknown status');
  }
}

function txIdOf({ envelope }: Entry): string {
  try {
    return transactionIdOf(envelope);
  } catch {
    throw new StreamError('bad_receipt', 'it claims to have ordered what is no transaction');
  }
}

function endOf(line: ResultLine): StreamError {
  const { code, message, retryable } = refusalOf('', line);
  const { items } = (line.details ?? {}) as ResultLine;
  return new EndedStream(code, message, retryable, Number(items));
}

/** Codes that end a stream and say that the rest is worth another one. */
const RETRYABLE_ENDS = new Set([
  'shutting_down',
  'not_ready',
  'overloaded',
  'stream_idle',
  'stream_too_slow',
  'internal_error',
]);

function refusalOf(url: string, line: ResultLine): ReplicaFailure {
  const code = typeof line.code === 'string' ? line.code : 'bad_response';
  const message = typeof line.message === 'string' ? line.message : 'a result without a message';
  const retryable = RETRYABLE_ENDS.has(code) || code === 'bad_response';
  return { url, code, message, retryable };
}

function failedWith(
  { index }: Entry,
  { code, message, url, retryable }: ReplicaFailure,
): StreamResult {
  const causes = [{ url, code, message, retryable }];
  return { kind: 'failed', index, error: new ClientError(code, `${message} (${url})`, { causes }) };
}
