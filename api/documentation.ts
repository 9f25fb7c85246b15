/**
 * `/openapi.json` and the page `/docs`. Everything behind them (typebox, swagger, swagger-ui and its assets) is loaded at the first
 * request for it, into a fastify of its own that listens nowhere: a replica that nobody reads about pays nothing.
 */
import type { FastifyInstance } from 'fastify';
import type { DocumentationSite } from './documentation-site.ts';

const OPENAPI_URL = '/openapi.json';
const DOCS_URL = '/docs';

export function registerDocumentation(app: FastifyInstance, version: string): void {
  let site: Promise<DocumentationSite> | undefined;

  function load(): Promise<DocumentationSite> {
    site ??= import('./documentation-site.ts').then(({ createDocumentationSite }) =>
      createDocumentationSite(version),
    );
    return site;
  }

  app.get(OPENAPI_URL, async (_request, reply) => {
    const { openapi } = await load();
    return reply.type('application/json; charset=utf-8').send(openapi);
  });

  for (const url of [DOCS_URL, `${DOCS_URL}/*`]) {
    app.get(url, { exposeHeadRoute: false }, async (request, reply) => {
      const { handle } = await load();
      reply.hijack();
      handle(request.raw, reply.raw);
    });
  }

  app.addHook('onClose', async () => {
    if (site !== undefined) await (await site).close();
  });
}
