/** A real server over a real in-memory orderer, and clients for it. */
import { connect, type Socket } from 'node:net';
import { expect } from 'chai';
import pino from 'pino';
import { Value } from 'typebox/value';
import type { ErrorBody, ErrorCode } from '../../api/errors.ts';
import { type Api, type ApiLimits, type ApiOptions, startApi } from '../../api/index.ts';
import { ErrorSchema } from '../../api/schemas.ts';
import {
  createMemoryService,
  type MemoryChannel,
  type MemoryOptions,
} from '../support/memory-service.ts';

export interface Harness {
  readonly api: Api;
  readonly channel: MemoryChannel;
  /** Absolute URL of a path below the channel, or of an absolute path. */
  url(path: string): string;
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(path: string, type: string, body: BodyInit): Promise<Response>;
}

export interface HarnessOptions extends MemoryOptions {
  readonly limits?: Partial<ApiLimits>;
  readonly api?: Partial<ApiOptions>;
}

/** Starts before each test of the enclosing `describe` and closes after it. */
export function useApi(options: HarnessOptions = {}): Harness {
  let api: Api | undefined;
  let channel: MemoryChannel | undefined;

  beforeEach(async () => {
    const service = createMemoryService(options);
    channel = service.main;
    api = await startApi(
      {
        host: '127.0.0.1',
        port: 0,
        ...options.api,
        limits: { closeMsMax: 500, ...options.limits },
      },
      { service, log: pino({ level: 'silent' }) },
    );
  });
  afterEach(async () => {
    await api?.close();
    // Whatever the test did, nothing may be left behind.
    expect({ ...api?.load(), frameCacheBytes: 0 }).to.deep.equal({
      streams: 0,
      submitStreams: 0,
      waiters: 0,
      bodyBytes: 0,
      frameBytes: 0,
      frameCacheBytes: 0,
    });
    expect(channel?.listeners, 'height listeners').to.equal(0);
    expect(channel?.waiting, 'waiters in the orderer').to.equal(0);
  });

  const url = (path: string): string =>
    `${required(api).url}${path.startsWith('/') ? path : `/v1/channels/main/${path}`}`;
  return {
    get api() {
      return required(api);
    },
    get channel() {
      return required(channel);
    },
    url,
    get: (path, headers = {}) => fetch(url(path), { headers, redirect: 'manual' }),
    post: (path, type, body) =>
      fetch(url(path), { method: 'POST', body, headers: { 'content-type': type } }),
  };
}

/**
 * The answer is an error of exactly this code, in the one shape, with the
 * status that the table gives it.
 */
export async function expectError(
  response: Response,
  status: number,
  code: ErrorCode,
): Promise<ErrorBody> {
  const body: unknown = await response.json();
  expect(Value.Errors(ErrorSchema, body), JSON.stringify(body)).to.deep.equal([]);
  const error = body as ErrorBody;
  expect(error.code, error.message).to.equal(code);
  expect(response.status).to.equal(status);
  expect(response.headers.get('content-type')).to.match(/^application\/json/);
  if (status === 429 || status === 503) {
    expect(Number(response.headers.get('retry-after'))).to.be.at.least(1);
  }
  return error;
}

/** Bytes as `fetch` takes them. */
export function body(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(bytes);
}

export interface RawClient {
  readonly socket: Socket;
  /** Everything received, as latin1. */
  text(): string;
  /** Settles when the connection is gone. */
  readonly gone: Promise<void>;
}

/** A bare TCP connection to the server. */
export async function rawClient(api: Api): Promise<RawClient> {
  const socket = connect(api.port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  // A reset is one of the ways in which a server hangs up.
  socket.on('error', () => {});
  const gone = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  });
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve());
  });
  return { socket, gone, text: () => Buffer.concat(chunks).toString('latin1') };
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('useApi() works inside a test only');
  return value;
}
