import { connect } from 'node:net';
import { expect } from 'chai';
import pino from 'pino';
import { startApi } from '../../api/index.ts';
import { createMemoryService, makeEnvelope } from '../support/memory-service.ts';
import { until } from '../support/until.ts';
import { body, expectError, rawClient, useApi } from './harness.ts';

const RAW = 'application/octet-stream';

describe('the server', () => {
  const t = useApi({ limits: { closeMsMax: 400 } });

  it('is healthy when every channel can order, and says why it is not', async () => {
    const well = await t.get('/healthz');
    expect(well.status).to.equal(200);
    expect(await well.json()).to.deep.equal({
      status: 'ok',
      channels: [{ channel: 'main', canOrder: true, reason: 'ordering' }],
    });
    t.channel.setHealth(false, 'Only 2 of 3 replicas are connected.');
    const ill = await expectError(await t.get('/healthz'), 503, 'not_ready');
    expect(ill.message).to.equal('main: Only 2 of 3 replicas are connected.');
    expect((await t.get('/livez')).status).to.equal(200);
  });

  it('names itself', async () => {
    const version = (await (await t.get('/version')).json()) as object;
    expect(version).to.include({ name: 'sluice', version: '0.0.0-test', api: 'v1', replica: 1 });
    expect(((await (await t.get('/')).json()) as { documentation: string }).documentation).to.equal(
      '/docs',
    );
  });

  it('logs no request unless debugging, and gives errors an id', async () => {
    const first = await expectError(await t.get('/nowhere'), 404, 'no_such_route');
    const second = await expectError(await t.get('/nowhere'), 404, 'no_such_route');
    expect(first.requestId).not.to.equal(second.requestId);
  });

  it('closes while clients wait: they are answered "pending" in time', async () => {
    t.channel.hold();
    const waiting = t.post('transactions?wait=commit', RAW, body(makeEnvelope('a')));
    await until('the waiter', () => t.channel.waiting === 1);
    const began = performance.now();
    await t.api.close();
    expect(performance.now() - began).to.be.lessThan(1000);
    const response = await waiting;
    expect(response.status).to.equal(202);
    expect(await response.json()).to.include({ status: 'pending' });
  });

  it('lets a commit that comes while it closes be told', async () => {
    t.channel.hold();
    const waiting = t.post('transactions?wait=commit', RAW, body(makeEnvelope('a')));
    await until('the waiter', () => t.channel.waiting === 1);
    const closed = t.api.close();
    t.channel.resume();
    expect((await waiting).status).to.equal(200);
    await closed;
  });

  it('refuses new work while it closes, on connections that are open', async () => {
    t.channel.hold();
    const client = await rawClient(t.api);
    const waiting = t.post('transactions?wait=commit', RAW, body(makeEnvelope('a')));
    await until('the waiter', () => t.channel.waiting === 1);
    client.socket.write('GET /version HTTP/1.1\r\nHost: x\r\n');
    await until('half a request', () => t.api.load().waiters === 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const closed = t.api.close();
    client.socket.write('\r\n');
    await client.gone;
    expect(client.text()).to.match(/^HTTP\/1\.1 503 /);
    expect(client.text()).to.include('"code":"shutting_down"');
    await waiting;
    await closed;
    expect(t.api.close()).to.equal(t.api.close());
  });

  it('cuts what does not end by itself', async () => {
    const half = await rawClient(t.api);
    half.socket.write(
      'POST /v1/channels/main/transactions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n',
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    const began = performance.now();
    await t.api.close();
    expect(performance.now() - began).to.be.lessThan(1500);
    await half.gone;
    const refused = connect(t.api.port, '127.0.0.1');
    await new Promise((resolve) => {
      refused.once('error', resolve);
    });
  });
});

describe('the server, configured', () => {
  const log = pino({ level: 'silent' });
  const host = '127.0.0.1';

  it('says which limit is wrong', async () => {
    const service = createMemoryService();
    const attempt = async (limits: object): Promise<string> => {
      try {
        await startApi({ host, port: 0, limits }, { service, log });
        return 'started';
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(await attempt({ waitMsDefault: 100_000 })).to.include('waitMsDefault (100000)');
    expect(await attempt({ bodyBytesInFlightMax: 60_000, bulkBytesMax: 10 })).to.match(
      /bodyBytesInFlightMax \(60000\) .* main/,
    );
    expect(await attempt({ waitersMax: 0 })).to.include('waitersMax');
    expect(await attempt({ deliverStallMsMax: 1.5 })).to.include('deliverStallMsMax');
  });

  it('reports an address that is taken', async () => {
    const service = createMemoryService();
    const first = await startApi({ host, port: 0 }, { service, log });
    let code: unknown;
    try {
      await startApi({ host, port: first.port }, { service, log });
    } catch (error) {
      code = (error as NodeJS.ErrnoException).code;
    }
    await first.close();
    expect(code).to.equal('EADDRINUSE');
  });

  it('logs requests when debugging, and faults always', async () => {
    const lines: { level: number; msg: string; status?: number; reqId?: string }[] = [];
    const debug = pino(
      { level: 'debug' },
      { write: (line: string) => lines.push(JSON.parse(line)) },
    );
    const service = createMemoryService();
    const api = await startApi({ host, port: 0 }, { service, log: debug });
    await (await fetch(`${api.url}/version`)).text();
    await until('a line', () => lines.some(({ msg }) => msg === 'request'));
    service.main.block = () => Promise.reject(new Error('disk on fire'));
    const error = await expectError(
      await fetch(`${api.url}/v1/channels/main/blocks/0`),
      500,
      'internal_error',
    );
    expect(error.message, 'faults stay inside').not.to.include('fire');
    const stream = await fetch(`${api.url}/v1/channels/main/deliver`);
    expect(((await stream.json()) as { code: string }).code).to.equal('internal_error');
    const fault = lines.find(({ level }) => level === 50);
    expect(fault?.reqId).to.equal(error.requestId);
    await api.close();
  });

  it('limits the rate only when asked to', async () => {
    const service = createMemoryService();
    const rateLimit = { requestsMax: 3, windowMs: 60_000 };
    const api = await startApi({ host, port: 0, rateLimit }, { service, log });
    for (let count = 0; count < 3; count += 1) {
      expect((await fetch(`${api.url}/version`)).status).to.equal(200);
    }
    await expectError(await fetch(`${api.url}/version`), 429, 'rate_limited');
    await api.close();
  });

  it('lets pages of listed origins in, and no others', async () => {
    const service = createMemoryService();
    const corsOrigins = ['https://app.example'];
    const api = await startApi({ host, port: 0, corsOrigins }, { service, log });
    const ask = (origin: string, method: string, headers: Record<string, string> = {}) =>
      fetch(`${api.url}/v1/channels`, { method, headers: { origin, ...headers } });
    const listed = await ask('https://app.example', 'GET');
    expect(listed.headers.get('access-control-allow-origin')).to.equal('https://app.example');
    const preflight = await ask('https://app.example', 'OPTIONS', {
      'access-control-request-method': 'POST',
    });
    expect(preflight.status).to.equal(204);
    expect(preflight.headers.get('access-control-allow-methods')).to.include('POST');
    const other = await ask('https://evil.example', 'GET');
    expect(other.headers.get('access-control-allow-origin')).to.equal(null);
    const stream = await fetch(`${api.url}/v1/channels/main/deliver`, {
      headers: { origin: 'https://app.example' },
    });
    expect(stream.headers.get('access-control-allow-origin')).to.equal('https://app.example');
    await stream.text();
    await api.close();
  });
});
