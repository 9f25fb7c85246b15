import { once } from 'node:events';
import { expect } from 'chai';
import { WebSocket } from 'ws';
import type { ErrorBody } from '../../api/errors.ts';
import type { BlockView } from '../../api/schemas.ts';
import { makeEnvelope } from '../support/memory-service.ts';
import { until } from '../support/until.ts';
import { type Harness, useApi } from './harness.ts';

interface Client {
  readonly socket: WebSocket;
  readonly messages: { data: Buffer; binary: boolean }[];
  readonly closed: Promise<{ code: number; reason: string }>;
}

function open(t: Harness, path: string, headers: Record<string, string> = {}): Client {
  const socket = new WebSocket(t.url(path).replace('http', 'ws'), { headers });
  const messages: Client['messages'] = [];
  socket.on('message', (data: Buffer, binary) => messages.push({ data, binary }));
  socket.on('error', () => {});
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  return { socket, messages, closed };
}

/** The HTTP answer to an upgrade that is refused. */
async function refused(
  t: Harness,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; code: string }> {
  const socket = new WebSocket(t.url(path).replace('http', 'ws'), { headers });
  socket.on('error', () => {});
  const [, response] = (await once(socket, 'unexpected-response')) as [
    unknown,
    AsyncIterable<Buffer> & { statusCode: number },
  ];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const { code } = JSON.parse(Buffer.concat(chunks).toString()) as ErrorBody;
  return { status: response.statusCode, code };
}

describe('deliver over a WebSocket', () => {
  const t = useApi({ limits: { deliverHeartbeatMs: 30, deliverStreamsMax: 2 } });
  const grow = (count: number) => {
    for (let index = 0; index < count; index += 1) t.channel.append([makeEnvelope(`${index}`)]);
  };

  it('sends a text message a block and closes with 1000', async () => {
    grow(2);
    const client = open(t, 'deliver?from=0');
    expect(await client.closed).to.deep.equal({ code: 1000, reason: 'end of range' });
    const blocks = client.messages.map(({ data }) => JSON.parse(data.toString()) as BlockView);
    expect(blocks.map(({ number }) => number)).to.deep.equal([0, 1, 2]);
    expect(client.messages.every(({ binary, data }) => !binary && data.at(-1) === 0x7d)).to.equal(
      true,
    );
  });

  it('sends binary protobuf with format=protobuf, and follows', async () => {
    const client = open(t, 'deliver?from=0&follow=true&format=protobuf');
    await until('block 0', () => client.messages.length === 1);
    grow(2);
    await until('block 2', () => client.messages.length === 3);
    for (const [number, { data, binary }] of client.messages.entries()) {
      const stored = await t.channel.block(number);
      expect(binary && Buffer.compare(data, stored?.bytes ?? new Uint8Array(0))).to.equal(0);
    }
    client.socket.close();
    await client.closed;
    await until('the stream to be forgotten', () => t.api.load().streams === 0);
  });

  it('answers bad requests with HTTP before it upgrades', async () => {
    expect(await refused(t, 'deliver?from=x')).to.deep.equal({
      status: 400,
      code: 'invalid_parameter',
    });
    expect(await refused(t, 'deliver?from=7')).to.deep.equal({
      status: 404,
      code: 'block_not_ready',
    });
    expect(await refused(t, '/v1/channels/none/deliver')).to.deep.equal({
      status: 404,
      code: 'no_such_channel',
    });
    expect(await refused(t, '/v1/channels')).to.deep.equal({
      status: 400,
      code: 'websocket_unsupported',
    });
    expect(await refused(t, '/nowhere')).to.deep.equal({ status: 404, code: 'no_such_route' });
  });

  it('refuses pages of other origins', async () => {
    const foreign = { origin: 'https://evil.example' };
    expect(await refused(t, 'deliver', foreign)).to.deep.equal({
      status: 403,
      code: 'origin_not_allowed',
    });
    const own = open(t, 'deliver', { origin: t.api.url });
    expect((await own.closed).code).to.equal(1000);
  });

  it('bounds streams together with the other carriers', async () => {
    const clients = [open(t, 'deliver?follow=true'), open(t, 'deliver?follow=true')];
    await until('two streams', () => t.api.load().streams === 2);
    expect(await refused(t, 'deliver')).to.deep.equal({ status: 503, code: 'too_many_streams' });
    for (const client of clients) client.socket.close();
    await Promise.all(clients.map(({ closed }) => closed));
  });

  it('closes with 1003 and a notice when the client speaks, 1009 when it speaks long', async () => {
    const client = open(t, 'deliver?follow=true');
    await until('block 0', () => client.messages.length === 1);
    client.socket.send('hello');
    expect(await client.closed).to.deep.equal({ code: 1003, reason: 'unexpected_message' });
    const notice = JSON.parse(client.messages.at(-1)?.data.toString() ?? '{}') as ErrorBody;
    expect(notice.code).to.equal('unexpected_message');
    const long = open(t, 'deliver?follow=true');
    await until('block 0', () => long.messages.length === 1);
    long.socket.send(Buffer.alloc(5000));
    expect((await long.closed).code).to.equal(1009);
  });

  it('drops a client that answers no ping', async () => {
    const client = open(t, 'deliver?follow=true');
    await until('block 0', () => client.messages.length === 1);
    client.socket.pause();
    await until('it is dropped', () => t.api.load().streams === 0);
    client.socket.resume();
    expect((await client.closed).code).to.equal(1006);
  });

  it('keeps a client that answers pings', async () => {
    const client = open(t, 'deliver?follow=true');
    let pings = 0;
    client.socket.on('ping', () => {
      pings += 1;
    });
    await until('six heart-beats', () => pings >= 6);
    expect(client.socket.readyState).to.equal(WebSocket.OPEN);
    client.socket.close();
    await client.closed;
  });

  it('closes with 1001 and where to resume when the server closes', async () => {
    const client = open(t, 'deliver?follow=true');
    await until('block 0', () => client.messages.length === 1);
    await t.api.close();
    expect(await client.closed).to.deep.equal({
      code: 1001,
      reason: 'shutting_down: resume from block 1',
    });
  });
});
