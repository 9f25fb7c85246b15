/**
 * Which web pages may use the API. Off unless configured: without an allow-list browsers keep other
 * pages away from reading (no CORS headers) and from submitting (no accepted Content-Type is a
 * "simple" one), and WebSockets, which browsers do not guard, are refused here.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';

const PREFLIGHT_SECONDS = '600';

function isAllowedOrigin(origin: string, allowed: ReadonlySet<string>): boolean {
  return allowed.has('*') || allowed.has(origin);
}

/**
 * True for programs (no Origin), for pages that this server served itself, and for the allow-list.
 */
export function isOwnOrAllowedOrigin(
  headers: IncomingHttpHeaders,
  allowed: ReadonlySet<string>,
): boolean {
  const { origin, host } = headers;
  if (origin === undefined || isAllowedOrigin(origin, allowed)) {
    return true;
  }
  return origin === `http://${host ?? ''}` || origin === `https://${host ?? ''}`;
}

/**
 * CORS (Fetch standard): answers preflights and marks what listed origins may read.
 * Call only with a non-empty list.
 */
export function registerCors(app: FastifyInstance, allowed: ReadonlySet<string>): void {
  app.addHook('onRequest', (request, reply, done) => {
    const { origin } = request.headers;
    reply.header('vary', 'Origin');
    if (origin === undefined || !isAllowedOrigin(origin, allowed)) {
      done();
      return;
    }
    reply.header('access-control-allow-origin', origin);
    reply.header('access-control-expose-headers', 'location, retry-after, etag');
    if (
      request.method === 'OPTIONS' &&
      request.headers['access-control-request-method'] !== undefined
    ) {
      reply
        .code(204)
        .header('access-control-allow-methods', 'GET, POST')
        .header('access-control-allow-headers', 'content-type, last-event-id, if-none-match')
        .header('access-control-max-age', PREFLIGHT_SECONDS)
        .send();
      return;
    }
    done();
  });
}
