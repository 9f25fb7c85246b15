/** Puts the API together and runs it. */
import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import websocket from '@fastify/websocket';
import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { OrderingService } from '../orderer/service.ts';
import { createBlockFrames } from './block-frames.ts';
import type { ApiContext } from './context.ts';
import { DELIVER_URL, registerDeliver } from './deliver/route.ts';
import { registerDocumentation } from './documentation.ts';
import { ApiError, errorBody, statusOf } from './errors.ts';
import {
  answerParserError,
  guardRequest,
  mayTakeLong,
  registerNotFound,
  sendError,
  toApiError,
} from './failures.ts';
import { type ApiLimits, resolveLimits } from './limits.ts';
import { registerCors } from './origins.ts';
import { createBodyBudget } from './request-body.ts';
import { registerChannels } from './routes/channels.ts';
import { LIVE_URL, registerHealth } from './routes/health.ts';
import { checkBodyLimits, registerTransactions } from './routes/transactions.ts';
import type { StreamSet } from './stream-set.ts';
import { registerSubmitStream } from './submit-stream/route.ts';
import { createCommitWaiters } from './waiting.ts';

export interface ApiOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits?: Partial<ApiLimits>;
  /** Origins of web pages that may use the API (`https://example.org`), or `*`. None by default. */
  readonly corsOrigins?: readonly string[];
  /** Requests of one address in a time window. No limit by default. */
  readonly rateLimit?: { readonly requestsMax: number; readonly windowMs: number } | undefined;
}

export interface ApiDependencies {
  readonly service: OrderingService;
  readonly log: FastifyBaseLogger;
}

/** What the API holds at this moment; all zero when nobody uses it. */
export interface ApiLoad {
  /** Deliver streams. */
  readonly streams: number;
  readonly submitStreams: number;
  readonly waiters: number;
  readonly bodyBytes: number;
  readonly frameBytes: number;
  readonly frameCacheBytes: number;
}

export interface Api {
  readonly url: string;
  readonly port: number;
  load(): ApiLoad;
  /**
   * Refuses new work, ends streams and waits with a reason, gives requests in progress
   * `closeMsMax`, then cuts what is left. Calling again returns the same promise.
   */
  close(): Promise<void>;
}

/** A deliver client has nothing to say, so its messages may be as short as control frames. */
const WEBSOCKET_PAYLOAD_BYTES_MAX = 1024;
/** Fabric's longest channel name is 249 characters. */
const PATH_PARAMETER_CHARS_MAX = 256;
const CLOSE_SWEEP_MS = 50;

/**
 * @throws RangeError for limits that contradict each other; the error of `listen`
 * when the address cannot be had.
 */
export async function startApi(options: ApiOptions, dependencies: ApiDependencies): Promise<Api> {
  const limits = resolveLimits(options.limits);
  for (const name of dependencies.service.channels()) {
    const channel = dependencies.service.channel(name);
    if (channel !== undefined) checkBodyLimits(channel, limits);
  }
  const closing = new AbortController();
  // Every stream listens; their number has a limit of its own.
  setMaxListeners(0, closing.signal);
  const context: ApiContext = {
    ...dependencies,
    limits,
    bodies: createBodyBudget(limits),
    waiters: createCommitWaiters(limits),
    frames: createBlockFrames(limits),
    closing: closing.signal,
    longRequests: new WeakSet(),
    corsOrigins: new Set(options.corsOrigins),
  };
  const app = createServer(context);
  registerNotFound(app);
  await registerGates(app, context, options.rateLimit);
  registerTransactions(app, context);
  registerChannels(app, context);
  const streams = [registerDeliver(app, context), registerSubmitStream(app, context)] as const;
  registerHealth(app, context);
  registerDocumentation(app, context.service.version);
  app.server.maxConnections = limits.connectionsMax;
  await app.listen({ host: options.host, port: options.port });

  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.port;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  let closed: Promise<void> | undefined;
  return {
    url: `http://${host}:${port}`,
    port,
    load: () => ({
      streams: streams[0].count,
      submitStreams: streams[1].count,
      waiters: context.waiters.count,
      bodyBytes: context.bodies.heldBytes,
      frameBytes: context.frames.inFlightBytes,
      frameCacheBytes: context.frames.cachedBytes,
    }),
    close() {
      closed ??= closeGracefully(app, context, streams, closing);
      return closed;
    },
  };
}

function createServer(context: ApiContext): FastifyInstance {
  const { limits, log, longRequests } = context;
  const nextRequestId = createRequestIds();
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (logger) => logger,
    genReqId: nextRequestId,
    // Our own hook answers in our own shape.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    requestTimeout: limits.requestMsMax,
    keepAliveTimeout: limits.keepAliveMs,
    routerOptions: { maxParamLength: PATH_PARAMETER_CHARS_MAX },
    http: {
      maxHeaderSize: limits.headersBytesMax,
      headersTimeout: limits.headersMsMax,
      connectionsCheckingInterval: limits.connectionCheckMs,
      requireHostHeader: false,
      keepAlive: true,
      keepAliveInitialDelay: limits.deliverHeartbeatMs,
    },
    clientErrorHandler: (error, socket) => {
      if (mayTakeLong(error, socket, longRequests)) return;
      answerParserError(error, socket, nextRequestId());
    },
    frameworkErrors: (error, request, reply) => {
      sendError(reply, toApiError(error, log, request.id), request.id);
    },
  });
  app.setErrorHandler((error, request, reply) =>
    sendError(reply, toApiError(error, log, request.id), request.id),
  );
  app.server.on('checkExpectation', (request, response) => {
    request.resume();
    const body = JSON.stringify(errorBody(new ApiError('expectation_failed'), nextRequestId()));
    response.writeHead(statusOf('expectation_failed'), {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
      connection: 'close',
    });
    response.end(body);
  });
  if (log.level === 'debug' || log.level === 'trace') {
    app.addHook('onResponse', (request, reply, done) => {
      const { method, url, id } = request;
      const ms = Math.round(reply.elapsedTime * 100) / 100;
      log.debug({ reqId: id, method, url, status: reply.statusCode, ms }, 'request');
      done();
    });
  }
  return app;
}

/** What every request passes before its route. */
async function registerGates(
  app: FastifyInstance,
  context: ApiContext,
  rateLimit: ApiOptions['rateLimit'],
): Promise<void> {
  const { limits, closing, corsOrigins } = context;
  await app.register(websocket, {
    options: { maxPayload: WEBSOCKET_PAYLOAD_BYTES_MAX, perMessageDeflate: false },
    // Streams are ended by closeGracefully, with a reason.
    preClose: (done) => done(),
    errorHandler: (error, socket, request) => {
      context.log.debug({ err: error, reqId: request.id }, 'WebSocket broken');
      socket.terminate();
    },
  });
  if (corsOrigins.size > 0) {
    registerCors(app, corsOrigins);
  }
  app.addHook('onRequest', (request, reply, done) => {
    if (closing.aborted && request.url !== LIVE_URL) {
      reply.header('connection', 'close');
      throw new ApiError('shutting_down');
    }
    const refused = guardRequest(request, limits.uriCharsMax);
    if (refused !== undefined) {
      throw refused;
    }
    if (request.ws && !request.is404 && request.routeOptions.url !== DELIVER_URL) {
      throw new ApiError('websocket_unsupported');
    }
    done();
  });
  if (rateLimit !== undefined) {
    const { default: plugin } = await import('@fastify/rate-limit');
    await app.register(plugin, {
      max: rateLimit.requestsMax,
      timeWindow: rateLimit.windowMs,
      errorResponseBuilder: (_request, { ttl }) =>
        new ApiError('rate_limited', { retryAfterMs: ttl }),
    });
  }
}

/** Unique among the replicas of a network and their restarts, short, cheap. */
function createRequestIds(): () => string {
  const prefix = randomBytes(4).toString('hex');
  let count = 0;
  return () => {
    count += 1;
    return `${prefix}-${count.toString(36)}`;
  };
}

async function closeGracefully(
  app: FastifyInstance,
  context: ApiContext,
  streams: readonly StreamSet[],
  closing: AbortController,
): Promise<void> {
  const { closeMsMax } = context.limits;
  closing.abort();
  // A wait that ends now is answered "pending"; half of the time is left for the answers to leave.
  const release = setTimeout(() => context.waiters.abortAll(), closeMsMax / 2);
  const cut = setTimeout(() => {
    for (const set of streams) set.destroyAll();
    app.server.closeAllConnections();
  }, closeMsMax);
  // A connection that becomes idle after close() began would otherwise
  // live until its keep-alive ends.
  const sweep = setInterval(() => app.server.closeIdleConnections(), CLOSE_SWEEP_MS);
  try {
    await app.close();
    await Promise.all(streams.map((set) => set.drained()));
  } finally {
    clearTimeout(release);
    clearTimeout(cut);
    clearInterval(sweep);
  }
}
