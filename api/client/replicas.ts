/**
 * Which replica to ask next: each has a moment before which it is left alone
 * (back-off, Retry-After), and the one whose moment comes first is asked. A client
 * stays with the replica that served it last.
 */
import { ClientError, describeCauses, type ReplicaFailure } from './errors.ts';
import { throwIfAborted } from './http.ts';
import { CLIENT_LIMITS, type CLIENT_TIMES } from './limits.ts';

export type ClientTimes = { readonly [name in keyof typeof CLIENT_TIMES]: number };

export type Attempt<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** The replica's word is final: asking again, here or elsewhere, would change nothing. */
  | { readonly kind: 'refused'; readonly failure: ReplicaFailure }
  | { readonly kind: 'failed'; readonly failure: ReplicaFailure; readonly retryAfterMs?: number };

export interface ReplicaPlan {
  readonly urls: readonly string[];
  /** Index of the replica to begin with. */
  readonly first: number;
  readonly times: ClientTimes;
  /** `Date.now()` clock. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Every failure is appended here (bounded), shared by parallel plans of one call. */
  readonly causes: ReplicaFailure[];
}

export function noteCause(causes: ReplicaFailure[], failure: ReplicaFailure): void {
  if (causes.length >= CLIENT_LIMITS.causesMax) causes.shift();
  causes.push(failure);
}

/** Resolves after `delayMs`, or throws `aborted` as soon as the caller wants to stop. */
export function pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(signal);
  if (delayMs <= 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new ClientError('aborted', 'stopped by the caller'));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/**
 * Back-off after `failures` failures in a row: doubling, capped, spread over its upper half so
 * that clients do not march in step.
 */
export function backoffMs(failures: number, times: ClientTimes, random = Math.random()): number {
  const full = Math.min(times.backoffMaxMs, times.backoffMinMs * 2 ** Math.min(failures - 1, 20));
  return full * (0.5 + random / 2);
}

/** Back-off state of the replicas of one call. */
export function createRotation(count: number, first: number, times: ClientTimes) {
  const notBeforeMs = new Array<number>(count).fill(0);
  const failures = new Array<number>(count).fill(0);
  let last = (first - 1 + count) % count;
  return {
    /** The replica that may be asked soonest; among equals, the next one round. */
    next(): { index: number; notBeforeMs: number } {
      let best = (last + 1) % count;
      for (let step = 2; step <= count; step++) {
        const index = (last + step) % count;
        if ((notBeforeMs[index] ?? 0) < (notBeforeMs[best] ?? 0)) best = index;
      }
      last = best;
      return { index: best, notBeforeMs: notBeforeMs[best] ?? 0 };
    },
    failed(index: number, nowMs: number, retryAfterMs = 0): void {
      const count = (failures[index] ?? 0) + 1;
      failures[index] = count;
      notBeforeMs[index] = nowMs + Math.max(retryAfterMs, backoffMs(count, times));
    },
    succeeded(index: number): void {
      failures[index] = 0;
      notBeforeMs[index] = 0;
    },
  };
}

function deadlineError(causes: readonly ReplicaFailure[]): ClientError {
  const tried = describeCauses(causes);
  return new ClientError(
    'deadline_exceeded',
    `no replica answered well before the deadline${tried === '' ? '' : ` (${tried})`}; ` +
      'doing the same again is safe',
    { retryable: true, causes: [...causes] },
  );
}

/**
 * Makes attempts at one replica after the other until one is done, one refuses for good, or
 * the deadline passes. Throws `ClientError`: the replica's code when refused,
 * `deadline_exceeded`, `aborted`.
 */
export async function tryReplicas<T>(
  plan: ReplicaPlan,
  attempt: (url: string, timeLeftMs: number) => Promise<Attempt<T>>,
): Promise<{ value: T; index: number }> {
  const { urls, times, deadlineMs, signal, causes } = plan;
  const rotation = createRotation(urls.length, plan.first, times);
  for (;;) {
    const { index, notBeforeMs } = rotation.next();
    if (Math.max(Date.now(), notBeforeMs) >= deadlineMs) throw deadlineError(causes);
    await pause(notBeforeMs - Date.now(), signal);
    const outcome = await attempt(urls[index] as string, deadlineMs - Date.now());
    if (outcome.kind === 'done') return { value: outcome.value, index };
    noteCause(causes, outcome.failure);
    if (outcome.kind === 'refused') {
      const { code, message, url } = outcome.failure;
      throw new ClientError(code, `${message} (${url})`, { causes: [...causes] });
    }
    rotation.failed(index, Date.now(), outcome.retryAfterMs);
  }
}
