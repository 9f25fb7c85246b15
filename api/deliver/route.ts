/** `GET /v1/channels/{channel}/deliver`: one URL, four carriers. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import type { ChannelService } from '../../orderer/service.ts';
import { onConnectionEnd } from '../connection-end.ts';
import { type ApiContext, channelOf } from '../context.ts';
import { ApiError, errorBody } from '../errors.ts';
import { isOwnOrAllowedOrigin } from '../origins.ts';
import { createOpenStreams, type StreamSet } from '../stream-set.ts';
import { type DeliverPlan, readDeliverPlan } from './plan.ts';
import { pumpBlocks } from './pump.ts';
import { createHttpSink, createWebSocketSink, type DeliverSink } from './sink.ts';
import { createWaker, type Waker } from './waker.ts';

export const DELIVER_URL = '/v1/channels/:channel/deliver';
/** Time for last words when other clients wait for the memory. */
const PRESSED_LINGER_MS = 100;

interface Prepared {
  readonly channel: ChannelService;
  readonly plan: DeliverPlan;
}

interface Stream {
  readonly sink: DeliverSink;
  readonly waker: Waker;
  readonly fault: () => ApiError | undefined;
  /** Settles when the connection has taken everything, or is gone. */
  readonly finished: Promise<void>;
}

export function registerDeliver(app: FastifyInstance, context: ApiContext): StreamSet {
  const { limits } = context;
  const open = createOpenStreams<DeliverSink>();
  const prepared = new WeakMap<object, Prepared>();

  async function serve(request: FastifyRequest, work: Prepared, stream: Stream): Promise<void> {
    const { sink } = stream;
    open.add(sink);
    let end: string = 'internal_error';
    try {
      end = await pumpBlocks(work.plan, {
        channel: work.channel,
        frames: context.frames,
        sink,
        waker: stream.waker,
        limits,
        closing: context.closing,
        requestId: request.id,
        fault: stream.fault,
      });
    } catch (error) {
      context.log.error({ err: error, reqId: request.id }, 'deliver stream failed');
      sink.end(errorBody(new ApiError('internal_error'), request.id));
    }
    // Who reads on has seen its last block leave; who was too slow
    // gets a moment for the last words.
    const wordsMs = context.frames.pressed ? PRESSED_LINGER_MS : limits.deliverLingerMs;
    const lingerMs = end === 'complete' ? limits.deliverStallMsMax : wordsMs;
    const timer = setTimeout(() => sink.destroy(), lingerMs);
    await stream.finished;
    clearTimeout(timer);
    open.delete(sink);
    context.log.debug({ reqId: request.id, end }, 'deliver stream ended');
  }

  function take(request: FastifyRequest): Prepared {
    const work = prepared.get(request);
    if (work === undefined) {
      throw new Error('the deliver route ran without its preHandler');
    }
    return work;
  }

  app.route<{ Params: { channel: string } }>({
    method: 'GET',
    url: DELIVER_URL,
    exposeHeadRoute: false,
    // Runs before a WebSocket is upgraded, so that errors are plain HTTP answers on every carrier.
    preHandler: (request, _reply, done) => {
      const isWebSocket = request.ws;
      if (isWebSocket && !isOwnOrAllowedOrigin(request.headers, context.corsOrigins)) {
        throw new ApiError('origin_not_allowed');
      }
      const channel = channelOf(context, request.params.channel);
      const plan = readDeliverPlan(request.query, request.headers, isWebSocket, channel);
      if (open.count >= limits.deliverStreamsMax) {
        throw new ApiError('too_many_streams', { retryAfterMs: 5000 });
      }
      prepared.set(request, { channel, plan });
      done();
    },
    handler: (request, reply) => {
      const work = take(request);
      if (work.plan.media === 'text/event-stream' && work.plan.from > work.plan.to) {
        // The HTML standard: 204 tells an EventSource to stop connecting again.
        reply.code(204).send();
        return;
      }
      void serve(request, work, startHttp(request, reply, work.plan));
    },
    wsHandler: (socket, request) => {
      const work = take(request);
      void serve(request, work, startWebSocket(socket, work.plan, limits.deliverBufferBytesMax));
    },
  });

  return open;
}

function startHttp(request: FastifyRequest, reply: FastifyReply, plan: DeliverPlan): Stream {
  reply.hijack();
  const response = reply.raw;
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) response.setHeader(name, value);
  }
  response.writeHead(200, {
    'content-type': plan.media === 'websocket' ? 'application/octet-stream' : plan.media,
    'cache-control': 'no-store',
    // Asks buffering proxies to pass each block on at once.
    'x-accel-buffering': 'no',
    vary: 'Accept, Origin',
  });
  response.flushHeaders();
  response.on('error', () => response.destroy());
  const waker = createWaker();
  const finished = new Promise<void>((resolve) => {
    const forget = onConnectionEnd(request.raw.socket, resolve);
    response.once('finish', () => {
      forget();
      resolve();
    });
  });
  const sink = createHttpSink(response, request.raw.socket, plan.media, { onChange: waker.wake });
  return { sink, waker, finished, fault: () => undefined };
}

function startWebSocket(socket: WebSocket, plan: DeliverPlan, bufferBytesMax: number): Stream {
  const waker = createWaker();
  let fault: ApiError | undefined;
  socket.on('message', () => {
    fault = new ApiError('unexpected_message');
    waker.wake();
  });
  const finished = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  });
  const sink = createWebSocketSink(socket, plan, bufferBytesMax, { onChange: waker.wake });
  return { sink, waker, finished, fault: () => fault };
}
