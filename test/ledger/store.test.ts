import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { encodeBlock, headerHash, toHex } from '../../ledger/format/index.ts';
import { openDatabase } from '../../ledger/store/database.ts';
import { Ledger } from '../../ledger/store/index.ts';
import { IndexWriter } from '../../ledger/store/index-writer.ts';
import { TransactionIndex } from '../../ledger/store/transaction-index.ts';
import { sha256 } from '../support/hash.ts';
import {
  certified,
  codeOf,
  inTemporaryFolder,
  makeBlock,
  makeCertificate,
  makeChain,
  makeGenesis,
  openLedger,
  serialized,
} from './helpers.ts';

const genesis = makeGenesis();

describe('ledger/store: a new ledger', () => {
  it('starts with the certified genesis block and nobody else may read the folder', async () => {
    await inTemporaryFolder(async (folder) => {
      const directory = join(folder, 'deep', 'main');
      const ledger = await openLedger(directory, genesis);
      expect(ledger.storedHeight()).to.equal(1);
      expect(ledger.certifiedHeight()).to.equal(1);
      expect(toHex(ledger.tip().hash)).to.equal(toHex(headerHash(genesis.header, sha256)));
      expect(await ledger.block(0)).to.deep.equal(encodeBlock(genesis));
      expect(await ledger.block(1)).to.equal(undefined);
      expect((await stat(directory)).mode & 0o777).to.equal(0o700);
      await ledger.close();
    });
  });

  it('refuses what is no genesis block', async () => {
    await inTemporaryFolder(async (folder) => {
      const options = { directory: folder, channel: 'main', genesisBlock: Uint8Array.of(1, 2) };
      expect(await codeOf(Ledger.open(options, { sha256 }))).to.equal('genesis_mismatch');
    });
  });
});

describe('ledger/store: writing', () => {
  it('stores blocks, then their certificates, and finds transactions', async () => {
    await inTemporaryFolder(async (directory) => {
      const chain = makeChain(genesis, 3, 2);
      const ledger = await openLedger(directory, genesis);
      await ledger.appendBlocks(chain);
      expect([ledger.storedHeight(), ledger.certifiedHeight()]).to.deep.equal([4, 1]);
      expect(await ledger.block(1)).to.equal(undefined);
      expect((await ledger.storedBlock(1))?.data).to.deep.equal(chain[0]!.block.data);
      await ledger.attachCertificate(2, makeCertificate(2));
      expect(ledger.certifiedHeight()).to.equal(1);
      await ledger.attachCertificate(1, makeCertificate(1));
      expect(ledger.certifiedHeight()).to.equal(3);
      expect(await ledger.block(2)).to.deep.equal(serialized(chain[1]!));
      const txId = chain[1]!.txIds[1] ?? '';
      expect(await ledger.transaction(txId)).to.deep.equal({ blockNumber: 2, index: 1 });
      const unknown = 'ab'.repeat(32);
      expect(await ledger.transaction(unknown)).to.equal(undefined);
      expect(await ledger.transaction('no id')).to.equal(undefined);
      expect(await ledger.hasTransactions([unknown, txId, 'x'])).to.deep.equal([
        false,
        true,
        false,
      ]);
      expect((await ledger.header(3))?.hash).to.deep.equal(ledger.tip().hash);
      await ledger.close();
    });
  });

  it('merges calls that do not wait for each other, in order', async () => {
    await inTemporaryFolder(async (directory) => {
      const chain = makeChain(genesis, 200);
      const ledger = await openLedger(directory, genesis);
      const order: number[] = [];
      const calls = chain.map(async (built) => {
        await ledger.appendBlocks([built]);
        order.push(built.block.header.number);
      });
      const attached = ledger.attachCertificate(1, makeCertificate(1));
      const txId = chain[199]!.txIds[0] ?? '';
      expect(await ledger.hasTransactions([txId]), 'still in the queue').to.deep.equal([true]);
      await Promise.all([...calls, attached]);
      expect(order).to.deep.equal(chain.map(({ block }) => block.header.number));
      expect([ledger.storedHeight(), ledger.certifiedHeight()]).to.deep.equal([201, 2]);
      expect(await ledger.hasTransactions([txId])).to.deep.equal([true]);
      await ledger.close();
    });
  });

  it('gives a certificate out before it is on disk, and keeps it when it closes', async () => {
    await inTemporaryFolder(async (directory) => {
      const [first, second] = makeChain(genesis, 2);
      const ledger = await openLedger(directory, genesis);
      await ledger.appendBlocks([first!, second!]);
      for (const number of [2, 1]) await ledger.attachCertificate(number, makeCertificate(number));
      expect(ledger.certifiedHeight()).to.equal(3);
      expect(await ledger.certificate(2)).to.deep.equal(makeCertificate(2));
      const block = await ledger.block(1);
      expect((await ledger.storedBlock(1))?.metadata[0]).to.deep.equal(makeCertificate(1));
      await ledger.close();
      const again = await openLedger(directory, genesis);
      expect(again.certifiedHeight()).to.equal(3);
      expect(await again.block(1)).to.deep.equal(block);
      await again.close();
    });
  });

  it('takes certified blocks for catch-up', async () => {
    await inTemporaryFolder(async (directory) => {
      const chain = makeChain(genesis, 5).map(certified);
      const ledger = await openLedger(directory, genesis);
      await ledger.appendCertified(chain);
      expect([ledger.storedHeight(), ledger.certifiedHeight()]).to.deep.equal([6, 6]);
      const read: number[] = [];
      for await (const { number, bytes } of ledger.read(2, 4)) {
        read.push(number);
        expect(bytes).to.deep.equal(encodeBlock(chain[number - 1]!.block));
      }
      expect(read).to.deep.equal([2, 3, 4]);
      await ledger.close();
    });
  });

  it('refuses blocks that do not extend the chain, and stores nothing of the call', async () => {
    await inTemporaryFolder(async (directory) => {
      const ledger = await openLedger(directory, genesis);
      const [one, two] = makeChain(genesis, 2);
      const other = makeBlock(genesis.header, 1, 'other');
      const { block, txIds } = one!;
      const wrongData = { txIds, block: { ...block, data: other.block.data } };
      const noData = { txIds: [], block: makeBlock(genesis.header, 0).block };
      const wrongId = { block, txIds: ['ab'.repeat(32)] };
      const garbage = makeBlock(genesis.header, 1);
      garbage.block.data = [Uint8Array.of(1)];
      garbage.block.header.dataHash = sha256(Uint8Array.of(1));
      for (const blocks of [
        [two!],
        [one!, one!],
        [other, two!],
        [wrongData],
        [noData],
        [wrongId],
        [{ block, txIds: [] }],
        [garbage],
      ]) {
        expect(await codeOf(ledger.appendBlocks(blocks))).to.equal('invalid_call');
      }
      expect(await codeOf(ledger.appendCertified([one!]))).to.equal('invalid_call');
      for (const number of [1, -1, 0.5, Number.NaN, 2 ** 60]) {
        const call = ledger.attachCertificate(number, makeCertificate(1));
        expect(await codeOf(call)).to.equal('invalid_call');
      }
      await ledger.appendBlocks([one!]);
      expect(await codeOf(ledger.attachCertificate(1, Uint8Array.of(9)))).to.equal('invalid_call');
      expect([ledger.storedHeight(), ledger.certifiedHeight()]).to.deep.equal([2, 1]);
      await ledger.close();
    });
  });

  it('answers huge, negative and fractional block numbers with nothing', async () => {
    await inTemporaryFolder(async (directory) => {
      const ledger = await openLedger(directory, genesis);
      for (const number of [-1, 1, 0.5, Number.NaN, Infinity, 2 ** 53, 2 ** 64]) {
        expect(await ledger.block(number)).to.equal(undefined);
        expect(await ledger.header(number)).to.equal(undefined);
        expect(await ledger.storedBlock(number)).to.equal(undefined);
      }
      await ledger.close();
      expect(await codeOf(ledger.block(0))).to.equal('ledger_closed');
      expect(await codeOf(ledger.appendBlocks(makeChain(genesis, 1)))).to.equal('ledger_closed');
    });
  });
});

describe('ledger/store: looking for transactions', () => {
  it('finds all that is there before and after the index has been read for the filter', async () => {
    await inTemporaryFolder(async (directory) => {
      const chain = makeChain(genesis, 30, 100);
      const ids = chain.flatMap(({ txIds }) => txIds.map((txId) => txId ?? ''));
      const unknown = ids.map((txId) => toHex(sha256(new TextEncoder().encode(txId))));
      const first = await openLedger(directory, genesis);
      await first.appendBlocks(chain.slice(0, 20));
      expect(await first.hasTransactions(ids)).to.deep.equal(ids.map((_, at) => at < 2000));
      await first.close();
      const database = await openDatabase(join(directory, 'db'), { createIfMissing: false });
      const index = new TransactionIndex(database);
      const look = async (upTo: number): Promise<void> => {
        expect(await index.has(ids)).to.deep.equal(ids.map((_, at) => at < upTo));
        expect((await index.has(unknown)).includes(true)).to.equal(false);
        expect(ids.map((txId) => index.hasNow(txId))).to.deep.equal(ids.map((_, at) => at < upTo));
        expect(unknown.some((txId) => index.hasNow(txId))).to.equal(false);
      };
      await look(2000);
      const learned = index.learn();
      await look(2000);
      await learned;
      await look(2000);
      index.queued([{ blockNumber: 21, txIds: ids.slice(2000) }]);
      const at = { blockNumber: 21, index: 17 };
      expect(await index.locate(ids[2017] ?? '')).to.deep.equal(at);
      await look(3000);
      await index.close();
      await database.close();
    });
  });

  it('may be closed while the index is being read', async () => {
    await inTemporaryFolder(async (directory) => {
      const first = await openLedger(directory, genesis);
      await first.appendBlocks(makeChain(genesis, 40, 100));
      await first.close();
      for (let times = 0; times < 5; times += 1)
        await (await openLedger(directory, genesis)).close();
    });
  });
});

describe('ledger/store: LevelDB that cannot be written any more', () => {
  it('is told at once, and nothing more is written', async () => {
    await inTemporaryFolder(async (directory) => {
      const database = await openDatabase(join(directory, 'db'), { createIfMissing: true });
      const told: string[] = [];
      const writer = new IndexWriter(database, directory, ({ code }) => told.push(code));
      let indexed = 0;
      const key = Uint8Array.of(1);
      const job = {
        operations: [{ type: 'put', key, value: key }] as const,
        transactions: [],
        bytes: 2,
        indexed: () => {
          indexed += 1;
        },
      };
      writer.push([job, job]);
      await writer.idle();
      expect([indexed, told]).to.deep.equal([2, []]);
      await database.close();
      writer.push([job]);
      await writer.idle();
      writer.push([job]);
      await writer.idle();
      expect([indexed, told]).to.deep.equal([2, ['write_failed']]);
      expect(writer.failure?.code).to.equal('write_failed');
    });
  });
});

describe('ledger/store: truncation', () => {
  it('drops uncertified blocks with their index entries', async () => {
    await inTemporaryFolder(async (directory) => {
      const chain = makeChain(genesis, 4);
      const ledger = await openLedger(directory, genesis);
      await ledger.appendBlocks(chain);
      await ledger.attachCertificate(1, makeCertificate(1));
      expect(await codeOf(ledger.truncateUncertified(1))).to.equal('invalid_call');
      const ids = chain.map(({ txIds }) => txIds[0] ?? '');
      const cut = ledger.truncateUncertified(2);
      expect(await codeOf(ledger.appendBlocks([]))).to.equal('invalid_call');
      await cut;
      expect(ledger.storedHeight()).to.equal(2);
      expect(await ledger.hasTransactions(ids)).to.deep.equal([true, false, false, false]);
      const fork = makeBlock(chain[0]!.block.header, 3, 'fork');
      await ledger.appendBlocks([fork]);
      await ledger.close();
      const again = await openLedger(directory, genesis);
      expect(again.storedHeight()).to.equal(3);
      expect((await again.storedBlock(2))?.data).to.deep.equal(fork.block.data);
      await again.close();
    });
  });

  it('refuses to drop a block whose certificate came before its predecessor’s', async () => {
    await inTemporaryFolder(async (directory) => {
      const ledger = await openLedger(directory, genesis);
      await ledger.appendBlocks(makeChain(genesis, 4));
      await ledger.attachCertificate(3, makeCertificate(3));
      await ledger.close();
      const again = await openLedger(directory, genesis);
      expect(await codeOf(again.truncateUncertified(3))).to.equal('invalid_call');
      await again.truncateUncertified(4);
      for (const number of [1, 2]) await again.attachCertificate(number, makeCertificate(number));
      expect([again.storedHeight(), again.certifiedHeight()]).to.deep.equal([4, 4]);
      await again.close();
    });
  });
});

describe('ledger/store: opening', () => {
  it('continues where it stopped, with the same bytes', async () => {
    await inTemporaryFolder(async (directory) => {
      const chain = makeChain(genesis, 10, 3);
      const first = await openLedger(directory, genesis);
      await first.appendBlocks(chain.slice(0, 6));
      await first.attachCertificate(1, makeCertificate(1));
      await first.close();
      const second = await openLedger(directory, genesis);
      expect([second.storedHeight(), second.certifiedHeight()]).to.deep.equal([7, 2]);
      await second.appendBlocks(chain.slice(6));
      for (let number = 2; number <= 10; number += 1) {
        await second.attachCertificate(number, makeCertificate(number));
      }
      for (const built of chain) {
        expect(await second.block(built.block.header.number)).to.deep.equal(serialized(built));
      }
      await second.close();
      await second.close();
    });
  });

  it('refuses another genesis block, another channel, and a second opener', async () => {
    await inTemporaryFolder(async (directory) => {
      const ledger = await openLedger(directory, genesis);
      expect(await codeOf(openLedger(directory, genesis))).to.equal('ledger_locked');
      await ledger.close();
      const other = makeGenesis('main', 'other network');
      expect(await codeOf(openLedger(directory, other))).to.equal('genesis_mismatch');
      expect(await codeOf(openLedger(directory, genesis, 'second'))).to.equal('channel_mismatch');
      const again = await openLedger(directory, genesis);
      expect(again.storedHeight()).to.equal(1);
      await again.close();
    });
  });

  it('does not create a new ledger over the remains of an old one', async () => {
    await inTemporaryFolder(async (directory) => {
      await (await openLedger(directory, genesis)).close();
      await writeFile(join(directory, 'db', 'CURRENT'), 'MANIFEST-999999\n');
      expect(await codeOf(openLedger(directory, genesis))).to.equal('ledger_corrupt');
      expect(await readdir(join(directory, 'db'))).to.include('CURRENT');
    });
  });
});
