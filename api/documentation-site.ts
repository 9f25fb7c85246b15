/** The OpenAPI description and its page. Loaded on demand by documentation.ts. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import fastify, { type FastifyInstance } from 'fastify';
import type { TSchema } from 'typebox';
import { ApiError, ERRORS, type ErrorEntry } from './errors.ts';
import { sendError } from './failures.ts';
import { ROUTES, type RouteDescription } from './route-descriptions.ts';
import { ErrorSchema } from './schemas.ts';

export interface DocumentationSite {
  /** The OpenAPI 3.1 document, serialized. */
  readonly openapi: string;
  /** Answers a request for the page or one of its assets. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  close(): Promise<void>;
}

/** The page works offline and loads nothing from elsewhere; swagger-ui sets styles of its own. */
const PAGE_POLICY =
  "default-src 'self'; base-uri 'self'; frame-ancestors 'self'; object-src 'none'; " +
  "img-src 'self' data:; style-src 'self' 'unsafe-inline'";

const LOGO =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40"><text x="0" y="29" fill="#fff" ' +
  'font-family="sans-serif" font-size="28">Sluice</text></svg>';

/** There is one description to look at, so nothing to explore. */
const PAGE_STYLE = '.swagger-ui .topbar .download-url-wrapper { visibility: hidden; }';

export async function createDocumentationSite(version: string): Promise<DocumentationSite> {
  const app = fastify({ logger: false });
  // The routes here only describe; nothing is ever validated or serialized by these schemas.
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => JSON.stringify);
  app.setNotFoundHandler((request, reply) =>
    sendError(reply, new ApiError('no_such_route'), request.id),
  );
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Sluice',
        version,
        description:
          'Byzantine-fault-tolerant ordering service: submit signed transactions, read certified blocks.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'transactions', description: 'Submit and find transactions.' },
        { name: 'channels', description: 'Channels, blocks and the deliver stream.' },
        { name: 'operation', description: 'For operators and load balancers.' },
      ],
    },
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: PAGE_POLICY,
    theme: { title: 'Sluice API', css: [{ filename: 'sluice.css', content: PAGE_STYLE }] },
    logo: { type: 'image/svg+xml', content: Buffer.from(LOGO), href: '/docs', target: '_self' },
    uiConfig: { docExpansion: 'list', defaultModelsExpandDepth: -1 },
  });
  for (const route of ROUTES) describe(app, route);
  await app.ready();
  return {
    openapi: JSON.stringify(app.swagger(), undefined, 2),
    handle: (request, response) => app.routing(request, response),
    close: async () => {
      await app.close();
    },
  };
}

function describe(app: FastifyInstance, route: RouteDescription): void {
  const responses: Record<string, unknown> = {};
  for (const [status, { description, content }] of Object.entries(route.responses)) {
    responses[status] = { description, content: mediaContent(content) };
  }
  for (const [status, codes] of errorsByStatus(route)) {
    responses[status] ??= {
      description: codes.join(', '),
      content: { 'application/json': { schema: ErrorSchema } },
    };
  }
  app.route({
    method: route.method,
    url: route.url,
    exposeHeadRoute: false,
    schema: {
      summary: route.summary,
      description: route.description ?? '',
      tags: [route.tag],
      response: responses,
      ...(route.params === undefined ? {} : { params: route.params }),
      ...(route.query === undefined ? {} : { querystring: route.query }),
      ...(route.body === undefined ? {} : { body: { content: mediaContent(route.body) } }),
    },
    handler: async () => {
      throw new ApiError('no_such_route');
    },
  });
}

function mediaContent(
  content: Readonly<Record<string, TSchema>>,
): Record<string, { schema: TSchema }> {
  return Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, { schema }]));
}

function errorsByStatus(route: RouteDescription): Map<string, string[]> {
  const codes = new Map<string, string[]>();
  for (const code of route.errors) {
    const { status }: ErrorEntry = ERRORS[code];
    const same = codes.get(String(status));
    if (same === undefined) codes.set(String(status), [code]);
    else same.push(code);
  }
  return codes;
}
