import { expect } from 'chai';
import { createFrameReader, FRAME_MEDIA_TYPE, type Frame } from '../../api/framing.ts';
import type { BlockView } from '../../api/schemas.ts';
import { makeEnvelope } from '../support/memory-service.ts';
import { until } from '../support/until.ts';
import { expectError, rawClient, useApi } from './harness.ts';

const SSE = 'text/event-stream';

function lines(text: string): BlockView[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as BlockView);
}

/** Collects a stream in the background. */
function collect(response: Response): { text(): string; ended: Promise<void>; cancel(): void } {
  const reader = response.body?.getReader();
  if (reader === undefined) throw new Error('no body');
  const decoder = new TextDecoder();
  let text = '';
  const run = async (): Promise<void> => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
    }
  };
  return { text: () => text, ended: run(), cancel: () => void reader.cancel() };
}

describe('deliver', () => {
  const t = useApi({ limits: { deliverHeartbeatMs: 30, deliverStreamsMax: 3 } });
  const grow = (count: number) => {
    for (let index = 0; index < count; index += 1) t.channel.append([makeEnvelope(`${index}`)]);
  };
  const numbers = (text: string) => lines(text).map(({ number }) => number);

  it('gives the newest block by default, and ends', async () => {
    grow(2);
    const response = await t.get('deliver');
    expect(response.headers.get('content-type')).to.equal('application/x-ndjson');
    expect(numbers(await response.text())).to.deep.equal([2]);
  });

  it('gives a range, to the present end or to its own', async () => {
    grow(40);
    const all = Array.from({ length: 41 }, (_, number) => number);
    const from = async (query: string) => numbers(await (await t.get(`deliver?${query}`)).text());
    expect(await from('from=0')).to.deep.equal(all);
    expect(await from('from=oldest&to=newest')).to.deep.equal(all);
    expect(await from('from=38')).to.deep.equal([38, 39, 40]);
    expect(await from('from=3&to=4')).to.deep.equal([3, 4]);
    expect(await from('from=3&to=3&follow=true')).to.deep.equal([3]);
  });

  it('follows, with heart-beats while nothing happens', async () => {
    const stream = collect(await t.get('deliver?from=0&follow=true'));
    await until('block 0 and a heart-beat', () => stream.text().endsWith('\n\n'));
    grow(1);
    await until('block 1', () => lines(stream.text()).length === 2);
    grow(2);
    await until('block 3', () => lines(stream.text()).length === 4);
    expect(numbers(stream.text())).to.deep.equal([0, 1, 2, 3]);
    stream.cancel();
    await until('the stream to be forgotten', () => t.api.load().streams === 0);
  });

  it('follows up to a block that does not exist yet', async () => {
    const stream = collect(await t.get('deliver?from=2&to=3&follow=true'));
    grow(5);
    await stream.ended;
    expect(numbers(stream.text())).to.deep.equal([2, 3]);
  });

  it('fails at once for blocks that do not exist, without follow', async () => {
    grow(1);
    for (const query of ['from=2', 'from=0&to=2', 'from=9007199254740991', 'from=5&to=7']) {
      const response = await t.get(`deliver?${query}`);
      const error = await expectError(response, 404, 'block_not_ready');
      expect(error.details?.height).to.equal(2);
    }
  });

  it('refuses ranges and parameters that make no sense', async () => {
    grow(3);
    for (const query of ['from=2&to=1', 'from=newest&to=oldest', 'from=9&to=1&follow=true']) {
      await expectError(await t.get(`deliver?${query}`), 400, 'bad_range');
    }
    const bad = [
      'from=-1',
      'from=x',
      'to=1.5',
      'from=99999999999999999999',
      'follow=yes',
      'follow',
      'format=xml',
      'from=1&from=2',
      'form=1',
    ];
    for (const query of bad) {
      await expectError(await t.get(`deliver?${query}`), 400, 'invalid_parameter');
    }
    await expectError(await t.get('/v1/channels/none/deliver'), 404, 'no_such_channel');
    const html = await t.get('deliver', { accept: 'text/html' });
    await expectError(html, 406, 'not_acceptable');
  });

  it('streams length-prefixed protobuf: exact blocks, heart-beats of length 0', async () => {
    grow(2);
    const response = await t.get('deliver?from=0&follow=true', { accept: FRAME_MEDIA_TYPE });
    expect(response.headers.get('content-type')).to.equal(FRAME_MEDIA_TYPE);
    const reader = response.body?.getReader();
    if (reader === undefined) throw new Error('no body');
    const frames = createFrameReader(1_000_000);
    const seen: Frame[] = [];
    while (!seen.some(({ kind }) => kind === 'heartbeat')) {
      const { value } = await reader.read();
      const read = frames.push(value ?? new Uint8Array(0));
      if (read.kind === 'malformed') throw new Error(read.reason);
      seen.push(...read.value);
    }
    await reader.cancel();
    const blocks = seen.flatMap((frame) => (frame.kind === 'message' ? [frame.bytes] : []));
    expect(blocks).to.have.length(3);
    for (const [number, bytes] of blocks.entries()) {
      const stored = await t.channel.block(number);
      expect(Buffer.compare(bytes, stored?.bytes ?? new Uint8Array(0))).to.equal(0);
    }
    const byFormat = await t.get('deliver?format=protobuf');
    expect(byFormat.headers.get('content-type')).to.equal(FRAME_MEDIA_TYPE);
    await byFormat.arrayBuffer();
  });

  it('streams server-sent events that resume after Last-Event-ID', async () => {
    grow(3);
    const first = await (await t.get('deliver?from=0&to=1', { accept: SSE })).text();
    const ids = [...first.matchAll(/^id: (\d+)\nevent: block\ndata: (.*)\n\n/gm)];
    expect(ids.map(([, id]) => id)).to.deep.equal(['0', '1']);
    expect((JSON.parse(ids[1]?.[2] ?? '{}') as BlockView).number).to.equal(1);
    expect(first.startsWith('retry: ')).to.equal(true);
    const resumed = await t.get('deliver?from=0', { accept: SSE, 'last-event-id': '1' });
    const rest = [...(await resumed.text()).matchAll(/^id: (\d+)$/gm)].map(([, id]) => id);
    expect(rest).to.deep.equal(['2', '3']);
    for (const query of ['from=0', 'from=0&to=3']) {
      const done = await t.get(`deliver?${query}`, { accept: SSE, 'last-event-id': '3' });
      expect(done.status, 'tells an EventSource to stop').to.equal(204);
    }
    const bad = await t.get('deliver', { accept: SSE, 'last-event-id': 'x' });
    await expectError(bad, 400, 'invalid_parameter');
    const beat = collect(await t.get('deliver?follow=true', { accept: SSE }));
    await until('a comment', () => beat.text().includes('\n: heartbeat\n\n'));
    beat.cancel();
  });

  it('serves HTTP/1.0, where the end of the stream is the end of the connection', async () => {
    const client = await rawClient(t.api);
    client.socket.write('GET /v1/channels/main/deliver HTTP/1.0\r\n\r\n');
    await client.gone;
    expect(numbers(client.text().split('\r\n\r\n')[1] ?? '')).to.deep.equal([0]);
  });

  it('keeps the connection for the next request when a range is complete', async () => {
    const client = await rawClient(t.api);
    const request = 'GET /v1/channels/main/deliver HTTP/1.1\r\nHost: x\r\n\r\n';
    client.socket.write(request);
    await until('the first answer', () => client.text().endsWith('\r\n0\r\n\r\n'));
    client.socket.write(request);
    await until('the second', () => client.text().split('HTTP/1.1 200').length === 3);
    client.socket.destroy();
  });

  it('bounds the number of streams', async () => {
    const open = await Promise.all(
      Array.from({ length: 3 }, async () => collect(await t.get('deliver?follow=true'))),
    );
    await expectError(await t.get('deliver'), 503, 'too_many_streams');
    for (const stream of open) stream.cancel();
    await until('room', () => t.api.load().streams === 0);
    expect((await t.get('deliver')).status).to.equal(200);
  });

  it('shares one reading of a block among its followers', async () => {
    const streams = await Promise.all(
      Array.from({ length: 3 }, async () => collect(await t.get('deliver?follow=true'))),
    );
    grow(1);
    await until('all', () => streams.every((stream) => lines(stream.text()).length === 2));
    expect(t.channel.reads.get(1)).to.equal(1);
    for (const stream of streams) stream.cancel();
  });

  it('ends with a reason when the server closes', async () => {
    const stream = collect(await t.get('deliver?from=0&follow=true'));
    const events = collect(await t.get('deliver?from=0&follow=true', { accept: SSE }));
    await until('block 0', () => lines(stream.text()).length === 1);
    await until('event 0', () => events.text().includes('id: 0'));
    await t.api.close();
    await stream.ended;
    await events.ended;
    const last = lines(stream.text()).at(-1);
    expect(last).to.deep.include({ code: 'shutting_down', details: { next: 1 } });
    expect(events.text()).to.match(/event: end\ndata: \{"code":"shutting_down".*\}\n\n$/);
  });
});

describe('pipelined deliver requests', () => {
  const t = useApi({ limits: { deliverHeartbeatMs: 30 } });
  const request = 'GET /v1/channels/main/deliver HTTP/1.1\r\nHost: x\r\n\r\n';

  it('are answered one after the other', async () => {
    const client = await rawClient(t.api);
    client.socket.write(request.repeat(15));
    await until('all answers', () => client.text().split('\r\n0\r\n\r\n').length === 16);
    client.socket.destroy();
  });

  it('are all forgotten when the connection breaks', async () => {
    const client = await rawClient(t.api);
    client.socket.write(request.replace('deliver', 'deliver?follow=true').repeat(15));
    await until('streams', () => t.api.load().streams >= 1);
    client.socket.destroy();
    await until('no stream', () => t.api.load().streams === 0);
  });
});
