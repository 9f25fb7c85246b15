/** What a channel is and which blocks it has. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ChannelService } from '../../orderer/service.ts';
import type { FrameFormat, FrameLease } from '../block-frames.ts';
import { onConnectionEnd } from '../connection-end.ts';
import { type ApiContext, channelOf } from '../context.ts';
import { blockNotReady } from '../deliver/plan.ts';
import { ApiError } from '../errors.ts';
import { negotiate } from '../media-types.ts';
import { readBlockReference, readFlag, readQuery } from '../parameters.ts';
import type { ChannelsView } from '../schemas.ts';
import { channelView } from '../views.ts';

export const CHANNELS_URL = '/v1/channels';
export const CHANNEL_URL = '/v1/channels/:channel';
export const BLOCK_URL = '/v1/channels/:channel/blocks/:number';

const BLOCK_TYPES = [
  'application/json',
  'application/x-protobuf',
  'application/octet-stream',
] as const;
/** A block never changes; `newest` and `oldest` name another one tomorrow. */
const CACHE_FOREVER = 'public, max-age=31536000, immutable';
const CACHE_ASK_AGAIN = 'no-cache';

type BlockRequest = FastifyRequest<{ Params: { channel: string; number: string } }>;

export function registerChannels(app: FastifyInstance, context: ApiContext): void {
  app.get(CHANNELS_URL, async (request): Promise<ChannelsView> => {
    readQuery(request.query, []);
    const channels = context.service.channels().flatMap((name) => {
      const channel = context.service.channel(name);
      return channel === undefined ? [] : [{ channel: name, height: channel.info().height }];
    });
    return { channels };
  });

  app.get<{ Params: { channel: string } }>(CHANNEL_URL, async (request) => {
    readQuery(request.query, []);
    const channel = channelOf(context, request.params.channel);
    return channelView(channel.info(), channel.envelopeBytesMax, channel.gateway !== undefined);
  });

  app.get<{ Params: { channel: string; number: string } }>(BLOCK_URL, (request, reply) =>
    sendBlock(context, request, reply),
  );
}

async function sendBlock(
  context: ApiContext,
  request: BlockRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const channel = channelOf(context, request.params.channel);
  const reference = readBlockReference('number', request.params.number);
  const raw = readFlag('raw', readQuery(request.query, ['raw']).raw);
  const type = negotiate(request.headers.accept, BLOCK_TYPES);
  if (type === undefined) {
    throw new ApiError('not_acceptable', {
      message: `A block comes as ${BLOCK_TYPES.join(' or ')}.`,
    });
  }
  const { height } = channel.info();
  const number = reference === 'newest' ? height - 1 : reference === 'oldest' ? 0 : reference;
  const format: FrameFormat = type !== 'application/json' ? 'protobuf' : raw ? 'json-raw' : 'json';
  const lease = await acquire(context, channel, number, height, format, () =>
    request.raw.socket.destroy(),
  );
  releaseWhenSent(request, reply, lease, context.limits);
  reply.header('cache-control', typeof reference === 'number' ? CACHE_FOREVER : CACHE_ASK_AGAIN);
  reply.header('etag', lease.etag);
  reply.header('vary', 'Accept, Origin');
  if (matches(request.headers['if-none-match'], lease.etag)) {
    return reply.code(304).send();
  }
  return reply
    .type(type === 'application/json' ? 'application/json; charset=utf-8' : type)
    .send(lease.bytes);
}

async function acquire(
  context: ApiContext,
  channel: ChannelService,
  number: number,
  height: number,
  format: FrameFormat,
  onRevoke: () => void,
): Promise<FrameLease> {
  const lease =
    number < height ? await context.frames.acquire(channel, number, format, onRevoke) : undefined;
  if (lease === undefined) {
    throw blockNotReady(number, height);
  }
  return lease;
}

/** A client that never reads its block must not hold it for ever. */
function releaseWhenSent(
  request: FastifyRequest,
  reply: FastifyReply,
  lease: FrameLease,
  limits: ApiContext['limits'],
): void {
  const { socket } = request.raw;
  const allowedMs =
    limits.deliverStallMsMax + (1000 * lease.bytes.length) / limits.deliverBytesPerSecondMin;
  const timer = setTimeout(() => socket.destroy(), allowedMs);
  const done = (): void => {
    clearTimeout(timer);
    forget();
    lease.release();
  };
  reply.raw.once('close', done);
  const forget = onConnectionEnd(socket, done);
}

/** If-None-Match (RFC 9110 section 13.1.2). */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) {
    return false;
  }
  const tags = header.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes('*') || tags.includes(etag);
}
