import { expect } from 'chai';
import type { ErrorBody, ErrorCode } from '../../api/errors.ts';
import { makeEnvelope } from '../support/memory-service.ts';
import { until } from '../support/until.ts';
import { body, expectError, rawClient, useApi } from './harness.ts';

const HEAD = 'GET /version HTTP/1.1\r\nHost: x\r\n';
const POST =
  'POST /v1/channels/main/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n';

describe('hostile connections', () => {
  const t = useApi({
    limits: {
      headersMsMax: 150,
      requestMsMax: 300,
      connectionCheckMs: 30,
      keepAliveMs: 200,
    },
  });

  /** Sends bytes, waits for the end of the connection and reads the answer. */
  async function exchange(
    bytes: string | Buffer,
  ): Promise<{ status: number; error: ErrorBody; text: string }> {
    const client = await rawClient(t.api);
    client.socket.write(bytes);
    await client.gone;
    const text = client.text();
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
    return {
      status,
      error: JSON.parse(text.slice(text.lastIndexOf('\r\n\r\n') + 4)) as ErrorBody,
      text,
    };
  }

  async function expectAnswer(
    bytes: string | Buffer,
    status: number,
    code: ErrorCode,
  ): Promise<void> {
    const answer = await exchange(bytes);
    expect(answer.error.code, JSON.stringify(bytes.toString().slice(0, 60))).to.equal(code);
    expect(answer.status).to.equal(status);
    expect(answer.error.requestId).to.match(/./);
    expect(answer.error.message).to.match(/\.$/);
  }

  async function stillAlive(): Promise<void> {
    const response = await t.post(
      'transactions',
      'application/octet-stream',
      body(makeEnvelope('a')),
    );
    expect(response.status).to.equal(202);
  }

  it('get an answer to what is not HTTP', async () => {
    for (const bytes of [
      'hello\r\n\r\n',
      '\0\0\0\0',
      'BREW / HTTP/1.1\r\n\r\n',
      `${HEAD}no colon\r\n\r\n`,
      'GET / HTTP/9.9\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    ]) {
      await expectAnswer(Buffer.from(bytes, 'latin1'), 400, 'malformed_http');
    }
    await stillAlive();
  });

  it('get an answer to framing that could smuggle a second request', async () => {
    await expectAnswer(
      `${POST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      'malformed_http',
    );
    await expectAnswer(
      `${POST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`,
      400,
      'malformed_http',
    );
    await expectAnswer(`${POST}Content-Length: -3\r\n\r\nabc`, 400, 'malformed_http');
    await expectAnswer(`${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400, 'malformed_http');
    await stillAlive();
  });

  it('get an answer to headers and URLs beyond the limits', async () => {
    await expectAnswer(`${HEAD}X: ${'a'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large');
    const long = `GET /v1/channels?${'a'.repeat(5000)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    await expectAnswer(long, 414, 'uri_too_long');
    await expectAnswer(
      `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
      431,
      'headers_too_large',
    );
    await expectAnswer('GET /version HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'malformed_http');
    await expectAnswer(
      'GET /v1/channels/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
      400,
      'malformed_url',
    );
    await expectAnswer(`${HEAD}Expect: magic\r\n\r\n`, 417, 'expectation_failed');
    await stillAlive();
  });

  it('are told to go on when they ask first', async () => {
    const client = await rawClient(t.api);
    const envelope = makeEnvelope('a');
    client.socket.write(
      `${POST}Content-Length: ${envelope.length}\r\nExpect: 100-continue\r\n\r\n`,
    );
    await until('100 Continue', () => client.text().startsWith('HTTP/1.1 100'));
    client.socket.write(envelope);
    await until('202', () => client.text().includes('HTTP/1.1 202'));
    client.socket.destroy();
  });

  it('that never finish are cut: no byte, half a header, half a body', async () => {
    const silent = await rawClient(t.api);
    const began = performance.now();
    await expectAnswer('GET /version HTTP/1.1\r\nHost', 408, 'request_timeout');
    await expectAnswer(`${POST}Content-Length: 100\r\n\r\nhalf`, 408, 'request_timeout');
    await expectAnswer(`${POST}Transfer-Encoding: chunked\r\n\r\n5\r\nab`, 408, 'request_timeout');
    await silent.gone;
    expect(performance.now() - began).to.be.lessThan(3000);
    expect(t.api.load().bodyBytes).to.equal(0);
    await stillAlive();
  });

  it('that drip one byte at a time are cut as well', async () => {
    const client = await rawClient(t.api);
    client.socket.write(`${POST}Content-Length: 100000\r\n\r\n`);
    const timer = setInterval(() => client.socket.write('x'), 10);
    await client.gone;
    clearInterval(timer);
    expect(client.text()).to.include('request_timeout');
    expect(t.api.load().bodyBytes).to.equal(0);
  });

  it('that close their side in mid-request leave nothing behind', async () => {
    for (const bytes of [HEAD, `${POST}Content-Length: 100\r\n\r\nhalf`]) {
      const client = await rawClient(t.api);
      client.socket.end(bytes);
      client.socket.resume();
      await client.gone;
    }
    const reset = await rawClient(t.api);
    reset.socket.write(`${POST}Content-Length: 100\r\n\r\nhalf`);
    await until('half a body', () => t.api.load().bodyBytes === 4);
    reset.socket.resetAndDestroy();
    await until('it is given back', () => t.api.load().bodyBytes === 0);
    await stillAlive();
  });

  it('get the answers to good requests before the garbage that follows', async () => {
    const client = await rawClient(t.api);
    client.socket.write(`${HEAD}\r\n`);
    await until('the answer', () => client.text().includes('"api":"v1"'));
    client.socket.write('garbage\r\n\r\n');
    await client.gone;
    expect(client.text().match(/HTTP\/1\.1 \d+/g)).to.deep.equal(['HTTP/1.1 200', 'HTTP/1.1 400']);
    const together = await rawClient(t.api);
    together.socket.write(`${HEAD}\r\n${HEAD}\r\n\0\0garbage\r\n\r\n`);
    await together.gone;
    await stillAlive();
  });

  it('cannot make the server believe in other routes or methods', async () => {
    await expectError(await t.get('/v2/channels'), 404, 'no_such_route');
    await expectError(await t.get('/v1/channels/main/'), 404, 'no_such_route');
    await expectError(await t.get('/openapiXjson'), 404, 'no_such_route');
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'POST']) {
      const response = await fetch(t.url('blocks/0'), { method });
      const error = await expectError(response, 405, 'method_not_allowed');
      expect(response.headers.get('allow')).to.equal('GET, HEAD');
      expect(error.message).to.include(method);
    }
    const get = await t.get('transactions');
    await expectError(get, 405, 'method_not_allowed');
    expect(get.headers.get('allow')).to.equal('POST');
    const head = await fetch(t.url('deliver'), { method: 'HEAD' });
    expect(head.status).to.equal(405);
    const propfind = await fetch(t.url('blocks/0'), { method: 'PROPFIND' });
    await expectError(propfind, 405, 'method_not_allowed');
  });
});

describe('too many connections', () => {
  const t = useApi({ limits: { connectionsMax: 5 } });

  it('are closed at once, and there is room again when one leaves', async () => {
    const open = [];
    for (let count = 0; count < 5; count += 1) {
      const client = await rawClient(t.api);
      client.socket.write(`${HEAD}\r\n`);
      await until('an answer', () => client.text().includes('HTTP/1.1 200'));
      open.push(client);
    }
    const surplus = await rawClient(t.api);
    await surplus.gone;
    expect(surplus.text()).to.equal('');
    open[0]?.socket.destroy();
    await open[0]?.gone;
    for (;;) {
      const client = await rawClient(t.api);
      client.socket.write(`${HEAD}Connection: close\r\n\r\n`);
      await client.gone;
      if (client.text().startsWith('HTTP/1.1 200')) break;
    }
    for (const client of open) client.socket.destroy();
  });
});
