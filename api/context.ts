/** What the routes share. Made once by `startApi`. */
import type { Socket } from 'node:net';
import type { FastifyBaseLogger } from 'fastify';
import type { ChannelService, OrderingService } from '../orderer/service.ts';
import type { BlockFrames } from './block-frames.ts';
import { ApiError } from './errors.ts';
import type { ApiLimits } from './limits.ts';
import type { BodyBudget } from './request-body.ts';
import type { CommitWaiters } from './waiting.ts';

export interface ApiContext {
  readonly service: OrderingService;
  readonly log: FastifyBaseLogger;
  readonly limits: ApiLimits;
  readonly bodies: BodyBudget;
  readonly waiters: CommitWaiters;
  readonly frames: BlockFrames;
  /** Aborted when the server begins to close. */
  readonly closing: AbortSignal;
  /** Connections whose present request is a stream: it may take longer to arrive than `requestMsMax`. */
  readonly longRequests: WeakSet<Socket>;
  /** Origins of pages that may use this API, or `*`. */
  readonly corsOrigins: ReadonlySet<string>;
}

/** The channel that a URL names. */
export function channelOf(context: ApiContext, name: string): ChannelService {
  const channel = context.service.channel(name);
  if (channel === undefined) {
    const known = context.service.channels();
    throw new ApiError('no_such_channel', {
      message: `This replica does not serve the channel ${JSON.stringify(name.slice(0, 80))}. It serves: ${known.slice(0, 20).join(', ') || 'none'}.`,
    });
  }
  return channel;
}
