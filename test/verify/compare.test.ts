import { expect } from 'chai';
import { transactionIdOf } from '../../api/client/index.ts';
import { encodeBlock } from '../../ledger/format/index.ts';
import { describeDifference } from '../../scripts/verify/compare.ts';
import { type BlockSource, SourceError } from '../../scripts/verify/sources.ts';
import { createTestChain, mustDecode, type TestChain } from '../support/chain.ts';
import { audit, memorySource, trustOf } from './memory-source.ts';

describe('auditor: several sources', () => {
  let chain: TestChain;
  before(async () => {
    chain = await createTestChain({ blocks: 5, transactions: 2 });
  });

  /** The same chain with other signers of one block. */
  function recertified(number: number, signers: readonly number[]): Uint8Array[] {
    const blocks = [...chain.blocks];
    const block = chain.decoded(number);
    const metadata = [chain.certify(block.header, signers), ...block.metadata.slice(1)];
    blocks[number] = encodeBlock({ ...block, metadata });
    return blocks;
  }

  /**
   * Two chains that share the genesis block and block 1, each certified by all: what must never be.
   */
  function fork(): Uint8Array[] {
    const kept = chain.blocks.splice(2);
    for (let block = 2; block <= 4; block++) {
      chain.append([chain.envelope(`fork ${block}`).envelope]);
    }
    const forked = [...chain.blocks];
    chain.blocks.splice(2, 3, ...kept);
    return forked;
  }

  it('checks equal copies once', async () => {
    const sources = ['a', 'b', 'c'].map((name) => memorySource(name, chain.blocks));
    const outcome = await audit(trustOf(chain.blocks[0]), sources);
    expect(outcome.findings).to.deep.equal([]);
    expect(outcome).to.include({ blocks: 6, transactions: 11, signatures: 5 * (3 + 2) });
    expect(outcome.sources.map(({ blocks, last }) => [blocks, last])).to.deep.equal([
      [6, 5],
      [6, 5],
      [6, 5],
    ]);
    expect(new Set(outcome.sources.map(({ tipHash }) => tipHash)).size).to.equal(1);
  });

  it('accepts other sets of signatures, and checks each', async () => {
    const trust = trustOf(chain.blocks[0]);
    const good = await audit(trust, [
      memorySource('a', chain.blocks),
      memorySource('b', recertified(3, [2, 3, 4])),
    ]);
    expect(good.faults).to.deep.equal([]);
    expect(good).to.include({ blocks: 6, blocksWithOtherCertificates: 1, signatures: 25 + 3 });
    const bad = await audit(trust, [
      memorySource('a', chain.blocks),
      memorySource('b', recertified(3, [3, 4])),
    ]);
    expect(bad.places).to.deep.equal(['bad_certificate@3']);
    expect(bad.faults[0]?.sources).to.deep.equal(['b']);
    expect(bad.firstDifference).to.equal(undefined);
    const first = await audit(trust, [
      memorySource('b', recertified(3, [3, 4])),
      memorySource('a', chain.blocks),
    ]);
    expect(first.faults.map(({ sources }) => sources)).to.deep.equal([['b']]);
  });

  it('names the first block where two chains part, and follows both', async () => {
    const outcome = await audit(trustOf(chain.blocks[0]), [
      memorySource('a', chain.blocks),
      memorySource('b', fork()),
      memorySource('c', chain.blocks),
    ]);
    expect(outcome.places).to.deep.equal(['sources_differ@2']);
    expect(outcome.firstDifference).to.include({ block: 2 });
    expect(outcome.firstDifference?.message).to.include('transaction 0: a, c | b');
    expect(outcome).to.include({ blocks: 6 + 3 });
  });

  it('names the one copy that was changed, and goes on comparing it with the others', async () => {
    const changed = [...chain.blocks];
    const block = chain.decoded(2);
    changed[2] = encodeBlock({ ...block, data: [...block.data].reverse() });
    const outcome = await audit(trustOf(chain.blocks[0]), [
      memorySource('a', changed),
      memorySource('b', chain.blocks),
      memorySource('c', chain.blocks),
    ]);
    expect(outcome.places).to.deep.equal(['sources_differ@2', 'bad_block@2']);
    expect(outcome.faults[1]?.sources).to.deep.equal(['a']);
    // Joined again after block 2: nothing of it is checked twice.
    expect(outcome.blocks).to.equal(6 + 1);
  });

  it('says who has damaged, missing and fewer blocks', async () => {
    const [zero, one, two, three] = chain.blocks;
    const outcome = await audit(trustOf(zero), [
      memorySource('whole', chain.blocks),
      memorySource('hole', [zero, one, undefined, undefined, ...chain.blocks.slice(4)]),
      memorySource('torn', [zero, new Uint8Array(10), two, three]),
    ]);
    expect(outcome.places).to.have.members(['missing_block@2', 'undecodable_block@1']);
    expect(outcome.faults.map(({ sources }) => sources[0])).to.have.members(['hole', 'torn']);
    expect(outcome.sources.map(({ last }) => last)).to.deep.equal([5, 5, 3]);
  });

  it('goes on with the others when one source fails', async () => {
    const failing: BlockSource = {
      ...memorySource('failing', chain.blocks),
      async *records() {
        yield { kind: 'block', number: 0, bytes: chain.blocks[0] as Uint8Array, certified: true };
        throw new SourceError('failed', 'the connection is gone');
      },
    };
    const outcome = await audit(trustOf(chain.blocks[0]), [
      failing,
      memorySource('whole', chain.blocks),
    ]);
    expect(outcome.faults).to.deep.equal([]);
    expect(outcome.findings.map(({ code, block }) => [code, block])).to.deep.equal([
      ['source_failed', 1],
    ]);
    expect(outcome.blocks).to.equal(6);
  });

  it('holds the transaction index of a ledger to its blocks', async () => {
    const wrong = chain.envelope('never ordered').txId;
    const indexed: BlockSource = {
      ...memorySource('indexed', chain.blocks),
      locate: async (txIds) => {
        const places = chain.blocks.flatMap((_, blockNumber) =>
          chain.decoded(blockNumber).data.map((entry, index) => ({ entry, blockNumber, index })),
        );
        return txIds.map((txId) => {
          const place = places.find(({ entry }) => transactionIdOf(entry) === txId);
          if (place === undefined || place.blockNumber === 2) return undefined;
          return {
            blockNumber: place.blockNumber,
            index: place.blockNumber === 3 ? 0 : place.index,
          };
        });
      },
    };
    expect(await indexed.locate?.([wrong])).to.deep.equal([undefined]);
    const { places } = await audit(trustOf(chain.blocks[0]), [indexed]);
    expect(places).to.deep.equal(['bad_index@2/0', 'bad_index@2/1', 'bad_index@3/1']);
  });

  it('reports records that a source gives out of order', async () => {
    const shuffled: BlockSource = {
      ...memorySource('shuffled', chain.blocks),
      async *records() {
        for (const number of [0, 1, 0, 2]) {
          const bytes = chain.blocks[number] as Uint8Array;
          yield { kind: 'block', number, bytes, certified: true };
        }
      },
    };
    const outcome = await audit(trustOf(chain.blocks[0]), [shuffled]);
    expect(outcome.places).to.deep.equal(['out_of_order@0']);
    expect(outcome.blocks).to.equal(3);
  });

  it('says in what two blocks differ', () => {
    const block = mustDecode(chain.blocks[2]);
    const { header, data } = block;
    const other = (changes: object) => ({ ...block, header: { ...header, ...changes } });
    const [first, second] = data as [Uint8Array, Uint8Array];
    expect(describeDifference(block, other({ number: 9 }))).to.equal('the block number');
    expect(describeDifference(block, other({ previousHash: first }))).to.equal('the previous hash');
    expect(describeDifference(block, other({ dataHash: first }))).to.equal('the data hash');
    expect(describeDifference(block, { ...block, data: [first, first] })).to.equal('transaction 1');
    expect(describeDifference(block, { ...block, data: [first] })).to.include('2 and 1');
    expect(describeDifference(block, { ...block, data: [first, second, first] })).to.include(
      '2 and 3',
    );
  });
});
