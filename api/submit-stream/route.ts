/** `POST /v1/channels/{channel}/transactions/stream`: envelopes in, results out, over one request for as long as the client likes. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ChannelService } from '../../orderer/service.ts';
import { onConnectionEnd } from '../connection-end.ts';
import { type ApiContext, channelOf } from '../context.ts';
import { NDJSON } from '../deliver/plan.ts';
import { createWaker } from '../deliver/waker.ts';
import { ApiError, errorBody } from '../errors.ts';
import { FRAME_MEDIA_TYPE } from '../framing.ts';
import { mediaTypeOf, negotiate } from '../media-types.ts';
import { readQuery } from '../parameters.ts';
import { createOpenStreams, type StreamSet } from '../stream-set.ts';
import { readTimeout } from '../waiting.ts';
import { createResultSink, type ResultSink } from './results.ts';
import { SubmitSession } from './session.ts';
import { createSubmissionSource, type SubmissionSource } from './source.ts';

export const SUBMIT_STREAM_URL = '/v1/channels/:channel/transactions/stream';

type StreamRequest = FastifyRequest<{ Params: { channel: string } }>;

interface Plan {
  readonly channel: ChannelService;
  readonly waitMs: number;
}

export function registerSubmitStream(app: FastifyInstance, context: ApiContext): StreamSet {
  const { limits } = context;
  const open = createOpenStreams<ResultSink>();

  async function serve(request: StreamRequest, reply: FastifyReply, plan: Plan): Promise<void> {
    const { socket } = request.raw;
    const stream = start(context, request, reply, plan);
    open.add(stream.results);
    context.longRequests.add(socket);
    let end: string = 'internal_error';
    try {
      end = await stream.session.run();
    } catch (error) {
      context.log.error({ err: error, reqId: request.id }, 'submission stream failed');
      stream.results.end(errorBody(new ApiError('internal_error'), request.id));
    }
    // The client gets a moment for the last words, in which what it is still sending is read and thrown away: a sender
    // that is cut off in mid-sentence never sees them.
    stream.source.discard();
    const lingerMs = end === 'complete' ? limits.deliverStallMsMax : limits.deliverLingerMs;
    const timer = setTimeout(() => stream.results.destroy(), lingerMs);
    await stream.finished;
    clearTimeout(timer);
    context.longRequests.delete(socket);
    open.delete(stream.results);
    context.log.debug({ reqId: request.id, end }, 'submission stream ended');
  }

  app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    // Nothing is read before the stream is accepted; the type is looked at by `readPlan`.
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
    scope.post<{ Params: { channel: string } }>(SUBMIT_STREAM_URL, (request, reply) => {
      const plan = readPlan(context, request);
      if (open.count >= limits.submitStreamsMax) {
        throw new ApiError('too_many_streams', { retryAfterMs: 5_000 });
      }
      void serve(request, reply, plan);
    });
  });

  return open;
}

/** @throws ApiError when the stream cannot be what is asked for. */
function readPlan(context: ApiContext, request: StreamRequest): Plan {
  const channel = channelOf(context, request.params.channel);
  const { timeoutMs } = readQuery(request.query, ['timeoutMs']);
  const waitMs = readTimeout(timeoutMs, context.limits);
  if (mediaTypeOf(request.headers['content-type']) !== FRAME_MEDIA_TYPE) {
    throw new ApiError('unsupported_media_type', {
      message: `Content-Type must be ${FRAME_MEDIA_TYPE}.`,
    });
  }
  if (negotiate(request.headers.accept, [NDJSON]) === undefined) {
    throw new ApiError('not_acceptable', { message: `The results come as ${NDJSON}.` });
  }
  return { channel, waitMs };
}

function start(
  context: ApiContext,
  request: StreamRequest,
  reply: FastifyReply,
  { channel, waitMs }: Plan,
): {
  readonly session: SubmitSession;
  readonly source: SubmissionSource;
  readonly results: ResultSink;
  /** Settles when the response has left and the request has been read to its end, or the connection is gone. */
  readonly finished: Promise<void>;
} {
  const { limits } = context;
  const { socket } = request.raw;
  const response = reply.raw;
  reply.hijack();
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) response.setHeader(name, value);
  }
  response.writeHead(200, {
    'content-type': NDJSON,
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    vary: 'Accept, Origin',
  });
  response.flushHeaders();
  response.on('error', () => response.destroy());
  request.raw.on('error', () => {});
  const waker = createWaker();
  const results = createResultSink(
    response,
    socket,
    { stallMsMax: limits.deliverStallMsMax, bytesPerSecondMin: limits.deliverBytesPerSecondMin },
    waker.wake,
  );
  const finished = new Promise<void>((resolve) => {
    const forget = onConnectionEnd(socket, resolve);
    const settle = (): void => {
      if (!response.writableFinished || !request.raw.complete) return;
      forget();
      resolve();
    };
    response.once('finish', settle);
    request.raw.once('end', settle);
  });
  const source = createSubmissionSource(
    request.raw,
    { envelopeBytesMax: channel.envelopeBytesMax, slackBytes: limits.bodySlackBytes },
    { onEnvelopes: (envelopes) => session.take(envelopes), onChange: waker.wake },
  );
  const session = new SubmitSession({
    context,
    channel,
    source,
    results,
    waker,
    socket,
    waitMs,
    requestId: request.id,
  });
  return { session, source, results, finished };
}
