/**
 * A tiny HTTP server that misbehaves as told: what the client must survive and
 * no real replica does on request.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Behavior = (request: IncomingMessage, response: ServerResponse) => void;

export interface FaultyReplica {
  readonly url: string;
  /** Paths asked for, in order. */
  readonly requests: string[];
  /** What it does next; the last behavior stays. */
  next(...behaviors: Behavior[]): void;
  close(): Promise<void>;
}

export const resetConnection: Behavior = (_, response) => {
  response.socket?.resetAndDestroy();
};

export const neverAnswer: Behavior = () => {};

/** Answers JSON with this status. */
export function answer(
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): Behavior {
  return (request, response) => {
    request.resume();
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
}

/** Passes the request on and hands the answer's body through `change`. */
export function forwardTo(
  url: string,
  change: (body: Uint8Array, path: string) => Uint8Array = (body) => body,
): Behavior {
  return (request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const path = request.url ?? '/';
      const { method = 'GET', headers } = request;
      const answered = await fetch(url + path, {
        method,
        headers: {
          accept: headers.accept ?? '*/*',
          ...(headers['content-type'] === undefined
            ? {}
            : { 'content-type': headers['content-type'] }),
        },
        ...(method === 'POST' ? { body: Buffer.concat(chunks) } : {}),
      });
      const body = change(new Uint8Array(await answered.arrayBuffer()), path);
      response.writeHead(answered.status, {
        'content-type': answered.headers.get('content-type') ?? '',
      });
      response.end(body);
    })().catch(() => response.destroy());
  };
}

export async function startFaultyReplica(...behaviors: Behavior[]): Promise<FaultyReplica> {
  let queue = behaviors;
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    const behavior = queue.length > 1 ? queue.shift() : queue[0];
    (behavior ?? resetConnection)(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    next(...next) {
      queue = next;
    },
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
