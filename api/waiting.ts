/**
 * Submitters that wait for their transaction to be committed: bounded in number and time, and
 * forgotten as soon as the client leaves or the server closes.
 */
import type { Socket } from 'node:net';
import type { ChannelService, Receipt } from '../orderer/service.ts';
import { onConnectionEnd } from './connection-end.ts';
import { ApiError } from './errors.ts';
import type { ApiLimits } from './limits.ts';
import { invalid, type Query, readChoice, readNumber } from './parameters.ts';

export interface CommitWaiters {
  /** Keeps `count` places, or refuses with `too_many_waiters`; call before anything is queued. */
  reserve(count: number): void;
  /** Places left. */
  readonly room: number;
  free(count: number): void;
  /**
   * Receipts, undefined for what has none when the time has passed, the client left or the server
   * closes. Needs a reserved place for each.
   */
  wait(
    channel: ChannelService,
    txIds: readonly string[],
    timeoutMs: number,
    socket: Socket,
    onReceipt?: (index: number, receipt: Receipt) => void,
  ): Promise<readonly (Receipt | undefined)[]>;
  /** Every wait ends now, without a receipt. */
  abortAll(): void;
  readonly count: number;
}

export function createCommitWaiters(limits: Pick<ApiLimits, 'waitersMax'>): CommitWaiters {
  let places = 0;
  const waiting = new Set<AbortController>();

  return {
    get room() {
      return limits.waitersMax - places;
    },
    reserve(count) {
      if (places + count > limits.waitersMax) {
        throw new ApiError('too_many_waiters');
      }
      places += count;
    },
    free(count) {
      places -= count;
    },
    async wait(channel, txIds, timeoutMs, socket, onReceipt) {
      const controller = new AbortController();
      const forget = onConnectionEnd(socket, () => controller.abort());
      waiting.add(controller);
      const timer = setTimeout(() => controller.abort(), timeoutMs);
      try {
        return await channel.committed(txIds, controller.signal, onReceipt);
      } finally {
        clearTimeout(timer);
        forget();
        waiting.delete(controller);
      }
    },
    abortAll() {
      for (const controller of waiting) controller.abort();
    },
    get count() {
      return places;
    },
  };
}

/** `?wait=commit&timeoutMs=`: how long to wait; undefined: not at all. */
export function readWait(query: Query, limits: ApiLimits): number | undefined {
  const wait = readChoice('wait', query.wait, ['commit']);
  const timeout = query.timeoutMs;
  if (wait === undefined) {
    if (timeout !== undefined) {
      throw invalid('timeoutMs', 'has a meaning only with wait=commit');
    }
    return undefined;
  }
  return readTimeout(timeout, limits);
}

export function readTimeout(text: string | undefined, limits: ApiLimits): number {
  return text === undefined
    ? limits.waitMsDefault
    : readNumber('timeoutMs', text, limits.waitMsMax);
}
