import { expect } from 'chai';
import { Value } from 'typebox/value';
import { ERRORS } from '../../api/errors.ts';
import { QueuedSchema, ReceiptSchema } from '../../api/schemas.ts';
import { decodeBlock } from '../../ledger/format/index.ts';
import type { RefusalCode } from '../../orderer/service.ts';
import { makeEnvelope, txIdOf } from '../support/memory-service.ts';
import { until } from '../support/until.ts';
import { body, expectError, useApi } from './harness.ts';

const RAW = 'application/octet-stream';
const JSON_TYPE = 'application/json';

describe('POST transactions: one', () => {
  const t = useApi({ gateway: true });

  it('answers 202 with the transaction id and where to ask', async () => {
    const envelope = makeEnvelope('a');
    const response = await t.post('transactions', RAW, body(envelope));
    expect(response.status).to.equal(202);
    const answer: unknown = await response.json();
    expect(Value.Check(QueuedSchema, answer)).to.equal(true);
    const txId = txIdOf(envelope);
    expect(answer).to.deep.equal({ txId, duplicate: false, status: 'queued' });
    expect(response.headers.get('location')).to.equal(`/v1/channels/main/transactions/${txId}`);
  });

  it('waits for the receipt with wait=commit', async () => {
    const envelope = makeEnvelope('a');
    const response = await t.post('transactions?wait=commit', RAW, body(envelope));
    expect(response.status).to.equal(200);
    const receipt = (await response.json()) as Record<string, unknown>;
    expect(Value.Check(ReceiptSchema, receipt)).to.equal(true);
    expect(receipt).to.include({ blockNumber: 1, index: 0, status: 'committed', duplicate: false });
    expect(receipt.blockHash).to.equal(t.channel.info().tipHash);
    const stored = await t.channel.block(1);
    const block = decodeBlock(stored?.bytes ?? new Uint8Array(0));
    if (block.kind !== 'ok') throw new Error(block.reason);
    expect(Buffer.compare(block.value.data[0] ?? new Uint8Array(0), envelope)).to.equal(0);
  });

  it('takes a single envelope as application/x-protobuf and as JSON base64', async () => {
    const first = await t.post('transactions', 'application/x-protobuf', body(makeEnvelope('a')));
    expect(first.status).to.equal(202);
    const envelope = Buffer.from(makeEnvelope('b')).toString('base64');
    const type = 'Application/JSON; charset=utf-8';
    const second = await t.post('transactions', type, JSON.stringify({ envelope }));
    expect(second.status).to.equal(202);
  });

  it('lets the gateway sign data: a string as its bytes, other values as JSON', async () => {
    const cases: [unknown, string][] = [
      ['grüße', 'grüße'],
      [{ b: [1, null] }, '{"b":[1,null]}'],
      [0, '0'],
      [null, 'null'],
    ];
    for (const [data, text] of cases) {
      const sent = JSON.stringify({ data });
      const response = await t.post('transactions?wait=commit', JSON_TYPE, sent);
      expect(response.status, sent).to.equal(200);
      const block = (await (await t.get('blocks/newest')).json()) as {
        transactions: { text: string }[];
      };
      expect(block.transactions[0]?.text).to.equal(text);
    }
  });

  it('answers a resend: duplicate while queued, 409 once ordered, its receipt with wait=commit', async () => {
    const envelope = body(makeEnvelope('a'));
    t.channel.hold();
    await t.post('transactions', RAW, envelope);
    const again = await t.post('transactions', RAW, envelope);
    expect(again.status).to.equal(202);
    expect(await again.json()).to.include({ duplicate: true });
    t.channel.resume();
    const refused = await t.post('transactions', RAW, envelope);
    const error = await expectError(refused, 409, 'duplicate_transaction');
    const txId = txIdOf(envelope);
    expect(error.details).to.deep.equal({ location: { txId, blockNumber: 1, index: 0 } });
    const receipt = await t.post('transactions?wait=commit', RAW, envelope);
    expect(receipt.status).to.equal(200);
    expect(await receipt.json()).to.include({ duplicate: true, blockNumber: 1 });
  });

  it('never passes another envelope with the same id off as committed', async () => {
    const nonce = new Uint8Array(24).fill(7);
    const first = body(makeEnvelope('one', { nonce }));
    const second = body(makeEnvelope('two', { nonce }));
    t.channel.hold();
    await t.post('transactions', RAW, first);
    const whileQueued = t.post('transactions?wait=commit', RAW, second);
    await until('the second to wait', () => t.channel.waiting === 1);
    t.channel.resume();
    await expectError(await whileQueued, 409, 'duplicate_transaction');
    const later = await t.post('transactions?wait=commit', RAW, second);
    await expectError(later, 409, 'duplicate_transaction');
  });

  it('refuses what the orderer refuses, with the status of the table', async () => {
    for (const [code, { status }] of Object.entries(ERRORS).slice(0, 16)) {
      t.channel.refuseNext({ code: code as RefusalCode, message: 'because', retryAfterMs: 2500 });
      const response = await t.post('transactions', RAW, body(makeEnvelope('a')));
      const error = await expectError(response, status as number, code as RefusalCode);
      expect(error.message).to.equal('because');
      if (status === 429 || status === 503) {
        expect(response.headers.get('retry-after')).to.equal('3');
        expect(error.details).to.deep.equal({ retryAfterMs: 2500 });
      }
    }
  });

  it('refuses bad envelopes: empty, truncated, not canonical, other channel, wrong id', async () => {
    const good = makeEnvelope('a');
    const submit = (bytes: Uint8Array) => t.post('transactions', RAW, body(bytes));
    await expectError(await submit(new Uint8Array(0)), 400, 'empty_envelope');
    await expectError(await submit(good.subarray(0, good.length - 5)), 400, 'malformed_envelope');
    const extra = Uint8Array.from([...good, 0x7a, 0x00]);
    await expectError(await submit(extra), 400, 'not_canonical');
    await expectError(await submit(makeEnvelope('a', { channel: 'b' })), 400, 'wrong_channel');
    await expectError(await submit(makeEnvelope('a', { txId: '00' })), 400, 'bad_tx_id');
    expect(t.channel.info().transactionsPending).to.equal(0);
  });
});

describe('POST transactions: bad requests', () => {
  const t = useApi({ envelopeBytesMax: 2000, limits: { bodySlackBytes: 100, bulkBytesMax: 4000 } });
  const path = 'transactions';

  it('names the content types it takes', async () => {
    for (const type of [
      'text/plain',
      'multipart/form-data; boundary=x',
      '///',
      'application/xml',
    ]) {
      const response = await t.post(path, type, 'x');
      const error = await expectError(response, 415, 'unsupported_media_type');
      expect(error.message).to.include('application/octet-stream');
    }
    const untyped = await fetch(t.url(path), { method: 'POST', body: body(makeEnvelope('a')) });
    await expectError(untyped, 415, 'unsupported_media_type');
  });

  it('asks for a body', async () => {
    const response = await fetch(t.url(path), { method: 'POST' });
    await expectError(response, 400, 'empty_body');
  });

  it('refuses JSON that is broken, of the wrong form, or not base64', async () => {
    const cases: [string | Uint8Array<ArrayBuffer>, 'malformed_json' | 'malformed_body'][] = [
      ['', 'malformed_json'],
      ['{"envelope":', 'malformed_json'],
      ['{"envelope":"AA=="} x', 'malformed_json'],
      [Uint8Array.from([0x22, 0xff, 0xfe, 0x22]), 'malformed_json'],
      ['[]', 'malformed_body'],
      ['null', 'malformed_body'],
      ['7', 'malformed_body'],
      ['{}', 'malformed_body'],
      ['{"envelop":"AA=="}', 'malformed_body'],
      ['{"envelope":"AA==","data":1}', 'malformed_body'],
      ['{"__proto__":{"envelope":"AA=="}}', 'malformed_body'],
      ['{"envelope":5}', 'malformed_body'],
      ['{"envelope":"AA"}', 'malformed_body'],
      ['{"envelope":"A A="}', 'malformed_body'],
      ['{"envelope":"_-8="}', 'malformed_body'],
      ['{"envelopes":"AA=="}', 'malformed_body'],
      ['{"envelopes":["AA==",{}]}', 'malformed_body'],
    ];
    for (const [sent, code] of cases) {
      await expectError(await t.post(path, JSON_TYPE, sent), 400, code);
    }
  });

  it('says clearly that there is no gateway', async () => {
    const response = await t.post(path, JSON_TYPE, '{"data":"hello"}');
    await expectError(response, 403, 'gateway_disabled');
  });

  it('answers an oversize body, and the sender gets to read it', async () => {
    const large = new Uint8Array(2_000_000);
    const declared = await t.post(path, RAW, large);
    const error = await expectError(declared, 413, 'body_too_large');
    expect(error.details).to.deep.equal({ bytesMax: 2100 });
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(large.subarray(0, 1500));
        controller.enqueue(large.subarray(0, 1500));
        controller.close();
      },
    });
    const chunked = await fetch(t.url(path), {
      method: 'POST',
      body: stream,
      headers: { 'content-type': RAW },
      duplex: 'half',
    } as RequestInit);
    await expectError(chunked, 413, 'body_too_large');
  });

  it('lets the orderer refuse an envelope that only just fits the body limit', async () => {
    const response = await t.post(path, RAW, new Uint8Array(2050));
    await expectError(response, 413, 'envelope_too_large');
  });

  it('refuses unknown channels and parameters', async () => {
    const other = await t.post('/v1/channels/other/transactions', RAW, body(makeEnvelope('a')));
    await expectError(other, 404, 'no_such_channel');
    for (const query of [
      'wait=no',
      'wait',
      'wiat=commit',
      'timeoutMs=5',
      'wait=commit&wait=commit',
    ]) {
      const response = await t.post(`${path}?${query}`, RAW, body(makeEnvelope('a')));
      await expectError(response, 400, 'invalid_parameter');
    }
    for (const timeoutMs of ['-1', '1.5', 'x', '', '1e3', '60001', '99999999999999999999']) {
      const query = `wait=commit&timeoutMs=${timeoutMs}`;
      const response = await t.post(`${path}?${query}`, RAW, body(makeEnvelope('a')));
      await expectError(response, 400, 'invalid_parameter');
    }
    expect(t.channel.info()).to.include({ height: 1, transactionsPending: 0 });
  });
});

describe('POST transactions: large ones', () => {
  const t = useApi({ envelopeBytesMax: 10 * 1024 * 1024 });

  it('takes an envelope of the full size, as bytes and as base64', async () => {
    const room = 10 * 1024 * 1024 - 1024;
    const raw = await t.post(
      'transactions?wait=commit',
      RAW,
      body(makeEnvelope(new Uint8Array(room))),
    );
    expect(raw.status).to.equal(200);
    const envelope = Buffer.from(makeEnvelope(new Uint8Array(room))).toString('base64');
    const json = await t.post('transactions?wait=commit', JSON_TYPE, JSON.stringify({ envelope }));
    expect(json.status).to.equal(200);
    const block = await t.get('blocks/1', { accept: 'application/x-protobuf' });
    expect((await block.arrayBuffer()).byteLength).to.be.greaterThan(room);
  });
});
