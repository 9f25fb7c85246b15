import pino from 'pino';
import { type Api, startApi } from '../../api/index.ts';
import type { OrderingService } from '../../orderer/service.ts';

/** The real API on a free port of this machine, with its own defaults and without a log. */
export function serveQuietly(service: OrderingService): Promise<Api> {
  return startApi({ host: '127.0.0.1', port: 0 }, { service, log: pino({ level: 'silent' }) });
}
