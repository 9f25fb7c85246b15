/**
 * Turns everything that can go wrong, in our routes, in fastify and in Node's HTTP
 * parser, into the one error shape.
 */
import type { Socket } from 'node:net';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError, type ErrorCode, errorBody, retryAfterSeconds, statusOf } from './errors.ts';
import { SUBMIT_TYPES } from './routes/transactions.ts';

/** fastify's own errors that a client can cause. What is not listed is a fault of ours. */
const FRAMEWORK_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'malformed_body',
  FST_ERR_BAD_URL: 'malformed_url',
  FST_ERR_MAX_PARAM_LENGTH: 'uri_too_long',
};

/** Errors of Node's HTTP parser and its timers. */
const PARSER_CODES: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'body_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
};

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
};

export function toApiError(error: unknown, log: FastifyBaseLogger, requestId: string): ApiError {
  if (error instanceof ApiError) {
    return error;
  }
  const code = FRAMEWORK_CODES[(error as { code?: string }).code ?? ''];
  if (code === 'unsupported_media_type') {
    return new ApiError(code, {
      message: `Content-Type must be one of ${SUBMIT_TYPES.join(', ')}.`,
    });
  }
  if (code !== undefined) {
    return new ApiError(code);
  }
  log.error({ err: error, reqId: requestId }, 'request failed');
  return new ApiError('internal_error');
}

export function sendError(reply: FastifyReply, error: ApiError, requestId: string): FastifyReply {
  const retryAfter = retryAfterSeconds(error);
  if (retryAfter !== undefined) {
    reply.header('retry-after', String(retryAfter));
  }
  for (const [name, value] of Object.entries(error.headers ?? {})) {
    reply.header(name, value);
  }
  // What a successful answer had prepared must not be kept with an error.
  reply.removeHeader('etag');
  reply.header('cache-control', 'no-store');
  reply.code(statusOf(error.code)).type('application/json; charset=utf-8');
  return reply.send(JSON.stringify(errorBody(error, requestId)));
}

/** 404 or, when the path exists for other methods, 405. */
export function registerNotFound(app: FastifyInstance): void {
  const methodsByPath: { pattern: RegExp; methods: string[] }[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    const pattern = new RegExp(
      `^${url
        .replace(/[.]/g, '\\.')
        .replace(/:[^/]+/g, '[^/]+')
        .replace('*', '.*')}$`,
    );
    methodsByPath.push({ pattern, methods: [method].flat() });
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const found = methodsByPath.filter(({ pattern }) => pattern.test(path));
    const methods = [...new Set(found.flatMap((route) => route.methods))].sort();
    const error =
      methods.length === 0
        ? new ApiError('no_such_route')
        : new ApiError('method_not_allowed', {
            message: `This path takes ${methods.join(', ')}, not ${request.method}.`,
            headers: { allow: methods.join(', ') },
          });
    return sendError(reply, error, request.id);
  });
}

/** Node has noticed a request that takes too long to arrive, but it is one that may: Node does not look at it again. */
export function mayTakeLong(
  error: Error & { code?: string },
  socket: Socket,
  longRequests: WeakSet<Socket>,
): boolean {
  return error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && longRequests.has(socket);
}

/** Bytes that never became a request: answers on the bare socket, as Node does, and closes it. */
export function answerParserError(
  error: Error & { code?: string },
  socket: Socket,
  requestId: string,
): void {
  const response = (socket as Socket & { _httpMessage?: { headersSent: boolean } })._httpMessage;
  if (!socket.writable || response?.headersSent === true || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const failure = new ApiError(PARSER_CODES[error.code ?? ''] ?? 'malformed_http');
  const status = statusOf(failure.code);
  const body = JSON.stringify(errorBody(failure, requestId));
  socket.end(
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Bad Request'}\r\n` +
      'Content-Type: application/json; charset=utf-8\r\n' +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

/** Refuses before routing what no route should see. */
export function guardRequest(request: FastifyRequest, uriCharsMax: number): ApiError | undefined {
  const { raw } = request;
  if (request.url.length > uriCharsMax) {
    return new ApiError('uri_too_long', { details: { uriCharsMax } });
  }
  if (raw.headers.host === undefined && raw.httpVersion === '1.1') {
    return new ApiError('malformed_http', { message: 'An HTTP/1.1 request needs a Host header.' });
  }
  return undefined;
}
