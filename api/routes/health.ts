/** For operators and load balancers. */
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.ts';
import { ApiError } from '../errors.ts';

export const HEALTH_URL = '/healthz';
export const LIVE_URL = '/livez';
export const VERSION_URL = '/version';
const ROOT_URL = '/';

export function registerHealth(app: FastifyInstance, context: ApiContext): void {
  const { service } = context;

  /** 200 only when every channel can order. */
  app.get(HEALTH_URL, async (_request, reply) => {
    reply.header('cache-control', 'no-store');
    const channels = service.channels().flatMap((name) => service.channel(name)?.health() ?? []);
    const sick = channels.filter(({ canOrder }) => !canOrder);
    if (sick.length > 0 || channels.length === 0) {
      const reasons = sick.map(({ channel, reason }) => `${channel}: ${reason}`).join(' ');
      throw new ApiError('not_ready', {
        message: reasons || 'This replica serves no channel.',
        details: { channels },
      });
    }
    return { status: 'ok', channels };
  });

  /** 200 as long as the process answers at all. */
  app.get(LIVE_URL, async (_request, reply) => {
    reply.header('cache-control', 'no-store');
    return { status: 'ok' };
  });

  app.get(VERSION_URL, async () => ({
    name: 'sluice',
    version: service.version,
    api: 'v1',
    replica: service.replica,
    node: process.version,
  }));

  /** For who opens the bare address. */
  app.get(ROOT_URL, async () => ({
    name: 'sluice',
    version: service.version,
    documentation: '/docs',
    openapi: '/openapi.json',
    channels: '/v1/channels',
    health: HEALTH_URL,
  }));
}
