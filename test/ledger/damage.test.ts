import { copyFile, cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Level } from 'level';
import { encodeBlock, joinBlock } from '../../ledger/format/index.ts';
import { crc32c } from '../../ledger/store/crc32c.ts';
import { LedgerSnapshot, readBlockFiles } from '../../ledger/store/index.ts';
import { scanLog, scanLogs } from '../../ledger/store/log-scan.ts';
import {
  blockKey,
  decodeBlockEntry,
  encodeBlockEntry,
  FORMAT_VERSION,
  KIND,
  seal,
  transactionKey,
} from '../../ledger/store/records.ts';
import {
  audit,
  type BuiltBlock,
  certified,
  codeOf,
  inTemporaryFolder,
  makeChain,
  makeGenesis,
  openLedger,
  rawBlocks,
  serialized,
} from './helpers.ts';

const genesis = makeGenesis();
const chain = makeChain(genesis, 12, 2);

/** A ledger with every block certified, closed in order. */
async function makeLedger(directory: string, blocks: readonly BuiltBlock[] = chain): Promise<void> {
  const ledger = await openLedger(directory, genesis);
  for (const built of blocks) await ledger.appendCertified([certified(built)]);
  await ledger.close();
}

/** As kill -9 leaves it: without the record of a clean stop, the newest blocks in LevelDB's log. */
async function makeKilledLedger(directory: string): Promise<void> {
  await makeLedger(directory);
  await rm(join(directory, 'clean-stop'));
}

/** Changes records behind the ledger's back. */
async function tamper(
  directory: string,
  change: (database: Level<Uint8Array, Uint8Array>) => Promise<void>,
): Promise<void> {
  const database = new Level<Uint8Array, Uint8Array>(join(directory, 'db'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
  });
  await database.open();
  await change(database);
  await database.close();
}

async function logFile(directory: string): Promise<string> {
  const names = await readdir(join(directory, 'db'));
  const sizes = await Promise.all(
    names
      .filter((name) => name.endsWith('.log'))
      .map(async (name) => ({ name, size: (await stat(join(directory, 'db', name))).size })),
  );
  const [largest] = sizes.sort((a, b) => b.size - a.size);
  return join(directory, 'db', largest?.name ?? '');
}

async function faultsOfFolder(directory: string): Promise<string[]> {
  return (await audit(directory)).faults;
}

describe('ledger/store: damaged records', () => {
  const cases: [string, (database: Level<Uint8Array, Uint8Array>) => Promise<void>, RegExp][] = [
    [
      'a changed byte in a block',
      async (database) => {
        const key = blockKey(KIND.BLOCK, 5);
        const value = (await database.get(key)) ?? new Uint8Array();
        await database.put(
          key,
          Uint8Array.from(value, (byte, i) => byte ^ +(i === 30)),
        );
      },
      /^block 5 does not match its checksum/,
    ],
    ['a missing block', (database) => database.del(blockKey(KIND.BLOCK, 7)), /^block 7 is missing/],
    [
      'a block in the place of another, with a fitting checksum',
      async (database) => {
        const value = (await database.get(blockKey(KIND.BLOCK, 3))) ?? new Uint8Array();
        const key = blockKey(KIND.BLOCK, 4);
        await database.put(key, seal(key, value.subarray(4)));
      },
      /^block 4 is not the one that LevelDB names/,
    ],
    [
      'a place where no block begins',
      async (database) => {
        const key = blockKey(KIND.BLOCK, 6);
        const { place, header } = decodeBlockEntry(((await database.get(key)) ?? key).subarray(4));
        const entry = encodeBlockEntry({ place: { ...place, offset: place.offset + 1 }, header });
        await database.put(key, seal(key, entry));
      },
      /^block 6 does not match its checksum/,
    ],
    [
      'a missing certificate',
      (database) => database.del(blockKey(KIND.SIGNATURES, 2)),
      /^the certificate of block 2 is missing/,
    ],
    [
      'a block beyond the tip',
      (database) => database.put(blockKey(KIND.BLOCK, 99), new Uint8Array(4)),
      /later ones are stored/,
    ],
    ['a missing tip', (database) => database.del(Uint8Array.of(KIND.TIP)), /^the tip record is mi/],
    [
      'a missing format record',
      (database) => database.del(Uint8Array.of(KIND.FORMAT)),
      /^the format record is missing/,
    ],
  ];
  for (const [name, change, message] of cases) {
    it(`${name}: refused, and found by an audit`, async () => {
      await inTemporaryFolder(async (directory) => {
        await makeLedger(directory);
        await tamper(directory, change);
        const error = await openLedger(directory, genesis).catch((caught: unknown) => caught);
        expect(error).to.have.property('code', 'ledger_corrupt');
        expect(error).to.have.property('message').that.matches(message);
        expect(await faultsOfFolder(directory)).to.not.deep.equal([]);
      });
    });
  }

  it('a changed index entry is noticed when it is read', async () => {
    await inTemporaryFolder(async (directory) => {
      await makeLedger(directory);
      const txId = chain[0]!.txIds[0] ?? '';
      await tamper(directory, async (database) => {
        const value = (await database.get(transactionKey(txId))) ?? new Uint8Array();
        await database.put(transactionKey(txId), value.with(15, 9));
      });
      const ledger = await openLedger(directory, genesis);
      expect(await codeOf(ledger.transaction(txId))).to.equal('ledger_corrupt');
      await ledger.close();
    });
  });

  it('a ledger of a later format is refused', async () => {
    await inTemporaryFolder(async (directory) => {
      await makeLedger(directory);
      await tamper(directory, async (database) => {
        const key = Uint8Array.of(KIND.FORMAT);
        const value = (await database.get(key)) ?? new Uint8Array();
        await database.put(key, seal(key, value.subarray(4).with(3, FORMAT_VERSION + 1)));
      });
      expect(await codeOf(openLedger(directory, genesis))).to.equal('format_version');
      expect(await codeOf(LedgerSnapshot.open({ directory }))).to.equal('format_version');
    });
  });

  it('an older state of the folder under the record of a clean stop is refused', async () => {
    await inTemporaryFolder(async (folder) => {
      const directory = join(folder, 'main');
      await makeLedger(directory, chain.slice(0, 6));
      await cp(join(directory, 'db'), join(folder, 'old'), { recursive: true });
      const ledger = await openLedger(directory, genesis);
      await ledger.appendCertified(chain.slice(6).map(certified));
      await ledger.close();
      await rm(join(directory, 'db'), { recursive: true });
      await cp(join(folder, 'old'), join(directory, 'db'), { recursive: true });
      expect(await codeOf(openLedger(directory, genesis))).to.equal('ledger_corrupt');
      expect((await faultsOfFolder(directory)).join()).to.match(/closed at "stored 13/);
    });
  });
});

describe('ledger/store: a damaged log', () => {
  it('every changed byte is found, by the replica and by an audit, after an orderly stop', async function () {
    this.timeout(30_000);
    await inTemporaryFolder(async (folder) => {
      const directory = join(folder, 'main');
      await makeLedger(directory, chain.slice(0, 3));
      const path = await logFile(directory);
      const bytes = await readFile(path);
      expect(bytes.length).to.be.greaterThan(1000);
      await cp(directory, join(folder, 'sound'), { recursive: true });
      for (let position = 0; position < bytes.length; position += 61) {
        const changed = Uint8Array.from(bytes);
        changed[position]! ^= 1 << (position % 8);
        await writeFile(path, changed);
        expect(await faultsOfFolder(directory), `byte ${position}`).to.not.deep.equal([]);
        const code = await codeOf(openLedger(directory, genesis));
        expect(code, `byte ${position}`).to.equal('ledger_corrupt');
        await rm(directory, { recursive: true });
        await cp(join(folder, 'sound'), directory, { recursive: true });
      }
    });
  });

  it('a changed byte is found after kill -9, and the block is named', async () => {
    await inTemporaryFolder(async (directory) => {
      await makeKilledLedger(directory);
      const path = await logFile(directory);
      const bytes = await readFile(path);
      const key = Buffer.from(blockKey(KIND.BLOCK, 6));
      const position = bytes.indexOf(key) + 100;
      bytes[position]! ^= 1;
      await writeFile(path, bytes);
      const error = await openLedger(directory, genesis).catch((caught: unknown) => caught);
      expect(error).to.have.property('code', 'ledger_corrupt');
      expect((await faultsOfFolder(directory)).join()).to.match(/log, byte \d+: .*checksum/);
    });
  });

  it('a log that a crash cut off is read up to there', async () => {
    await inTemporaryFolder(async (directory) => {
      await makeKilledLedger(directory);
      const path = await logFile(directory);
      const bytes = await readFile(path);
      await writeFile(path, bytes.subarray(0, bytes.length - 200));
      const snapshot = await LedgerSnapshot.open({ directory });
      expect(snapshot.faults).to.deep.equal([]);
      expect(snapshot.notes.join()).to.match(/a crash cut off the last write/);
      await snapshot.close();
      const ledger = await openLedger(directory, genesis);
      expect(ledger.tornLogs).to.have.length(1);
      expect([ledger.storedHeight(), ledger.certifiedHeight()]).to.deep.equal([13, 13]);
      await ledger.close();
      expect(await faultsOfFolder(directory)).to.deep.equal([]);
    });
  });

  it('pages that were never written pass for a crash, changed lengths do not', async () => {
    await inTemporaryFolder(async (directory) => {
      await makeKilledLedger(directory);
      const bytes = new Uint8Array(await readFile(await logFile(directory)));
      expect(scanLog(bytes, 'x')).to.equal(undefined);
      const zeros = bytes.slice();
      zeros.fill(0, Math.floor((bytes.length - 700) / 512) * 512);
      expect(scanLog(zeros, 'x')?.kind).to.equal('torn');
      const longer = new Uint8Array(bytes.length + 3000);
      longer.set(bytes);
      expect(scanLog(longer, 'x')?.kind).to.equal('torn');
      const length = bytes.slice();
      length[5]! ^= 0x70;
      expect(scanLog(length, 'x')).to.include({ kind: 'changed', offset: 0 });
      expect(crc32c(new TextEncoder().encode('123456789'), 0, 9)).to.equal(0xe3069283);
      expect(await scanLogs(join(directory, 'absent'))).to.deep.equal([]);
    });
  });
});

describe('ledger/store: audits of a stopped replica', () => {
  it('reads every block as stored, uncertified ones included, and changes nothing', async () => {
    await inTemporaryFolder(async (directory) => {
      const ledger = await openLedger(directory, genesis);
      await ledger.appendCertified(chain.slice(0, 10).map(certified));
      await ledger.appendBlocks(chain.slice(10));
      await ledger.close();
      const before = await contents(directory);
      const snapshot = await LedgerSnapshot.open({ directory });
      expect(snapshot).to.include({ channel: 'main', storedHeight: 13, certifiedHeight: 11 });
      expect(snapshot.faults).to.deep.equal([]);
      const blocks = await rawBlocks(snapshot);
      for (const raw of blocks) {
        if (raw.kind === 'missing') throw new Error(raw.fault);
        const { header, data, metadata } = raw.parts;
        const bytes = joinBlock(header, data, metadata);
        const built = chain[raw.number - 1];
        const expected = built === undefined ? encodeBlock(genesis) : undefined;
        expect(raw.certified).to.equal(raw.number < 11);
        if (built !== undefined && raw.certified) {
          expect(bytes).to.deep.equal(serialized(built));
        } else {
          expect(bytes).to.deep.equal(expected ?? encodeBlock(built?.block ?? genesis));
        }
      }
      const txId = chain[4]!.txIds[1] ?? '';
      const found = await snapshot.transactions([txId, 'ab'.repeat(32), 'no id']);
      expect(found).to.deep.equal([{ blockNumber: 5, index: 1 }, undefined, undefined]);
      expect(await codeOf(openLedger(directory, genesis))).to.equal('ledger_locked');
      await snapshot.close();
      expect(await contents(directory)).to.deep.equal(before);
    });
  });

  it('never takes a changed byte in LevelDB’s tables for what was written', async function () {
    this.timeout(30_000);
    await inTemporaryFolder(async (parent) => {
      const directory = join(parent, 'main');
      await makeLedger(directory, makeChain(genesis, 120));
      // Opening turns the log into a table.
      await tamper(directory, () => Promise.resolve());
      const folder = join(directory, 'db');
      const names = (await readdir(folder)).filter((name) => name.endsWith('.ldb'));
      expect(names).to.have.length(1);
      const path = join(folder, names[0] ?? '');
      const bytes = await readFile(path);
      const sound = await audit(directory);
      expect(sound.faults).to.deep.equal([]);
      await cp(directory, join(parent, 'sound'), { recursive: true });
      let tried = 0;
      let named = 0;
      for (let position = 10; position < bytes.length; position += 229) {
        const changed = Uint8Array.from(bytes);
        changed[position]! ^= 1 << (position % 8);
        await writeFile(path, changed);
        const error = await audit(directory).catch((caught: unknown) => caught);
        const opened = await codeOf(openLedger(directory, genesis));
        // The padding of the footer is the only thing that nothing depends on.
        if (position > bytes.length - 48 && opened === 'none') {
          expect(error).to.deep.equal(sound);
        } else {
          expect(error, `byte ${position}`).to.have.property('code', 'ledger_corrupt');
          expect(opened, `byte ${position}`).to.equal('ledger_corrupt');
          tried += 1;
        }
        if (error instanceof Error && /headers of blocks/.test(error.message)) named += 1;
        await rm(directory, { recursive: true });
        await cp(join(parent, 'sound'), directory, { recursive: true });
      }
      expect(tried).to.be.greaterThan(60);
      expect(named).to.be.greaterThan(30);
    });
  });

  it('opens, and audits, over a table that a crash has left half-written', async () => {
    await inTemporaryFolder(async (parent) => {
      const directory = join(parent, 'main');
      await makeLedger(directory);
      await tamper(directory, () => Promise.resolve());
      const folder = join(directory, 'db');
      const [table] = (await readdir(folder)).filter((name) => name.endsWith('.ldb'));
      const path = join(folder, table ?? '');
      const bytes = await readFile(path);
      const sound = await audit(directory);
      // A compaction's output: it has a number of its own, and the manifest does not name it.
      const orphan = join(folder, '000999.ldb');
      await writeFile(orphan, bytes.subarray(0, bytes.length >> 1));
      expect(await audit(directory)).to.deep.equal(sound);
      await (await openLedger(directory, genesis)).close();
      const remaining = await readdir(folder);
      expect(remaining).to.include(table).and.not.include('000999.ldb');
      await writeFile(path, bytes.subarray(0, bytes.length >> 1));
      expect(await codeOf(openLedger(directory, genesis))).to.equal('ledger_corrupt');
    });
  });

  it('says when there is no ledger', async () => {
    await inTemporaryFolder(async (directory) => {
      expect(await codeOf(LedgerSnapshot.open({ directory }))).to.equal('ledger_missing');
    });
  });
});

async function contents(directory: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found[path] = (await readFile(path)).toString('base64');
  }
  return found;
}

describe('ledger/store: folders of block files', () => {
  it('are read in order, gaps and doubles named', async () => {
    await inTemporaryFolder(async (folder) => {
      const directory = join(folder, 'blocks');
      await mkdir(directory);
      for (const number of [10, 2, 0, 1]) {
        const name = `${String(number).padStart(4, '0')}.block`;
        await writeFile(join(directory, name), Uint8Array.of(number));
      }
      await copyFile(join(directory, '0001.block'), join(directory, '1.block'));
      await writeFile(join(directory, 'README.md'), 'no block');
      const seen: string[] = [];
      for await (const file of readBlockFiles(directory)) {
        if (file.kind === 'block') seen.push(`${file.number}=${file.bytes.join()}`);
        else if (file.kind === 'gap') seen.push(`gap ${file.from}-${file.to}`);
        else seen.push(`unusable ${file.file}`);
      }
      expect(seen).to.deep.equal(['0=0', '1=1', 'unusable 1.block', '2=2', 'gap 3-9', '10=10']);
      const empty = readBlockFiles(join(folder, 'absent')).next();
      expect(await codeOf(empty)).to.equal('ledger_missing');
    });
  });
});
