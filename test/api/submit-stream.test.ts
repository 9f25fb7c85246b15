import { expect } from 'chai';
import { encodeFrames, FRAME_MEDIA_TYPE, frameHeader } from '../../api/framing.ts';
import { makeEnvelope, txIdOf } from '../support/memory-service.ts';
import { until } from '../support/until.ts';
import { body, expectError, useApi } from './harness.ts';
import { byItem, PATH, StreamClient } from './stream-client.ts';

describe('POST transactions/stream', () => {
  const t = useApi({
    envelopeBytesMax: 4_000,
    limits: { submitStreamsMax: 2, submitStreamItemsMax: 8, bodySlackBytes: 100 },
  });

  it('answers each envelope with its receipt, over one request for as long as it lasts', async () => {
    const client = new StreamClient(t);
    await client.opened();
    expect(client.response?.headers['content-type']).to.equal('application/x-ndjson');
    const first = [makeEnvelope('a'), makeEnvelope('b')];
    client.send(...first);
    const early = byItem(await client.results(2));
    expect(early.map((line) => 'txId' in line && line.txId)).to.deep.equal(first.map(txIdOf));
    expect(early.every(({ status }) => 'committed' === status)).to.equal(true);
    const later = makeEnvelope('c');
    client.send(later);
    const [, , third] = await client.results(3);
    expect(third).to.include({ item: 2, httpStatus: 200, txId: txIdOf(later) });
    expect(t.api.load().submitStreams).to.equal(1);
    client.request.end();
    await until('the end', () => client.ended);
    expect(client.lines).to.have.length(3);
  });

  it('tells what is known at once, whatever came before it', async () => {
    t.channel.hold();
    const client = new StreamClient(t);
    client.send(makeEnvelope('waits'), makeEnvelope('b', { channel: 'other' }));
    const [refused] = await client.results(1);
    expect(refused).to.include({ item: 1, httpStatus: 400, status: 'refused' });
    t.channel.append([makeEnvelope('of somebody else')]);
    client.send(makeEnvelope('c').subarray(0, 30));
    await client.results(2);
    t.channel.resume();
    const lines = await client.results(3);
    expect(lines.map(({ item }) => item)).to.deep.equal([1, 2, 0]);
    client.request.end();
    await until('the end', () => client.ended);
  });

  it('reads envelopes that arrive in any pieces, and heart-beats between them', async () => {
    const client = new StreamClient(t);
    const envelopes = [makeEnvelope('a'), makeEnvelope('b'), makeEnvelope('c')];
    const bytes = Buffer.concat([
      new Uint8Array(4),
      encodeFrames(envelopes.slice(0, 2)),
      new Uint8Array(8),
      encodeFrames(envelopes.slice(2)),
    ]);
    for (let offset = 0; offset < bytes.length; offset += 37) {
      client.request.write(bytes.subarray(offset, offset + 37));
      await new Promise((resolve) => setImmediate(resolve));
    }
    client.request.end();
    await until('the end', () => client.ended);
    const lines = byItem(await client.results(3));
    expect(lines.map((line) => 'txId' in line && line.txId)).to.deep.equal(envelopes.map(txIdOf));
  });

  it('takes a whole body as well, and an empty one', async () => {
    const whole = await t.post(PATH, FRAME_MEDIA_TYPE, body(encodeFrames([makeEnvelope('a')])));
    expect(JSON.parse(await whole.text())).to.include({ item: 0, status: 'committed' });
    const empty = await t.post(PATH, FRAME_MEDIA_TYPE, new Uint8Array(0));
    expect([empty.status, await empty.text()]).to.deep.equal([200, '']);
  });

  it('answers an envelope that comes again with its receipt, and another of its id with a refusal', async () => {
    const nonce = new Uint8Array(24).fill(7);
    const client = new StreamClient(t);
    t.channel.hold();
    client.send(makeEnvelope('one', { nonce }), makeEnvelope('one', { nonce }));
    await until('both are waited for', () => t.channel.waiting === 2);
    t.channel.resume();
    const together = byItem(await client.results(2));
    expect(together.map((line) => 'duplicate' in line && line.duplicate)).to.deep.equal([
      false,
      true,
    ]);
    client.send(makeEnvelope('one', { nonce }));
    expect((await client.results(3))[2]).to.include({ status: 'committed', duplicate: true });
    client.send(makeEnvelope('two', { nonce }));
    expect((await client.results(4))[3]).to.include({ code: 'duplicate_transaction' });
    client.request.end();
    await until('the end', () => client.ended);
  });

  it('says "pending" when the time for a commit is over, and goes on', async () => {
    t.channel.hold();
    const client = new StreamClient(t, '?timeoutMs=20');
    client.send(makeEnvelope('late'));
    expect((await client.results(1))[0]).to.include({ status: 'pending', httpStatus: 202 });
    t.channel.resume();
    client.send(makeEnvelope('in time'));
    expect((await client.results(2))[1]).to.include({ item: 1, status: 'committed' });
    client.request.end();
    await until('the end', () => client.ended);
  });

  it('answers what came before a broken frame, then says what is wrong and ends', async () => {
    const notice = Buffer.concat([frameHeader(3, 'notice'), Buffer.from('"x"')]);
    for (const [broken, code] of [
      [notice, 'malformed_body'],
      [frameHeader(2_000_000_000, 'message'), 'envelope_too_large'],
    ] as const) {
      const client = new StreamClient(t);
      client.request.write(Buffer.concat([encodeFrames([makeEnvelope('good')]), broken]));
      const last = await client.last();
      expect(last).to.include({ code });
      expect(last.details).to.include({ items: 1 });
      expect(client.lines[0]).to.include({ item: 0, status: 'committed' });
      client.request.end();
      await until('it is gone', () => t.api.load().submitStreams === 0);
    }
    const cut = new StreamClient(t);
    cut.request.end(encodeFrames([makeEnvelope('cut')]).subarray(0, 50));
    expect(await cut.last()).to.include({ code: 'malformed_body' });
  });

  it('refuses an envelope that is only a little too large by itself', async () => {
    const client = new StreamClient(t);
    client.send(new Uint8Array(4_050), makeEnvelope('good'));
    const lines = byItem(await client.results(2));
    expect(lines[0]).to.include({ code: 'envelope_too_large', httpStatus: 413 });
    expect(lines[1]).to.include({ status: 'committed' });
    client.request.end();
    await until('the end', () => client.ended);
  });

  it('is refused before it begins when it cannot be', async () => {
    const post = (path: string, type: string, accept = '*/*') =>
      fetch(t.url(path), {
        method: 'POST',
        body: new Uint8Array(0),
        headers: { 'content-type': type, accept },
      });
    await expectError(await post(PATH, 'application/json'), 415, 'unsupported_media_type');
    await expectError(await post(PATH, FRAME_MEDIA_TYPE, 'text/html'), 406, 'not_acceptable');
    await expectError(await post(`${PATH}?x=1`, FRAME_MEDIA_TYPE), 400, 'invalid_parameter');
    const elsewhere = '/v1/channels/other/transactions/stream';
    await expectError(await post(elsewhere, FRAME_MEDIA_TYPE), 404, 'no_such_channel');
    const open = [new StreamClient(t), new StreamClient(t)];
    for (const client of open) await client.opened();
    await expectError(await post(PATH, FRAME_MEDIA_TYPE), 503, 'too_many_streams');
    for (const client of open) client.request.end();
    await until('there is room', () => t.api.load().submitStreams === 0);
    expect((await post(PATH, FRAME_MEDIA_TYPE)).status).to.equal(200);
  });

  it('leaves what was taken in the queue when the client goes', async () => {
    t.channel.hold();
    const client = new StreamClient(t);
    const envelope = makeEnvelope('stays');
    client.send(envelope, makeEnvelope('half').subarray(0, 20));
    client.request.write(encodeFrames([makeEnvelope('cut')]).subarray(0, 20));
    await until('it waits', () => t.channel.waiting === 1);
    client.request.destroy();
    await until('it is forgotten', () => t.api.load().submitStreams === 0);
    expect(t.channel.info().transactionsPending).to.equal(1);
    t.channel.resume();
    const receipt = await t.get(`transactions/${txIdOf(envelope)}?wait=commit`);
    expect(receipt.status).to.equal(200);
  });

  it('ends when the replica orders nothing, with a word for all that was read', async () => {
    const client = new StreamClient(t);
    await client.opened();
    t.channel.refuseNext({ code: 'not_ready', message: 'no voice', retryAfterMs: 200 });
    client.send(makeEnvelope('a'));
    const last = await client.last();
    expect(last).to.include({ code: 'not_ready', message: 'no voice' });
    expect(last.details).to.deep.equal({ items: 1, retryAfterMs: 200 });
    expect(client.lines[0]).to.include({ item: 0, code: 'not_ready', httpStatus: 503 });
    client.request.end();
  });
});
