import { expect } from 'chai';
import { Value } from 'typebox/value';
import {
  BlockSchema,
  type BlockView,
  ChannelSchema,
  ChannelsSchema,
  LocationSchema,
} from '../../api/schemas.ts';
import { checkBlockLinks, decodeBlock } from '../../ledger/format/index.ts';
import { sha256 } from '../support/hash.ts';
import { makeEnvelope, txIdOf } from '../support/memory-service.ts';
import { expectError, useApi } from './harness.ts';

const PROTOBUF = 'application/x-protobuf';

describe('GET blocks', () => {
  const t = useApi();
  const append = (...texts: string[]) => t.channel.append(texts.map((text) => makeEnvelope(text)));

  it('gives the readable form, all of it', async () => {
    const envelope = makeEnvelope('hello');
    t.channel.append([envelope]);
    const response = await t.get('blocks/1');
    expect(response.status).to.equal(200);
    const block = (await response.json()) as BlockView;
    expect(Value.Errors(BlockSchema, block)).to.deep.equal([]);
    expect(block.hash).to.equal(t.channel.info().tipHash);
    expect(block.certificate.signers).to.deep.equal([1]);
    expect(block.transactions).to.deep.equal([
      {
        index: 0,
        txId: txIdOf(envelope),
        type: 'ENDORSER_TRANSACTION',
        channel: 'main',
        timestamp: '2023-11-14T22:13:20.000Z',
        creator: { mspId: 'Org1MSP' },
        data: Buffer.from('hello').toString('base64'),
        text: 'hello',
      },
    ]);
    expect(block).not.to.have.property('raw');
  });

  it('adds the exact bytes with raw=true, and gives only them as protobuf', async () => {
    append('a', 'b');
    const stored = Buffer.from((await t.channel.block(1))?.bytes ?? []);
    const json = (await (await t.get('blocks/1?raw=true')).json()) as BlockView;
    expect(json.raw).to.equal(stored.toString('base64'));
    const binary = await t.get('blocks/1', { accept: PROTOBUF });
    expect(binary.headers.get('content-type')).to.equal(PROTOBUF);
    expect(Buffer.from(await binary.arrayBuffer()).equals(stored)).to.equal(true);
  });

  it('serves a chain that checks', async () => {
    append('a');
    append('b', 'c');
    let previous: Parameters<typeof checkBlockLinks>[1];
    for (let number = 0; number < 3; number += 1) {
      const bytes = await (await t.get(`blocks/${number}`, { accept: PROTOBUF })).arrayBuffer();
      const decoded = decodeBlock(new Uint8Array(bytes));
      if (decoded.kind === 'malformed') throw new Error(decoded.reason);
      expect(checkBlockLinks(decoded.value, previous, sha256)).to.deep.equal({ kind: 'ok' });
      previous = decoded.value.header;
    }
  });

  it('knows newest and oldest', async () => {
    append('a');
    append('b');
    for (const [name, number] of [
      ['newest', 2],
      ['oldest', 0],
    ] as const) {
      const response = await t.get(`blocks/${name}`);
      expect(response.headers.get('cache-control')).to.equal('no-cache');
      expect(((await response.json()) as BlockView).number).to.equal(number);
    }
  });

  it('shows binary data as base64 only', async () => {
    t.channel.append([makeEnvelope(Uint8Array.from([0, 1, 2]))]);
    const block = (await (await t.get('blocks/1')).json()) as BlockView;
    expect(block.transactions[0]).not.to.have.property('text');
  });

  it('may be cached for ever, form by form', async () => {
    append('a');
    const tags = new Set<string>();
    for (const [path, accept] of [
      ['blocks/1', 'application/json'],
      ['blocks/1', PROTOBUF],
      ['blocks/1?raw=true', 'application/json'],
    ] as const) {
      const first = await t.get(path, { accept });
      await first.arrayBuffer();
      expect(first.headers.get('cache-control')).to.include('immutable');
      const etag = first.headers.get('etag') ?? '';
      tags.add(etag);
      for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
        const again = await t.get(path, { accept, 'if-none-match': known });
        expect(again.status).to.equal(304);
        expect(await again.text()).to.equal('');
      }
      const other = await t.get(path, { accept, 'if-none-match': '"other"' });
      expect(other.status).to.equal(200);
      await other.arrayBuffer();
    }
    expect(tags.size).to.equal(3);
  });

  it('negotiates: quality, wildcards, nothing acceptable', async () => {
    const typeFor = async (accept: string) => {
      const response = await t.get('blocks/0', { accept });
      await response.arrayBuffer();
      return response.headers.get('content-type')?.split(';')[0];
    };
    expect(await typeFor('*/*')).to.equal('application/json');
    expect(await typeFor('text/html, application/*;q=0.5')).to.equal('application/json');
    expect(await typeFor('application/json;q=0.1, application/x-protobuf')).to.equal(PROTOBUF);
    expect(await typeFor('application/json;q=0, */*')).to.equal(PROTOBUF);
    const error = await t.get('blocks/0', { accept: 'text/html, image/*;q=0.9' });
    await expectError(error, 406, 'not_acceptable');
  });

  it('refuses numbers that are none, and blocks that do not exist', async () => {
    for (const number of [
      '-1',
      '1.0',
      '01',
      '0x1',
      'abc',
      '1e1',
      '%00',
      '99999999999999999999',
      '9007199254740993',
    ]) {
      await expectError(await t.get(`blocks/${number}`), 400, 'invalid_parameter');
    }
    for (const number of ['1', '4294967296', '9007199254740991']) {
      const error = await expectError(await t.get(`blocks/${number}`), 404, 'block_not_ready');
      expect(error.details).to.deep.equal({ number: Number(number), height: 1 });
    }
    await expectError(await t.get('blocks/0?raw=maybe'), 400, 'invalid_parameter');
    await expectError(await t.get('blocks/0?x=1'), 400, 'invalid_parameter');
    await expectError(await t.get('/v1/channels/none/blocks/0'), 404, 'no_such_channel');
  });

  it('answers HEAD without a body', async () => {
    const response = await fetch(t.url('blocks/0'), { method: 'HEAD' });
    expect(response.status).to.equal(200);
    expect(Number(response.headers.get('content-length'))).to.be.greaterThan(0);
  });

  it('reads a block once for many clients', async () => {
    append('a');
    await Promise.all(Array.from({ length: 20 }, async () => (await t.get('blocks/1')).text()));
    expect(t.channel.reads.get(1)).to.equal(1);
  });
});

describe('GET channels and transactions', () => {
  const t = useApi();

  it('lists channels and describes one', async () => {
    t.channel.append([makeEnvelope('a')]);
    const list: unknown = await (await t.get('/v1/channels')).json();
    expect(Value.Check(ChannelsSchema, list)).to.equal(true);
    expect(list).to.deep.equal({ channels: [{ channel: 'main', height: 2 }] });
    const one: unknown = await (await t.get('/v1/channels/main')).json();
    expect(Value.Errors(ChannelSchema, one)).to.deep.equal([]);
    expect(one).to.include({ height: 2, tipHash: t.channel.info().tipHash, gateway: false });
    await expectError(await t.get('/v1/channels/ma%2Fin'), 404, 'no_such_channel');
    await expectError(await t.get(`/v1/channels/${'x'.repeat(300)}`), 414, 'uri_too_long');
    await expectError(await t.get('/v1/channels?x=1'), 400, 'invalid_parameter');
  });

  it('says where a transaction is', async () => {
    const envelope = makeEnvelope('a');
    t.channel.append([makeEnvelope('b'), envelope]);
    const txId = txIdOf(envelope);
    const found: unknown = await (await t.get(`transactions/${txId}`)).json();
    expect(Value.Check(LocationSchema, found)).to.equal(true);
    const block = '/v1/channels/main/blocks/1';
    expect(found).to.deep.equal({ txId, status: 'committed', blockNumber: 1, index: 1, block });
  });

  it('refuses ids that are none, and knows what it does not have', async () => {
    await expectError(await t.get(`transactions/${'0'.repeat(64)}`), 404, 'no_such_transaction');
    for (const txId of ['abc', 'A'.repeat(64), 'g'.repeat(64), '0'.repeat(65)]) {
      await expectError(await t.get(`transactions/${txId}`), 400, 'invalid_parameter');
    }
  });
});
