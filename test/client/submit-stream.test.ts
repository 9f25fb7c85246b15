import { expect } from 'chai';
import {
  ClientError,
  type ClientOptions,
  type SluiceClient,
  type StreamResult,
} from '../../api/client/index.ts';
import { FRAME_MEDIA_TYPE } from '../../api/framing.ts';
import type { Api } from '../../api/index.ts';
import { createTestChain, type TestChain } from '../support/chain.ts';
import { type ChainService, createChainService } from '../support/chain-service.ts';
import { serveQuietly } from '../support/serve.ts';
import { until } from '../support/until.ts';
import { clientFor, errorOf, TIMES } from './expecting.ts';
import {
  answer,
  type Behavior,
  type FaultyReplica,
  neverAnswer,
  resetConnection,
  startFaultyReplica,
} from './faulty-replica.ts';

/** Begins a stream of results, says these lines, and either ends or falls silent. */
function say(lines: readonly object[], ends = true): Behavior {
  return (request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.write(`\n${lines.map((line) => `${JSON.stringify(line)}\n`).join('')}`);
    if (ends) response.end();
  };
}

describe('client: submission stream', () => {
  let chain: TestChain;
  let service: ChainService;
  let api: Api;
  let faulty: FaultyReplica;

  const clientOf = (urls: readonly string[], options?: Partial<ClientOptions>): SluiceClient =>
    clientFor(chain, urls, options);

  function envelopes(count: number): Uint8Array[] {
    return Array.from({ length: count }, (_, index) => chain.envelope(`${index}`).envelope);
  }

  async function all(results: AsyncIterable<StreamResult>): Promise<StreamResult[]> {
    const found: StreamResult[] = [];
    for await (const result of results) found.push(result);
    return found.sort((a, b) => a.index - b.index);
  }

  function expectCommitted(results: readonly StreamResult[], count: number): void {
    expect(results.map(({ index }) => index)).to.deep.equal(
      Array.from({ length: count }, (_, i) => i),
    );
    for (const result of results) {
      if (result.kind !== 'committed') throw result.error;
      expect(result.receipt.signers).to.deep.equal([1, 2, 3]);
    }
  }

  before(async () => {
    chain = await createTestChain();
    service = createChainService(chain);
    api = await serveQuietly(service);
    faulty = await startFaultyReplica(resetConnection);
  });

  after(async () => {
    await faulty.close();
    await api.close();
  });

  beforeEach(() => {
    faulty.requests.length = 0;
  });

  it('submits any number, with a checked receipt for each', async () => {
    const sent = envelopes(40);
    const results = await all(clientOf([api.url]).submitStream(sent));
    expectCommitted(results, 40);
    for (const result of results) {
      if (result.kind !== 'committed') continue;
      const { blockNumber, index } = result.receipt;
      expect(chain.decoded(blockNumber).data[index]).to.deep.equal(sent[result.index]);
    }
    await until('the stream is closed', () => api.load().submitStreams === 0);
  });

  it('takes no more from its source than may be under way', async () => {
    let taken = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      for (const envelope of envelopes(20)) {
        taken++;
        yield envelope;
      }
    }
    service.hold();
    const results = all(clientOf([api.url]).submitStream(source(), { inFlightMax: 4 }));
    await until('four wait', () => service.channel('main')?.info().transactionsPending === 4);
    expect(taken).to.equal(4);
    service.resume();
    expectCommitted(await results, 20);
  });

  it('gives results as they come, and lets go when nobody wants more', async () => {
    let closed = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield chain.envelope('more').envelope;
      } finally {
        closed = true;
      }
    }
    let count = 0;
    for await (const result of clientOf([api.url]).submitStream(source(), { inFlightMax: 2 })) {
      expect(result.kind).to.equal('committed');
      count++;
      if (count === 5) break;
    }
    await until('the source is closed', () => closed);
    await until('the stream is closed', () => api.load().submitStreams === 0);
  });

  it('tells refusals one by one', async () => {
    const [good = new Uint8Array()] = envelopes(1);
    const other = await createTestChain({ channel: 'other' });
    const bad = [good.subarray(0, 40), other.envelope('x').envelope];
    const results = await all(
      clientOf([api.url]).submitStream([bad[0], good, bad[1]] as Uint8Array[]),
    );
    expect(results.map((one) => (one.kind === 'failed' ? one.error.code : one.kind))).to.deep.equal(
      ['malformed_envelope', 'committed', 'wrong_channel'],
    );
  });

  it('names the envelope that a replica cannot read on from, and goes on without it', async () => {
    const large = new Uint8Array(chain.config.batchSize.absoluteMaxBytes + 100_000);
    const [first, last] = envelopes(2) as [Uint8Array, Uint8Array];
    const results = await all(clientOf([api.url]).submitStream([first, large, last]));
    expect(results.map((one) => (one.kind === 'failed' ? one.error.code : one.kind))).to.deep.equal(
      ['committed', 'envelope_too_large', 'committed'],
    );
  });

  it('carries on at another replica after whatever a replica does', async () => {
    const receipt = { item: 0, httpStatus: 200, status: 'committed', txId: 'x' };
    const behaviors: Behavior[] = [
      resetConnection,
      answer(503, { code: 'too_many_streams', message: 'full' }),
      say([]),
      say([{ code: 'shutting_down', message: 'stopping', details: { items: 0 } }]),
      say([{ item: 0, httpStatus: 503, status: 'refused', code: 'not_ready', message: 'no' }]),
      say([{ item: 0, httpStatus: 202, status: 'pending' }]),
      say([receipt]),
      say([{ item: 99, status: 'committed' }]),
      say([{ item: 0, status: 'wonderful' }]),
    ];
    for (const behavior of behaviors) {
      faulty.next(behavior);
      const client = clientOf([faulty.url, api.url]);
      expectCommitted(await all(client.submitStream(envelopes(3))), 3);
    }
    expect(faulty.requests.length).to.be.at.least(behaviors.length);
  });

  it('leaves a replica that answers nothing', async () => {
    const times = { ...TIMES, attemptTimeoutMs: 50 };
    for (const behavior of [neverAnswer, say([], false)]) {
      faulty.next(behavior);
      const client = clientOf([faulty.url, api.url], { times });
      expectCommitted(await all(client.submitStream(envelopes(2))), 2);
    }
  });

  it('gives up envelopes at their deadline, and nothing else', async () => {
    faulty.next(answer(503, { code: 'not_ready', message: 'never' }));
    const results = await all(
      clientOf([faulty.url]).submitStream(envelopes(2), { timeoutMs: 100 }),
    );
    for (const result of results) {
      if (result.kind !== 'failed') throw new Error('committed?');
      expect(result.error).to.include({ code: 'deadline_exceeded', retryable: true });
      expect(result.error.message).to.include(faulty.url);
    }
    expect(results).to.have.length(2);
  });

  it('throws what its source throws, and what no replica would take', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield chain.envelope('one').envelope;
      throw new ClientError('malformed_key', 'no key');
    }
    const drain = (results: AsyncGenerator<StreamResult>) => errorOf(all(results));
    expect((await drain(clientOf([api.url]).submitStream(broken()))).code).to.equal(
      'malformed_key',
    );
    faulty.next(answer(404, { code: 'no_such_channel', message: 'none' }));
    const nowhere = await drain(clientOf([faulty.url]).submitStream(envelopes(1)));
    expect(nowhere.code).to.equal('no_such_channel');
    const none = await drain(clientOf([api.url]).submitStream([], { inFlightMax: 0 }));
    expect(none.code).to.equal('invalid_argument');
  });

  it('stops when the caller says so', async () => {
    service.hold();
    const controller = new AbortController();
    const { signal } = controller;
    const results = errorOf(all(clientOf([api.url]).submitStream(envelopes(2), { signal })));
    await until('two wait', () => service.channel('main')?.info().transactionsPending === 2);
    controller.abort();
    expect((await results).code).to.equal('aborted');
    service.resume();
    await until('the stream is closed', () => api.load().submitStreams === 0);
  });

  it('keeps a stream open that has nothing to say', async () => {
    let more: (envelope: Uint8Array) => void = () => {};
    async function* source(): AsyncGenerator<Uint8Array> {
      yield chain.envelope('first').envelope;
      yield await new Promise<Uint8Array>((resolve) => {
        more = resolve;
      });
    }
    const beats: string[] = [];
    faulty.next((request, response) => {
      expect(request.headers['content-type']).to.equal(FRAME_MEDIA_TYPE);
      request.on('data', (chunk: Buffer) => beats.push(chunk.toString('hex')));
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      response.write('\n');
    });
    const times = { ...TIMES, heartbeatMs: 10 };
    const client = clientOf([faulty.url, api.url], { times });
    const results = all(client.submitStream(source()));
    await until('heart-beats', () => beats.filter((beat) => beat === '00000000').length > 2);
    faulty.next(resetConnection);
    more(chain.envelope('second').envelope);
    expectCommitted(await results, 2);
  });
});
