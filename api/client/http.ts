/**
 * One HTTP request to one replica over `fetch`: bounded in time and size, every outcome as data.
 */
import { concatBytes } from '../../ledger/format/index.ts';
import { ClientError, type ReplicaFailure } from './errors.ts';
import { CLIENT_LIMITS } from './limits.ts';

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

export interface HttpRequest {
  readonly url: string;
  readonly method?: 'GET' | 'POST';
  readonly accept: string;
  readonly body?: Uint8Array;
  readonly contentType?: string;
  readonly timeoutMs: number;
  /** The caller's own wish to stop; throws `aborted`. */
  readonly signal?: AbortSignal | undefined;
  readonly bytesMax?: number;
}

export interface HttpAnswer {
  readonly kind: 'answer';
  readonly status: number;
  readonly body: Uint8Array;
  readonly retryAfterMs: number | undefined;
}

export interface HttpFailure {
  readonly kind: 'failure';
  readonly failure: ReplicaFailure;
}

/** Statuses that say "not now" or "not me": another replica, or the same one later, may do it. */
const RETRYABLE_STATUSES = new Set([408, 425, 429, 500, 502, 503, 504]);

function isRetryableStatus(status: number): boolean {
  return RETRYABLE_STATUSES.has(status);
}

/** Retry-After in seconds or as an HTTP date (RFC 9110 section 10.2.3), in milliseconds. */
function parseRetryAfterMs(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  const seconds = Number(value);
  if (value.trim() !== '' && Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

/** `fetch` hides the reason ("fetch failed") in its cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0]);
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ClientError('aborted', 'stopped by the caller');
}

/** Reads a whole body, refusing more than `bytesMax`. */
export async function readBody(response: Response, bytesMax: number): Promise<Uint8Array> {
  if (response.body === null) return new Uint8Array(0);
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    total += value.length;
    if (total > bytesMax) {
      await reader.cancel();
      throw new Error(`answer larger than ${bytesMax} bytes`);
    }
    chunks.push(value);
  }
  return concatBytes(chunks);
}

/** Sends one request. Never rejects but for `aborted`, when the caller's signal says so. */
export async function sendRequest(
  fetcher: Fetch,
  request: HttpRequest,
): Promise<HttpAnswer | HttpFailure> {
  throwIfAborted(request.signal);
  const controller = new AbortController();
  const stop = () => controller.abort();
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    controller.abort();
  }, request.timeoutMs);
  request.signal?.addEventListener('abort', stop, { once: true });
  const headers: Record<string, string> = { accept: request.accept };
  if (request.contentType !== undefined) headers['content-type'] = request.contentType;
  try {
    const response = await fetcher(request.url, {
      method: request.method ?? 'GET',
      headers,
      signal: controller.signal,
      redirect: 'error',
      ...(request.body === undefined ? {} : { body: request.body as Uint8Array<ArrayBuffer> }),
    });
    const body = await readBody(response, request.bytesMax ?? CLIENT_LIMITS.jsonBytesMax);
    const retryAfterMs = parseRetryAfterMs(response.headers.get('retry-after'), Date.now());
    return { kind: 'answer', status: response.status, body, retryAfterMs };
  } catch (error) {
    throwIfAborted(request.signal);
    const code = timedOut ? 'timeout' : 'unreachable';
    const message = timedOut ? `no answer within ${request.timeoutMs} ms` : reasonOf(error);
    const url = new URL(request.url).origin;
    return { kind: 'failure', failure: { url, code, message, retryable: true } };
  } finally {
    clearTimeout(timer);
    request.signal?.removeEventListener('abort', stop);
  }
}

/** JSON object of a body; undefined when it is not one. */
export function jsonObject(body: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The failure that an error answer `{code, message}` states; other shapes get `bad_response`. */
export function failureOf(url: string, answer: HttpAnswer): ReplicaFailure {
  const body = jsonObject(answer.body);
  const code = typeof body?.code === 'string' ? body.code : 'bad_response';
  const message = typeof body?.message === 'string' ? body.message : `HTTP status ${answer.status}`;
  const retryable = isRetryableStatus(answer.status);
  return { url, code, message, status: answer.status, retryable };
}
