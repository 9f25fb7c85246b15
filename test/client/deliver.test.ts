import { expect } from 'chai';
import type { ClientOptions, SluiceClient } from '../../api/client/index.ts';
import { encodeFrames, frameHeader } from '../../api/framing.ts';
import type { Api } from '../../api/index.ts';
import { createTestChain, type TestChain } from '../support/chain.ts';
import { type ChainService, createChainService } from '../support/chain-service.ts';
import { serveQuietly } from '../support/serve.ts';
import { clientFor, errorOf, TIMES } from './expecting.ts';
import {
  type Behavior,
  type FaultyReplica,
  resetConnection,
  startFaultyReplica,
} from './faulty-replica.ts';

/**
 * Answers with these bytes and ends well, or breaks the connection after them, or keeps it open.
 */
function stream(bytes: Uint8Array, end: 'end' | 'reset' | 'open'): Behavior {
  return (_, response) => {
    response.writeHead(200, { 'content-type': 'application/x-protobuf-seq' });
    response.write(bytes, () => {
      if (end === 'end') response.end();
      if (end === 'reset') response.socket?.destroy();
    });
  };
}

describe('client: deliver, blocks and transactions', () => {
  let chain: TestChain;
  let service: ChainService;
  let api: Api;
  let faulty: FaultyReplica;

  const clientOf = (urls: readonly string[], options?: Partial<ClientOptions>): SluiceClient =>
    clientFor(chain, urls, options);

  async function numbers(
    client: SluiceClient,
    range: Parameters<SluiceClient['deliver']>[0],
    count = Number.POSITIVE_INFINITY,
  ): Promise<number[]> {
    const seen: number[] = [];
    for await (const { number } of client.deliver(range)) {
      seen.push(number);
      if (seen.length >= count) break;
    }
    return seen;
  }

  beforeEach(async () => {
    chain = await createTestChain({ blocks: 5, transactions: 2 });
    service = createChainService(chain);
    api = await serveQuietly(service);
    faulty = await startFaultyReplica(resetConnection);
  });

  afterEach(async () => {
    await faulty.close();
    await api.close();
  });

  it('gives every block once, checked, the genesis block by its hash', async () => {
    const blocks = [];
    for await (const block of clientOf([api.url]).deliver({ from: 0 })) blocks.push(block);
    expect(blocks.map(({ number }) => number)).to.deep.equal([0, 1, 2, 3, 4, 5]);
    expect(blocks[0]?.signers).to.deep.equal([]);
    expect(blocks[3]?.signers).to.deep.equal([1, 2, 3]);
    expect(blocks[3]?.bytes).to.deep.equal(chain.blocks[3]);
    expect(await numbers(clientOf([api.url]), { from: 2, to: 4 })).to.deep.equal([2, 3, 4]);
  });

  it('follows: blocks come as they are cut', async () => {
    const seen = numbers(clientOf([api.url]), { from: 4, follow: true }, 4);
    service.append([chain.envelope('new').envelope]);
    service.append([chain.envelope('newer').envelope]);
    expect(await seen).to.deep.equal([4, 5, 6, 7]);
  });

  it('goes on at another replica after a cut connection, without gap or repeat', async () => {
    const part = encodeFrames(chain.blocks.slice(0, 3));
    faulty.next(stream(part.subarray(0, part.length - 10), 'reset'));
    expect(await numbers(clientOf([faulty.url, api.url]), { from: 0 })).to.deep.equal([
      0, 1, 2, 3, 4, 5,
    ]);
  });

  it('goes on at another replica when one serves a block that does not hold', async () => {
    const bad = [...chain.blocks];
    const tampered = (bad[2] as Uint8Array).slice();
    tampered[60] = (tampered[60] ?? 0) ^ 1;
    bad[2] = tampered;
    faulty.next(stream(encodeFrames(bad), 'end'));
    const client = clientOf([faulty.url, api.url]);
    expect(await numbers(client, { from: 0 })).to.deep.equal([0, 1, 2, 3, 4, 5]);
    const alone = clientOf([faulty.url], { times: { ...TIMES, timeoutMs: 100 } });
    const error = await errorOf(numbers(alone, { from: 0 }));
    expect(error.code).to.equal('deadline_exceeded');
    expect(error.causes[0]?.code).to.equal('bad_block');
  });

  it('takes neither a fork nor a skipped block', async () => {
    const other = await createTestChain({ blocks: 5 });
    for (const blocks of [
      [...chain.blocks.slice(0, 2), ...other.blocks.slice(2)],
      [...chain.blocks.slice(0, 2), ...chain.blocks.slice(3)],
      other.blocks,
    ]) {
      faulty.next(stream(encodeFrames(blocks), 'end'));
      const client = clientOf([faulty.url], { times: { ...TIMES, timeoutMs: 50 } });
      expect((await errorOf(numbers(client, { from: 0 }))).causes[0]?.code).to.equal('bad_block');
    }
  });

  it('asks another replica when one is silent, since it may withhold blocks', async () => {
    faulty.next(stream(encodeFrames(chain.blocks.slice(0, 2)), 'open'));
    const client = clientOf([faulty.url, api.url], { times: { ...TIMES, idleMs: 60 } });
    expect(await numbers(client, { from: 0, follow: true }, 6)).to.deep.equal([0, 1, 2, 3, 4, 5]);
  });

  it('is not held by a block that never arrives whole', async () => {
    const header = frameHeader(1_000, 'message');
    faulty.next((_, response) => {
      response.writeHead(200);
      response.write(header);
      const timer = setInterval(() => response.write(new Uint8Array(1)), 10);
      response.on('close', () => clearInterval(timer));
    });
    const client = clientOf([faulty.url, api.url], { times: { ...TIMES, idleMs: 60 } });
    expect(await numbers(client, { from: 0, to: 1 })).to.deep.equal([0, 1]);
  });

  it('says at once when no replica has the first block that was asked for', async () => {
    const error = await errorOf(numbers(clientOf([api.url]), { from: 99 }));
    expect(error).to.include({ code: 'block_not_ready', retryable: true });
  });

  it('stops when the caller says so', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const reading = (async () => {
      const range = { from: 0, follow: true, signal: controller.signal };
      for await (const { number } of clientOf([api.url]).deliver(range)) {
        seen.push(number);
        if (number === 5) controller.abort();
      }
    })();
    expect((await errorOf(reading)).code).to.equal('aborted');
    expect(seen).to.have.length(6);
  });

  it('gives up when all replicas are gone', async () => {
    const client = clientOf([faulty.url], { times: { ...TIMES, timeoutMs: 60 } });
    const error = await errorOf(numbers(client, { from: 0, follow: true }));
    expect(error.code).to.equal('deadline_exceeded');
    expect(error.message).to.include('block 0').and.to.include(faulty.url);
  });

  it('looks up blocks, transactions and information', async () => {
    const client = clientOf([faulty.url, api.url]);
    expect((await client.block(2))?.hash).to.be.a('string');
    expect(await clientOf([api.url]).block(99)).to.equal(undefined);
    const { envelope, txId } = chain.envelope('find me');
    await client.submit(envelope);
    expect(await client.transaction(txId)).to.include({ txId, blockNumber: 6, proof: 'block' });
    expect(await clientOf([api.url]).transaction('00'.repeat(32))).to.equal(undefined);
    expect(await client.info()).to.include({ channel: 'main', height: 7 });
  });
});
