/** Segment files: what a crash leaves between them and LevelDB, and what damage does to them. */
import { cp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { encodeBlock } from '../../ledger/format/index.ts';
import { Ledger, LedgerSnapshot } from '../../ledger/store/index.ts';
import { listSegments, segmentName } from '../../ledger/store/segments/names.ts';
import { sha256 } from '../support/hash.ts';
import {
  audit,
  type BuiltBlock,
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
const chain = makeChain(genesis, 12, 2);
/** Blocks of which LevelDB knows in the ledgers that a crash has left behind. */
const KNOWN = 7;

function openSmall(directory: string, segmentBytesMax: number): Promise<Ledger> {
  const options = {
    directory,
    channel: 'main',
    genesisBlock: encodeBlock(genesis),
    segmentBytesMax,
  };
  return Ledger.open(options, { sha256 });
}

interface Made {
  /** LevelDB as it was when it knew `KNOWN` blocks and the genesis block. */
  directory: string;
  /** Where the blocks behind those begin in the first segment. */
  start: number;
}

/** As a crash leaves a ledger whose newest blocks LevelDB was not told of; blocks `certifiedUpTo` and below have certificates. */
async function makeCrashed(folder: string, certifiedUpTo = 12): Promise<Made> {
  const directory = join(folder, 'main');
  const old = join(folder, 'old');
  const first = await openLedger(directory, genesis);
  await append(first, chain.slice(0, KNOWN), certifiedUpTo);
  await first.close();
  await cp(join(directory, 'db'), old, { recursive: true });
  const { size: start } = await stat(segment(directory, 0));
  const second = await openLedger(directory, genesis);
  await append(second, chain.slice(KNOWN), certifiedUpTo);
  await second.close();
  await rm(join(directory, 'db'), { recursive: true });
  await rm(join(directory, 'clean-stop'));
  await cp(old, join(directory, 'db'), { recursive: true });
  await rm(old, { recursive: true });
  return { directory, start };
}

async function append(
  ledger: Ledger,
  blocks: readonly BuiltBlock[],
  certifiedUpTo: number,
): Promise<void> {
  for (const built of blocks) {
    if (built.block.header.number > certifiedUpTo) await ledger.appendBlocks([built]);
    else await ledger.appendCertified([certified(built)]);
  }
}

function segment(directory: string, number: number): string {
  return join(directory, 'segments', segmentName(number));
}

/** Puts a folder back as it is now, as often as one likes. */
async function keep(directory: string): Promise<() => Promise<void>> {
  const copy = `${directory}-kept`;
  await cp(directory, copy, { recursive: true });
  return async () => {
    await rm(directory, { recursive: true });
    await cp(copy, directory, { recursive: true });
  };
}

/** An audit's findings, and how many blocks it has read. */
async function tally(
  directory: string,
): Promise<{ faults: string[]; notes: readonly string[]; blocks: number; certified: number }> {
  const { faults, notes, blocks } = await audit(directory);
  const certifiedBlocks = blocks.filter((block) => block.kind === 'block' && block.certified);
  return { faults, notes, blocks: blocks.length, certified: certifiedBlocks.length };
}

/** Changes one bit after the other of the first segment file; each must be found, by an audit and by a start. */
async function expectEachFound(directory: string, places: readonly number[]): Promise<void> {
  const path = segment(directory, 0);
  const bytes = await readFile(path);
  const putBack = await keep(directory);
  for (const at of places) {
    const changed = Uint8Array.from(bytes);
    changed[at]! ^= 1 << (at % 8);
    await writeFile(path, changed);
    expect((await audit(directory)).faults, `byte ${at}`).to.have.length.greaterThan(0);
    expect(await codeOf(openLedger(directory, genesis)), `byte ${at}`).to.equal('ledger_corrupt');
    await putBack();
  }
}

/** From `from` to below `to`. */
function everyNth(n: number, from: number, to: number): number[] {
  return Array.from({ length: Math.ceil((to - from) / n) }, (_, index) => from + n * index);
}

async function expectChain(ledger: Ledger, upTo: number): Promise<void> {
  for (const { block, txIds } of chain.slice(0, upTo)) {
    const { number } = block.header;
    expect((await ledger.storedBlock(number))?.data).to.deep.equal(block.data);
    for (const [index, txId] of txIds.entries()) {
      const location = await ledger.transaction(txId ?? '');
      expect(location, `block ${number}`).to.deep.equal({ blockNumber: number, index });
    }
  }
}

describe('ledger/store: blocks that LevelDB was not told of before a crash', () => {
  for (const certifiedUpTo of [12, 9, 3]) {
    it(`are there after a start, ${certifiedUpTo} with certificates`, async () => {
      await inTemporaryFolder(async (folder) => {
        const { directory } = await makeCrashed(folder, certifiedUpTo);
        const ledger = await openLedger(directory, genesis);
        expect([ledger.storedHeight(), ledger.certifiedHeight()]).to.deep.equal([
          13,
          certifiedUpTo + 1,
        ]);
        expect(ledger.tornLogs).to.deep.equal([]);
        await expectChain(ledger, 12);
        for (let number = certifiedUpTo + 1; number <= 12; number += 1) {
          await ledger.attachCertificate(number, makeCertificate(number));
        }
        for (const built of chain) {
          expect(await ledger.block(built.block.header.number)).to.deep.equal(serialized(built));
        }
        await ledger.appendCertified([certified(makeBlock(chain[11]!.block.header))]);
        await ledger.close();
        expect(await tally(directory)).to.deep.include({
          faults: [],
          notes: [],
          blocks: 14,
          certified: 14,
        });
      });
    });
  }

  it('are in an audit before the next start, with a word about it', async () => {
    await inTemporaryFolder(async (folder) => {
      const { directory } = await makeCrashed(folder, 9);
      const { faults, notes, blocks, certified: count } = await tally(directory);
      expect(faults).to.deep.equal([]);
      expect(notes).to.have.length(1);
      expect(notes[0]).to.match(/the newest 5 blocks are not in LevelDB yet \(from block 8 on\)/);
      expect([blocks, count]).to.deep.equal([13, 10]);
      const snapshot = await LedgerSnapshot.open({ directory });
      const ids = [chain[1], chain[10]].map((built) => built?.txIds[1] ?? '');
      expect(await snapshot.transactions(ids)).to.deep.equal([
        { blockNumber: 2, index: 1 },
        { blockNumber: 11, index: 1 },
      ]);
      await snapshot.close();
    });
  });

  it('are there up to where the crash cut the file off, wherever that is', async function () {
    this.timeout(60_000);
    await inTemporaryFolder(async (folder) => {
      const { directory, start } = await makeCrashed(folder);
      const path = segment(directory, 0);
      const bytes = await readFile(path);
      const putBack = await keep(directory);
      const each = (bytes.length - start) / 5;
      for (let end = start; end <= bytes.length; end += 97) {
        await truncate(path, end);
        const whole = Math.floor((end - start) / each);
        const isTorn = (end - start) % each !== 0;
        const audited = await tally(directory);
        expect(audited, `cut at ${end}`).to.deep.include({ faults: [], blocks: 1 + KNOWN + whole });
        const ledger = await openLedger(directory, genesis);
        expect(ledger.storedHeight(), `cut at ${end}`).to.equal(1 + KNOWN + whole);
        expect(ledger.tornLogs.length).to.equal(isTorn ? 1 : 0);
        await ledger.appendCertified(chain.slice(KNOWN + whole).map(certified));
        await ledger.close();
        const again = await openLedger(directory, genesis);
        expect([again.storedHeight(), again.tornLogs.length]).to.deep.equal([13, 0]);
        await again.close();
        expect(await readFile(path)).to.deep.equal(bytes);
        await putBack();
      }
    });
  });

  it('count as cut off when a part of them was never written', async () => {
    await inTemporaryFolder(async (folder) => {
      const { directory, start } = await makeCrashed(folder);
      const path = segment(directory, 0);
      const bytes = await readFile(path);
      // One call wrote the last four blocks, and a page in their midst did not reach the disk.
      const sector = Math.ceil((start + (bytes.length - start) / 5) / 512) * 512;
      await writeFile(path, bytes.fill(0, sector, sector + 512));
      expect((await audit(directory)).faults).to.deep.equal([]);
      const ledger = await openLedger(directory, genesis);
      expect([ledger.storedHeight(), ledger.tornLogs.length]).to.deep.equal([2 + KNOWN, 1]);
      await ledger.appendCertified(chain.slice(KNOWN + 1).map(certified));
      await ledger.close();
      expect((await audit(directory)).faults).to.deep.equal([]);
    });
  });

  it('are not taken when a byte of them has changed', async function () {
    this.timeout(60_000);
    await inTemporaryFolder(async (folder) => {
      const { directory, start } = await makeCrashed(folder);
      const { size } = await stat(segment(directory, 0));
      const last = start + ((size - start) * 4) / 5;
      // A length that leads beyond the end of the file looks as if the crash had come there.
      const isLength = (at: number): boolean => at >= last + 16 && at < last + 28;
      await expectEachFound(
        directory,
        everyNth(71, start, size).filter((at) => !isLength(at)),
      );
    });
  });

  it('are no business of a ledger that was closed in order', async () => {
    await inTemporaryFolder(async (folder) => {
      const { directory } = await makeCrashed(folder);
      const other = join(folder, 'other');
      await (await openLedger(other, genesis)).close();
      // LevelDB and the record of the stop agree on a new ledger; there are blocks all the same.
      await cp(segment(directory, 0), segment(other, 0));
      expect(await codeOf(openLedger(other, genesis))).to.equal('ledger_corrupt');
      expect((await audit(other)).faults.join()).to.match(/closed at "stored 1 /);
    });
  });

  it('that were cut away come back, when the crash came before the files were cut', async () => {
    await inTemporaryFolder(async (folder) => {
      const directory = join(folder, 'main');
      const ledger = await openLedger(directory, genesis);
      await append(ledger, chain, 3);
      const whole = await readFile(segment(directory, 0));
      await ledger.truncateUncertified(6);
      expect((await sizes(directory))[0]).to.be.lessThan(whole.length);
      await ledger.close();
      await rm(join(directory, 'clean-stop'));
      await writeFile(segment(directory, 0), whole);
      const again = await openLedger(directory, genesis);
      expect(again.storedHeight()).to.equal(13);
      await expectChain(again, 12);
      await again.close();
      expect((await audit(directory)).faults).to.deep.equal([]);
    });
  });
});

async function sizes(directory: string): Promise<number[]> {
  const segments = await listSegments(join(directory, 'segments'));
  return Promise.all(segments.map(async (n) => (await stat(segment(directory, n))).size));
}

describe('ledger/store: segment files', () => {
  it('are left for the next when they are full, and cut back across their borders', async () => {
    await inTemporaryFolder(async (directory) => {
      const ledger = await openSmall(directory, 1500);
      await Promise.all(chain.map((built) => ledger.appendBlocks([built])));
      const found = await sizes(directory);
      expect(found.length).to.be.greaterThan(3);
      for (const size of found.slice(0, -1)) expect(size).to.be.within(1500, 1500 * 2);
      await expectChain(ledger, 12);
      await ledger.truncateUncertified(3);
      expect((await sizes(directory)).length).to.be.lessThan(3);
      await ledger.close();
      const again = await openSmall(directory, 1500);
      expect(again.storedHeight()).to.equal(3);
      await again.appendCertified(chain.slice(2).map(certified));
      await again.close();
      expect(await sizes(directory)).to.have.length(found.length);
      expect(await tally(directory)).to.deep.include({ faults: [], blocks: 13 });
      const last = await openLedger(directory, genesis);
      await expectChain(last, 12);
      await last.close();
    });
  });

  it('that are full are told from those that are damaged after a crash', async () => {
    await inTemporaryFolder(async (folder) => {
      const directory = join(folder, 'main');
      const first = await openSmall(directory, 1500);
      await first.close();
      await cp(join(directory, 'db'), join(folder, 'old'), { recursive: true });
      const ledger = await openSmall(directory, 1500);
      await ledger.appendCertified(chain.map(certified));
      await ledger.close();
      await rm(join(directory, 'clean-stop'));
      await rm(join(directory, 'db'), { recursive: true });
      await cp(join(folder, 'old'), join(directory, 'db'), { recursive: true });
      const putBack = await keep(directory);
      const [size = 0] = await sizes(directory);
      await truncate(segment(directory, 0), size - 10);
      expect(await codeOf(openSmall(directory, 1500))).to.equal('ledger_corrupt');
      await putBack();
      await rm(segment(directory, 1));
      expect((await audit(directory)).faults.join()).to.match(
        /the segment file after 0 is missing/,
      );
      expect(await codeOf(openSmall(directory, 1500))).to.equal('ledger_corrupt');
      await putBack();
      const again = await openSmall(directory, 1500);
      expect(again.storedHeight()).to.equal(13);
      await expectChain(again, 12);
      await again.close();
    });
  });

  it('are missed when they are gone, and not written over when LevelDB is', async () => {
    await inTemporaryFolder(async (folder) => {
      const directory = join(folder, 'main');
      const ledger = await openSmall(directory, 1500);
      await ledger.appendCertified(chain.map(certified));
      await ledger.close();
      const putBack = await keep(directory);
      await rm(segment(directory, 1));
      expect(await codeOf(openSmall(directory, 1500))).to.equal('ledger_corrupt');
      expect((await audit(directory)).faults.join()).to.match(
        /block \d+ is not where LevelDB says/,
      );
      await putBack();
      await rm(join(directory, 'db'), { recursive: true });
      await rm(join(directory, 'clean-stop'));
      expect(await codeOf(openSmall(directory, 1500))).to.equal('ledger_corrupt');
      expect((await sizes(directory)).length).to.be.greaterThan(1);
    });
  });

  it('have no byte that may change unnoticed', async function () {
    this.timeout(60_000);
    await inTemporaryFolder(async (folder) => {
      const directory = join(folder, 'main');
      const ledger = await openLedger(directory, genesis);
      await ledger.appendCertified(chain.slice(0, 4).map(certified));
      await ledger.close();
      const path = segment(directory, 0);
      const bytes = await readFile(path);
      await expectEachFound(directory, everyNth(37, 0, bytes.length));
      await writeFile(path, Buffer.concat([bytes, Uint8Array.of(0)]));
      expect((await audit(directory)).faults.concat((await audit(directory)).notes)).to.have.length(
        1,
      );
      expect(await codeOf(openLedger(directory, genesis))).to.equal('ledger_corrupt');
    });
  });
});
