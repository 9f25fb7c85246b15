/** Which of the addresses that replicas will listen on are taken already. */
import { createServer } from 'node:net';

export interface WantedAddress {
  readonly host: string;
  /** 0, any free port, is never taken. */
  readonly port: number;
  /** For the message: `API of replica 3`. */
  readonly use: string;
}

export interface BusyAddress extends WantedAddress {
  /** `EADDRINUSE`, or why else nothing can listen there. */
  readonly code: string;
}

/** By listening on each for a moment. */
export async function findBusy(wanted: readonly WantedAddress[]): Promise<BusyAddress[]> {
  const codes = await Promise.all(wanted.map(tryListen));
  return wanted.flatMap((address, i) => {
    const code = codes[i];
    return code === undefined ? [] : [{ ...address, code }];
  });
}

function tryListen({ host, port }: WantedAddress): Promise<string | undefined> {
  if (port === 0) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
