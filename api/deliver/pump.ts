/**
 * Moves blocks from a channel to one client, in order, one at a time: the next block is read
 * only when the sink has taken the one before. A client that takes too long is told so and
 * dropped; it resumes by block number.
 */
import { setImmediate } from 'node:timers/promises';
import type { ChannelService } from '../../orderer/service.ts';
import type { BlockFrames } from '../block-frames.ts';
import { ApiError, type ErrorBody, errorBody } from '../errors.ts';
import type { ApiLimits } from '../limits.ts';
import type { DeliverPlan } from './plan.ts';
import type { DeliverSink } from './sink.ts';
import type { Waker } from './waker.ts';

/**
 * Why a stream ended: `complete` (the range is done), `left` (the client went), or the
 * code of the notice it was sent.
 */
export type StreamEnd = 'complete' | 'left' | ErrorBody['code'];

export interface PumpDependencies {
  readonly channel: ChannelService;
  readonly frames: BlockFrames;
  readonly sink: DeliverSink;
  /** Woken by the sink when it drained or closed. */
  readonly waker: Waker;
  readonly limits: ApiLimits;
  readonly closing: AbortSignal;
  readonly requestId: string;
  /** Set when the client did what ends a stream. */
  readonly fault: () => ApiError | undefined;
}

/**
 * After so many blocks without a pause other work gets its turn, even
 * if the client takes all at once.
 */
const BLOCKS_PER_TURN = 16;

/** Rejects when a block that must be there cannot be had: a fault of this replica. */
export async function pumpBlocks(plan: DeliverPlan, deps: PumpDependencies): Promise<StreamEnd> {
  const { channel, waker, closing } = deps;
  let height = channel.info().height;
  const unsubscribe = channel.onHeight((grown) => {
    height = grown;
    waker.wake();
  });
  closing.addEventListener('abort', waker.wake);
  try {
    return await run(plan, deps, () => height);
  } finally {
    unsubscribe();
    closing.removeEventListener('abort', waker.wake);
  }
}

async function run(
  plan: DeliverPlan,
  deps: PumpDependencies,
  height: () => number,
): Promise<StreamEnd> {
  const { channel, frames, sink, waker, limits, closing } = deps;
  let next = plan.from;
  let deadlineMs = 0;
  let revoked = false;
  const onRevoke = (): void => {
    revoked = true;
    waker.wake();
  };
  const say = (error: ApiError): StreamEnd => {
    sink.end(errorBody(error, deps.requestId));
    return error.code;
  };
  for (;;) {
    if (sink.closed) return 'left';
    const fault = deps.fault();
    if (fault !== undefined) return say(fault);
    if (closing.aborted) return say(new ApiError('shutting_down', { details: { next } }));
    if (!sink.ready) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0 || revoked) return say(tooSlow(next));
      await waker.sleep(leftMs);
      continue;
    }
    if (next > plan.to) {
      sink.end(undefined);
      return 'complete';
    }
    if (next >= height()) {
      if (!(await waker.sleep(limits.deliverHeartbeatMs)) && sink.ready) {
        sink.heartbeat();
        deadlineMs = performance.now() + limits.deliverStallMsMax;
      }
      continue;
    }
    revoked = false;
    const lease = await frames.acquire(channel, next, plan.format, onRevoke);
    if (lease === undefined) {
      throw new Error(`block ${next} is missing below the height ${height()}`);
    }
    if (sink.closed) {
      lease.release();
      return 'left';
    }
    deadlineMs = performance.now() + allowedMs(lease.bytes.length, limits);
    sink.send(next, lease);
    next += 1;
    if (next % BLOCKS_PER_TURN === 0) await setImmediate();
  }
}

function allowedMs(bytes: number, limits: ApiLimits): number {
  return limits.deliverStallMsMax + (1000 * bytes) / limits.deliverBytesPerSecondMin;
}

/** Who gets to read this has read all blocks before it. */
function tooSlow(next: number): ApiError {
  return new ApiError('stream_too_slow', { details: { next } });
}
