import { expect } from 'chai';
import { Value } from 'typebox/value';
import { encodeFrames, FRAME_MEDIA_TYPE } from '../../api/framing.ts';
import type { BulkItemView } from '../../api/schemas.ts';
import { BulkSchema } from '../../api/schemas.ts';
import { makeEnvelope, txIdOf } from '../support/memory-service.ts';
import { body, expectError, useApi } from './harness.ts';

async function results(response: Response): Promise<BulkItemView[]> {
  const answer: unknown = await response.json();
  expect(Value.Errors(BulkSchema, answer), JSON.stringify(answer).slice(0, 500)).to.deep.equal([]);
  return (answer as { results: BulkItemView[] }).results;
}

describe('POST transactions: many', () => {
  const t = useApi({ limits: { bulkItemsMax: 10, waitersMax: 4 } });
  const send = (envelopes: readonly Uint8Array[], query = '') =>
    t.post(`transactions${query}`, FRAME_MEDIA_TYPE, body(encodeFrames(envelopes)));

  it('queues all of a sequence, in order', async () => {
    const envelopes = [makeEnvelope('a'), makeEnvelope('b'), makeEnvelope('c')];
    const response = await send(envelopes);
    expect(response.status).to.equal(202);
    const items = await results(response);
    expect(items.map((item) => 'txId' in item && item.txId)).to.deep.equal(envelopes.map(txIdOf));
    expect(items.every(({ httpStatus }) => httpStatus === 202)).to.equal(true);
  });

  it('answers 200 when all are committed, and 202 when one is not in time', async () => {
    const committed = await send([makeEnvelope('a'), makeEnvelope('b')], '?wait=commit');
    expect(committed.status).to.equal(200);
    expect((await results(committed)).map(({ status }) => status)).to.deep.equal([
      'committed',
      'committed',
    ]);
    t.channel.hold();
    const late = await send([makeEnvelope('c')], '?wait=commit&timeoutMs=20');
    expect(late.status).to.equal(202);
    expect((await results(late))[0]).to.include({ status: 'pending', httpStatus: 202 });
  });

  it('answers 207 when some are refused, each with its code', async () => {
    const good = makeEnvelope('a');
    const mixed = [
      good,
      new Uint8Array(0),
      good.subarray(0, 40),
      makeEnvelope('b', { channel: 'x' }),
    ];
    const response = await send(mixed);
    expect(response.status).to.equal(207);
    const items = await results(response);
    expect(items.map((item) => ('code' in item ? item.code : item.status))).to.deep.equal([
      'queued',
      'empty_envelope',
      'malformed_envelope',
      'wrong_channel',
    ]);
    expect(items.map(({ httpStatus }) => httpStatus)).to.deep.equal([202, 400, 400, 400]);
  });

  it('passes Retry-After on when an item met overload', async () => {
    t.channel.refuseNext({ code: 'overloaded', message: 'full', retryAfterMs: 4000 });
    const response = await send([makeEnvelope('a'), makeEnvelope('b')]);
    expect(response.status).to.equal(207);
    expect(response.headers.get('retry-after')).to.equal('4');
  });

  it('takes the JSON form', async () => {
    const envelopes = [makeEnvelope('a'), makeEnvelope('b')].map((bytes) =>
      Buffer.from(bytes).toString('base64'),
    );
    const response = await t.post(
      'transactions',
      'application/json',
      JSON.stringify({ envelopes }),
    );
    expect(response.status).to.equal(202);
    expect(await results(response)).to.have.length(2);
  });

  it('refuses a broken, empty or too long sequence whole', async () => {
    const frames = encodeFrames([makeEnvelope('a'), makeEnvelope('b')]);
    const broken = [
      frames.subarray(0, frames.length - 1),
      frames.subarray(0, frames.length / 2 + 2),
      Uint8Array.from([...frames, 0]),
      Uint8Array.from([0x80, 0, 0, 1, 0]),
      Uint8Array.from([0x7f, 0xff, 0xff, 0xff]),
    ];
    for (const bytes of broken) {
      const response = await t.post('transactions', FRAME_MEDIA_TYPE, body(bytes));
      await expectError(response, 400, 'malformed_body');
    }
    const empty = await t.post('transactions', FRAME_MEDIA_TYPE, new Uint8Array(0));
    await expectError(empty, 400, 'empty_body');
    const many = await send(Array.from({ length: 11 }, (_, index) => makeEnvelope(`${index}`)));
    await expectError(many, 413, 'too_many_items');
    const waiting = Array.from({ length: 5 }, (_, index) => makeEnvelope(`${index}`));
    await expectError(await send(waiting, '?wait=commit'), 413, 'too_many_items');
    const json = JSON.stringify({ envelopes: Array.from({ length: 11 }, () => 'AA==') });
    await expectError(
      await t.post('transactions', 'application/json', json),
      413,
      'too_many_items',
    );
    expect(t.channel.info().transactionsPending).to.equal(0);
  });
});
