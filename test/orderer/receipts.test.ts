/** Who waits for a receipt gets it when the block is certified here, whatever brought the transaction into it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { headerHash, txIdOf } from '../../ledger/format/index.ts';
import { Ledger } from '../../ledger/store/index.ts';
import type { StoredBlock } from '../../orderer/chain/sequencer.ts';
import { Receipts } from '../../orderer/receipts.ts';
import type { Receipt } from '../../orderer/service.ts';
import { createTestChain, type TestChain } from '../support/chain.ts';
import { sha256 } from '../support/hash.ts';

const never = (): AbortSignal => new AbortController().signal;

describe('receipts', () => {
  let folder: string;
  let chain: TestChain;
  let ledger: Ledger;
  let receipts: Receipts;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-receipts-'));
    chain = await createTestChain({ blocks: 0 });
    const genesisBlock = chain.blocks[0] ?? new Uint8Array();
    ledger = await Ledger.open(
      { directory: folder, channel: chain.channel, genesisBlock },
      { sha256 },
    );
    receipts = new Receipts({ ledger, sha256 });
  });

  afterEach(async () => {
    await ledger.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function committed(txId: string, signal: AbortSignal): Promise<Receipt | undefined> {
    const [receipt] = await receipts.committed([txId], signal);
    return receipt;
  }

  /** A block of one new transaction, certified but not in the ledger. */
  function cut(): { stored: StoredBlock; metadata: Uint8Array; txId: string } {
    const { envelope } = chain.envelope(`tx ${chain.blocks.length}`);
    const block = chain.decoded(chain.append([envelope]));
    const txId = txIdOf(envelope) ?? '';
    const stored = { block, headerHash: headerHash(block.header, sha256), txIds: [txId] };
    return { stored, metadata: block.metadata[0] ?? new Uint8Array(), txId };
  }

  async function certify({ stored, metadata }: ReturnType<typeof cut>): Promise<void> {
    await ledger.appendCertified([{ block: stored.block, txIds: [...stored.txIds] }]);
    receipts.onCertified(stored, metadata);
  }

  it('come to all who wait, whether they submitted it here or not', async () => {
    const block = cut();
    receipts.accepted(block.txId);
    const waiting = [never(), never()].map((signal) => committed(block.txId, signal));
    await certify(block);
    for (const receipt of await Promise.all(waiting)) {
      expect(receipt).to.include({ txId: block.txId, blockNumber: 1, index: 0 });
    }
    expect(receipts.pending).to.equal(0);
    expect(await committed(block.txId, never())).to.include({ blockNumber: 1 });
  });

  it("are waited for when another replica's lane has brought the transaction first", async () => {
    const block = cut();
    receipts.accepted(block.txId);
    const before = committed(block.txId, never());
    // Its copy in the own lane is delivered as a duplicate before the block is certified.
    receipts.dropped(block.txId);
    const after = committed(block.txId, never());
    await certify(block);
    expect((await before)?.blockNumber).to.equal(1);
    expect((await after)?.blockNumber).to.equal(1);
  });

  it('are not waited for when the duplicate comes after the certificate', async () => {
    const block = cut();
    receipts.accepted(block.txId);
    await certify(block);
    receipts.dropped(block.txId);
    expect(receipts.pending).to.equal(0);
    expect(await receipts.stored(block.txId)).to.deep.include({
      kind: 'refused',
      code: 'duplicate_transaction',
      location: { txId: block.txId, blockNumber: 1, index: 0 },
    });
  });

  it('come for blocks that were fetched whole, when that is told', async () => {
    const block = cut();
    receipts.accepted(block.txId);
    const waiting = committed(block.txId, never());
    await ledger.appendCertified([{ block: block.stored.block, txIds: [block.txId] }]);
    await receipts.recheck();
    expect((await waiting)?.txId).to.equal(block.txId);
    expect(receipts.pending).to.equal(0);
  });

  it('come together for what was handed in together, and at the end of the time those that are there', async () => {
    const [first, second] = [cut(), cut()];
    const ids = [first.txId, second.txId, first.txId];
    for (const txId of ids) receipts.accepted(txId);
    const client = new AbortController();
    const all = receipts.committed(ids, never());
    const some = receipts.committed(ids, client.signal);
    await certify(first);
    client.abort();
    expect((await some).map((receipt) => receipt?.blockNumber)).to.deep.equal([1, undefined, 1]);
    await certify(second);
    expect((await all).map((receipt) => receipt?.blockNumber)).to.deep.equal([1, 2, 1]);
    expect((await receipts.committed(ids, never())).length).to.equal(3);
  });

  it('are told one by one as well, each as soon as it is there', async () => {
    const [first, second] = [cut(), cut()];
    const told: [number, string][] = [];
    const all = receipts.committed([second.txId, first.txId], never(), (index, { txId }) =>
      told.push([index, txId]),
    );
    await certify(first);
    expect(told).to.deep.equal([[1, first.txId]]);
    await certify(second);
    expect(told).to.deep.equal([
      [1, first.txId],
      [0, second.txId],
    ]);
    expect((await all).map((receipt) => receipt?.txId)).to.deep.equal([second.txId, first.txId]);
  });

  it('end with nothing when the client leaves or the replica stops', async () => {
    const client = new AbortController();
    const left = committed('ab'.repeat(32), client.signal);
    const stays = committed('ab'.repeat(32), never());
    client.abort();
    expect(await left).to.equal(undefined);
    receipts.abandon();
    expect(await stays).to.equal(undefined);
  });
});
