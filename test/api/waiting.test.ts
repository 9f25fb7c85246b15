import { expect } from 'chai';
import { Value } from 'typebox/value';
import { QueuedSchema, ReceiptSchema } from '../../api/schemas.ts';
import { makeEnvelope, txIdOf } from '../support/memory-service.ts';
import { until } from '../support/until.ts';
import { body, expectError, rawClient, useApi } from './harness.ts';

const RAW = 'application/octet-stream';

describe('waiting for a commit', () => {
  const t = useApi({
    limits: {
      waitersMax: 5,
      bulkItemsMax: 5,
      headersMsMax: 300,
      requestMsMax: 300,
      connectionCheckMs: 50,
    },
  });

  it('answers 202 pending when the time passes, and the receipt when asked again', async () => {
    t.channel.hold();
    const envelope = makeEnvelope('a');
    const late = await t.post('transactions?wait=commit&timeoutMs=30', RAW, body(envelope));
    expect(late.status).to.equal(202);
    const answer = (await late.json()) as { next: string; status: string };
    expect(Value.Check(QueuedSchema, answer)).to.equal(true);
    expect(answer.status).to.equal('pending');
    expect(answer.next).to.equal(`/v1/channels/main/transactions/${txIdOf(envelope)}?wait=commit`);
    const asked = t.get(answer.next);
    await until('the waiter', () => t.channel.waiting === 1);
    t.channel.resume();
    const receipt: unknown = await (await asked).json();
    expect(Value.Check(ReceiptSchema, receipt)).to.equal(true);
    const now = await t.get(answer.next);
    expect(now.status).to.equal(200);
  });

  it('waits for a transaction that nobody has sent yet', async () => {
    const txId = '0'.repeat(64);
    const response = await t.get(`transactions/${txId}?wait=commit&timeoutMs=20`);
    expect(response.status).to.equal(202);
    expect(await response.json()).to.include({ txId, status: 'pending' });
  });

  it('forgets a client that leaves', async () => {
    t.channel.hold();
    const controller = new AbortController();
    const request = fetch(t.url('transactions?wait=commit'), {
      method: 'POST',
      body: body(makeEnvelope('a')),
      headers: { 'content-type': RAW },
      signal: controller.signal,
    }).catch(() => 'left');
    await until('the waiter', () => t.channel.waiting === 1);
    controller.abort();
    expect(await request).to.equal('left');
    await until('nobody waits', () => t.channel.waiting === 0 && t.api.load().waiters === 0);
  });

  it('forgets all pipelined requests of a connection that breaks', async () => {
    const client = await rawClient(t.api);
    const path = `/v1/channels/main/transactions/${'1'.repeat(64)}?wait=commit`;
    client.socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(4));
    await until('the waiters', () => t.channel.waiting === 4);
    client.socket.destroy();
    await until('nobody waits', () => t.channel.waiting === 0 && t.api.load().waiters === 0);
  });

  it('bounds the waiters, before anything is queued', async () => {
    t.channel.hold();
    const waiting = Array.from({ length: 5 }, (_, index) =>
      t.post('transactions?wait=commit', RAW, body(makeEnvelope(`${index}`))),
    );
    await until('five waiters', () => t.channel.waiting === 5);
    const pending = t.channel.info().transactionsPending;
    const refused = await t.post('transactions?wait=commit', RAW, body(makeEnvelope('x')));
    await expectError(refused, 503, 'too_many_waiters');
    expect(t.channel.info().transactionsPending).to.equal(pending);
    const unwaited = await t.post('transactions', RAW, body(makeEnvelope('y')));
    expect(unwaited.status).to.equal(202);
    t.channel.resume();
    for (const response of await Promise.all(waiting)) expect(response.status).to.equal(200);
  });

  it('does not count waiting as a slow request', async () => {
    t.channel.hold();
    const request = t.post('transactions?wait=commit&timeoutMs=5000', RAW, body(makeEnvelope('a')));
    await until('the waiter', () => t.channel.waiting === 1);
    // Longer than the time in which a request must have arrived (300 ms, looked at every 50).
    await new Promise((resolve) => setTimeout(resolve, 500));
    t.channel.resume();
    expect((await request).status).to.equal(200);
  });
});

describe('bodies in progress', () => {
  const t = useApi({
    envelopeBytesMax: 3000,
    limits: { bodySlackBytes: 1, bulkBytesMax: 4000, bodyBytesInFlightMax: 4100 },
  });

  it('arrive whole in however small pieces they come', async () => {
    const envelope = makeEnvelope(new Uint8Array(2_500).fill(7));
    const client = await rawClient(t.api);
    client.socket.write(
      `POST /v1/channels/main/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: ${RAW}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    for (let at = 0; at < envelope.length; at += 1 + (at % 3)) {
      const piece = Buffer.from(envelope.subarray(at, at + 1 + (at % 3)));
      client.socket.write(`${piece.length.toString(16)}\r\n`);
      client.socket.write(piece);
      client.socket.write('\r\n');
    }
    client.socket.write('0\r\n\r\n');
    await until('the answer', () => client.text().includes(txIdOf(envelope)));
    expect(client.text()).to.match(/^HTTP\/1\.1 202 /);
    client.socket.destroy();
  });

  it('are bounded together; who comes too much is told to come back', async () => {
    const first = await rawClient(t.api);
    const head = (length: number) =>
      `POST /v1/channels/main/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: ${RAW}\r\nContent-Length: ${length}\r\n\r\n`;
    first.socket.write(head(3000));
    first.socket.write(Buffer.alloc(2900));
    await until('the first body', () => t.api.load().bodyBytes === 2900);
    const refused = await t.post('transactions', RAW, new Uint8Array(2000));
    await expectError(refused, 429, 'overloaded');
    const small = await t.post('transactions', RAW, body(makeEnvelope('small')));
    expect(small.status).to.equal(202);
    first.socket.destroy();
    await until('the bytes are given back', () => t.api.load().bodyBytes === 0);
    const again = await t.post('transactions', RAW, new Uint8Array(2000));
    await expectError(again, 400, 'malformed_envelope');
  });
});
