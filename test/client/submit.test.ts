import { expect } from 'chai';
import {
  buildEnvelope,
  ClientError,
  type ClientOptions,
  type SluiceClient,
  type SubmitOptions,
} from '../../api/client/index.ts';
import type { Api } from '../../api/index.ts';
import { decodeBlockHeader, encodeBlockHeader } from '../../ledger/format/index.ts';
import { createTestChain, issueWriter, type TestChain } from '../support/chain.ts';
import { type ChainService, createChainService } from '../support/chain-service.ts';
import { serveQuietly } from '../support/serve.ts';
import { clientFor, errorOf, TIMES } from './expecting.ts';
import {
  answer,
  type FaultyReplica,
  forwardTo,
  neverAnswer,
  resetConnection,
  startFaultyReplica,
} from './faulty-replica.ts';

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

describe('client: submit', () => {
  let chain: TestChain;
  let service: ChainService;
  let api: Api;
  let faulty: FaultyReplica;

  const clientOf = (urls: readonly string[], options?: Partial<ClientOptions>): SluiceClient =>
    clientFor(chain, urls, options);

  /** Submits a fresh transaction to the faulty replica first, the good one second. */
  async function throughFaulty(options: SubmitOptions = {}) {
    const { envelope, txId } = chain.envelope('data');
    const result = await clientOf([faulty.url, api.url]).submit(envelope, options);
    if (result.kind !== 'committed') throw new Error('not committed');
    expect(result.receipt.txId).to.equal(txId);
    return result.receipt;
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

  it('waits for the receipt and checks it', async () => {
    const { envelope, txId } = chain.envelope('hello');
    const result = await clientOf([api.url]).submit(envelope);
    if (result.kind !== 'committed') throw new Error('not committed');
    const { receipt } = result;
    expect(receipt).to.include({ txId, index: 0, proof: 'certificate', url: api.url });
    expect(receipt.signers).to.deep.equal([1, 2, 3]);
    expect(chain.decoded(receipt.blockNumber).data[receipt.index]).to.deep.equal(envelope);
  });

  it('looks for the transaction in the block when asked to', async () => {
    const { envelope } = chain.envelope('proven');
    const result = await clientOf([api.url]).submit(envelope, { proof: 'block' });
    expect(result.kind === 'committed' && result.receipt.proof).to.equal('block');
  });

  it('is content with a queue place when asked to', async () => {
    const { envelope, txId } = chain.envelope('queued');
    const result = await clientOf([api.url]).submit(envelope, { wait: 'queued' });
    expect(result).to.deep.equal({ kind: 'queued', txId, url: api.url });
  });

  it('takes a transaction that is ordered already for a success', async () => {
    const { envelope } = chain.envelope('twice');
    const client = clientOf([api.url]);
    const first = await client.submit(envelope);
    const second = await client.submit(envelope);
    if (first.kind !== 'committed' || second.kind !== 'committed') throw new Error('not committed');
    expect(second.receipt.blockNumber).to.equal(first.receipt.blockNumber);
  });

  it('fetches the receipt itself when a replica only says duplicate', async () => {
    const { envelope } = chain.envelope('only said');
    await clientOf([api.url]).submit(envelope);
    faulty.next(
      answer(409, { code: 'duplicate_transaction', message: 'ordered' }),
      forwardTo(api.url),
    );
    const result = await clientOf([faulty.url]).submit(envelope);
    expect(result.kind === 'committed' && result.receipt.proof).to.equal('block');
  });

  it('does not take another transaction under the same id for its own', async () => {
    const nonce = new Uint8Array(24).fill(9);
    const build = (data: string) =>
      buildEnvelope({
        channel: 'main',
        data: new TextEncoder().encode(data),
        writer: chain.writer,
        nonce,
      }).envelope;
    await clientOf([api.url]).submit(build('one'));
    const error = await errorOf(clientOf([api.url]).submit(build('other')));
    expect(error.code).to.equal('duplicate_transaction');
    faulty.next(answer(409, { code: 'duplicate_transaction', message: '' }), forwardTo(api.url));
    const own = await errorOf(clientOf([faulty.url]).submit(build('other')));
    expect(own.message).to.include('another envelope with this transaction id');
  });

  it('goes to the next replica when one refuses the connection, resets it or never answers', async () => {
    const closed = await startFaultyReplica();
    await closed.close();
    const { envelope } = chain.envelope('somewhere');
    const result = await clientOf([closed.url, api.url]).submit(envelope);
    expect(result.kind).to.equal('committed');
    faulty.next(resetConnection);
    expect((await throughFaulty()).url).to.equal(api.url);
    faulty.next(neverAnswer);
    const quick = clientOf([faulty.url, api.url], {
      times: { ...TIMES, attemptTimeoutMs: 50 },
    });
    expect((await quick.submit(chain.envelope('late').envelope)).kind).to.equal('committed');
  });

  it('stays with the replica that served it', async () => {
    faulty.next(resetConnection);
    const client = clientOf([faulty.url, api.url]);
    await client.submit(chain.envelope('a').envelope);
    await client.submit(chain.envelope('b').envelope);
    expect(faulty.requests).to.have.length(1);
  });

  it('comes back to the only replica after 503, not before Retry-After', async () => {
    faulty.next(
      answer(503, { code: 'not_ready', message: 'view change' }, { 'retry-after': '0.2' }),
      forwardTo(api.url),
    );
    const startedMs = Date.now();
    const { envelope } = chain.envelope('later');
    const result = await clientOf([faulty.url]).submit(envelope);
    expect(result.kind).to.equal('committed');
    expect(Date.now() - startedMs).to.be.at.least(195);
  });

  it('asks another replica while the first wants to be left alone', async () => {
    faulty.next(answer(429, { code: 'overloaded', message: '' }, { 'retry-after': '60' }));
    const startedMs = Date.now();
    expect((await throughFaulty()).url).to.equal(api.url);
    expect(Date.now() - startedMs).to.be.below(2_000);
  });

  it('submits the same envelope elsewhere when it is not committed in time', async () => {
    const { envelope, txId } = chain.envelope('slow');
    faulty.next(answer(202, { txId, status: 'pending', duplicate: false }));
    const result = await clientOf([faulty.url, api.url]).submit(envelope);
    expect(result.kind === 'committed' && result.receipt.url).to.equal(api.url);
  });

  it("believes a single replica's refusal, and names it", async () => {
    faulty.next(answer(403, { code: 'unknown_writer', message: 'who?' }));
    const error = await errorOf(throughFaulty());
    expect(error).to.include({ code: 'unknown_writer', retryable: false });
    expect(error.message).to.include('who?').and.to.include(faulty.url);
  });

  it('believes no single refusal when several replicas are given the transaction', async () => {
    faulty.next(answer(403, { code: 'unknown_writer', message: 'who?' }));
    expect((await throughFaulty({ replicas: 2 })).url).to.equal(api.url);
    const error = await errorOf(
      clientOf([faulty.url, faulty.url]).submit(chain.envelope('x').envelope, { replicas: 2 }),
    );
    expect(error.code).to.equal('unknown_writer');
    expect(error.causes).to.have.length(2);
  });

  it('gives up at its own deadline, saying what each replica did', async () => {
    faulty.next(resetConnection);
    const startedMs = Date.now();
    const error = await errorOf(
      clientOf([faulty.url]).submit(chain.envelope('x').envelope, { timeoutMs: 150 }),
    );
    expect(error).to.include({ code: 'deadline_exceeded', retryable: true });
    expect(error.message).to.include(faulty.url);
    expect(error.causes.length).to.be.greaterThan(1);
    expect(Date.now() - startedMs).to.be.below(1_500);
  });

  it('stops when the caller says so', async () => {
    faulty.next(neverAnswer);
    const controller = new AbortController();
    const submitted = errorOf(
      clientOf([faulty.url]).submit(chain.envelope('x').envelope, { signal: controller.signal }),
    );
    controller.abort();
    expect((await submitted).code).to.equal('aborted');
  });

  describe('from a replica that lies', () => {
    /** Changes the JSON of the receipt; everything else passes. */
    function lyingReceipt(change: (receipt: Record<string, unknown>) => void) {
      return forwardTo(api.url, (body, path) => {
        if (!path.includes('wait=commit')) return body;
        const receipt = JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown>;
        change(receipt);
        return new TextEncoder().encode(JSON.stringify(receipt));
      });
    }

    async function causeOf(
      change: (receipt: Record<string, unknown>) => void,
      options: SubmitOptions = {},
    ): Promise<string> {
      faulty.next(lyingReceipt(change));
      const { envelope } = chain.envelope('lied about');
      const lied = await errorOf(
        clientOf([faulty.url]).submit(envelope, { ...options, timeoutMs: 200 }),
      );
      expect(lied.causes.map(({ code }) => code)).to.include('bad_receipt');
      const honest = await clientOf([faulty.url, api.url]).submit(envelope, options);
      expect(honest.kind === 'committed' && honest.receipt.url).to.equal(api.url);
      return lied.causes[0]?.message ?? '';
    }

    it('finds a certificate of too few', async () => {
      const said = await causeOf((receipt) => {
        const { header } = chain.decoded(Number(receipt.blockNumber));
        receipt.certificate = base64(chain.certify(header, [1, 2]));
      });
      expect(said).to.include('2 signatures');
    });

    it('finds a certificate with one signer twice', async () => {
      const said = await causeOf((receipt) => {
        const { header } = chain.decoded(Number(receipt.blockNumber));
        receipt.certificate = base64(chain.certify(header, [1, 2, 2]));
      });
      expect(said).to.include('more than once');
    });

    it('finds a certificate of strangers', async () => {
      const strangers = await createTestChain();
      const said = await causeOf((receipt) => {
        const { header } = chain.decoded(Number(receipt.blockNumber));
        receipt.certificate = base64(strangers.certify(header));
      });
      expect(said).to.include('does not fit');
    });

    it('finds a header that nobody signed', async () => {
      const said = await causeOf((receipt) => {
        const decoded = decodeBlockHeader(Buffer.from(String(receipt.header), 'base64'));
        if (decoded.kind === 'malformed') throw new Error(decoded.reason);
        decoded.value.dataHash[0] = (decoded.value.dataHash[0] ?? 0) ^ 1;
        receipt.header = base64(encodeBlockHeader(decoded.value));
      });
      expect(said).to.include('hashes to');
    });

    it('finds the receipt of another transaction, and other nonsense', async () => {
      const texts = [
        await causeOf((receipt) => {
          receipt.txId = 'ab'.repeat(32);
        }),
        await causeOf((receipt) => {
          receipt.blockNumber = 0;
        }),
        await causeOf((receipt) => {
          receipt.index = -1;
        }),
        await causeOf((receipt) => {
          receipt.header = '?';
        }),
      ];
      expect(texts[0]).to.include('for transaction');
      expect(texts[1]).to.include('not of 0');
      expect(texts[2]).to.include('no block and index');
      expect(texts[3]).to.include('base64');
    });

    it('finds a certified block that does not hold the transaction, when it looks', async () => {
      const other = await clientOf([api.url]).submit(chain.envelope('other').envelope);
      if (other.kind !== 'committed') throw new Error('not committed');
      const { header } = chain.decoded(other.receipt.blockNumber);
      const said = await causeOf(
        (receipt) => {
          receipt.blockNumber = header.number;
          receipt.blockHash = other.receipt.blockHash;
          receipt.header = base64(encodeBlockHeader(header));
          receipt.certificate = base64(other.receipt.certificate);
        },
        { proof: 'block' },
      );
      expect(said).to.include('does not hold');
    });
  });

  it('refuses options that make no sense before it asks anybody', async () => {
    const code = (work: () => unknown) => {
      try {
        work();
      } catch (error) {
        return error instanceof ClientError ? error.code : undefined;
      }
      return undefined;
    };
    expect(code(() => clientOf([]))).to.equal('invalid_argument');
    expect(code(() => clientOf(['ftp://x']))).to.equal('invalid_argument');
    expect(code(() => clientOf([api.url], { channel: 'other' }))).to.equal('invalid_argument');
    expect(code(() => clientOf([api.url], { trust: new Uint8Array(3) }))).to.equal(
      'malformed_genesis',
    );
    const client = clientOf([api.url]);
    const { envelope } = chain.envelope('x');
    expect((await errorOf(client.submit(envelope, { replicas: 2 }))).code).to.equal(
      'invalid_argument',
    );
    expect((await errorOf(client.submit(new Uint8Array(3)))).code).to.equal('invalid_argument');
  });

  it('submits what P-256 writers signed', async () => {
    const writer = await issueWriter(chain.authority, 'p256.test', 'p256');
    const data = new Uint8Array(10);
    const { envelope } = buildEnvelope({ channel: 'main', data, writer });
    expect((await clientOf([api.url]).submit(envelope)).kind).to.equal('committed');
  });
});
