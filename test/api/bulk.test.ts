import { expect } from 'chai';
import { Value } from 'typebox/value';
import { encodeFrames, FRAME_MEDIA_TYPE } from '../../api/framing.ts';
import type { BulkItemView, BulkView, CommittedView } from '../../api/schemas.ts';
import { BulkSchema } from '../../api/schemas.ts';
import { makeEnvelope, txIdOf } from '../support/memory-service.ts';
import { until } from '../support/until.ts';
import { body, expectError, useApi } from './harness.ts';

async function answerOf(response: Response): Promise<BulkView> {
  const answer: unknown = await response.json();
  expect(Value.Errors(BulkSchema, answer), JSON.stringify(answer).slice(0, 500)).to.deep.equal([]);
  return answer as BulkView;
}

async function results(response: Response): Promise<BulkItemView[]> {
  return (await answerOf(response)).results;
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
    const { results: items, blocks } = await answerOf(late);
    expect(items[0]).to.include({ status: 'pending', httpStatus: 202 });
    expect(blocks).to.deep.equal([]);
  });

  it('has what makes receipts of its results once for each block', async () => {
    const old = makeEnvelope('old');
    expect((await send([old], '?wait=commit')).status).to.equal(200);
    t.channel.hold();
    const sent = [makeEnvelope('a'), old, makeEnvelope('b')];
    const coming = send(sent, '?wait=commit');
    await until('two are queued', () => t.channel.info().transactionsPending === 2);
    t.channel.resume();
    const { results: items, blocks } = await answerOf(await coming);
    const inBlock = items.map((item) => 'index' in item && [item.blockNumber, item.index]);
    expect(inBlock).to.deep.equal([
      [2, 0],
      [1, 0],
      [2, 1],
    ]);
    expect(blocks.map(({ blockNumber }) => blockNumber)).to.have.members([1, 2]);
    for (const [place, item] of items.entries()) {
      const { httpStatus, duplicate, ...rest } = item as CommittedView & { httpStatus: number };
      expect([httpStatus, duplicate]).to.deep.equal([200, place === 1]);
      const block = blocks.find(({ blockNumber }) => blockNumber === rest.blockNumber);
      const alone = await t.get(`transactions/${rest.txId}?wait=commit`);
      expect(await alone.json()).to.deep.equal({ duplicate: false, ...rest, ...block });
    }
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
