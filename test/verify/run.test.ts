import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { METADATA, parseEnvelope } from '../../ledger/format/index.ts';
import { Ledger } from '../../ledger/store/index.ts';
import { KIND } from '../../ledger/store/records.ts';
import { formatReport } from '../../scripts/verify/report.ts';
import { type VerifyReport, type VerifyRequest, verifyChains } from '../../scripts/verify/run.ts';
import { SourceError } from '../../scripts/verify/sources.ts';
import { compact, hideKey, inDatabase, tablesIn } from '../ledger/tables.ts';
import { createTestChain, type TestChain } from '../support/chain.ts';
import { createChainService } from '../support/chain-service.ts';
import { sha256 } from '../support/hash.ts';
import { serveQuietly } from '../support/serve.ts';
import { placeOf } from './memory-source.ts';

const NOTHING: VerifyRequest = { data: [], urls: [], blocks: [], threads: 1 };

describe('auditor: from ledgers, folders and replicas', () => {
  let chain: TestChain;
  let base: string;

  before(async () => {
    chain = await createTestChain({ consenters: 1, blocks: 4, transactions: 2 });
  });

  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'sluice-verify-'));
  });

  afterEach(() => {
    rmSync(base, { recursive: true, force: true });
  });

  function writeFolder(name: string, blocks: readonly Uint8Array[]): string {
    const folder = join(base, name);
    mkdirSync(folder);
    blocks.forEach((bytes, number) => {
      writeFileSync(join(folder, `${String(number).padStart(4, '0')}.block`), bytes);
    });
    return folder;
  }

  /** Stores the chain as a replica does; `certified` blocks have their certificate. */
  async function openLedger(
    name: string,
    certified = Number.POSITIVE_INFINITY,
    stored = chain,
  ): Promise<Ledger> {
    const directory = join(base, name, 'ledger', stored.channel);
    mkdirSync(directory, { recursive: true });
    const genesisBlock = stored.blocks[0] as Uint8Array;
    const ledger = await Ledger.open({ directory, channel: 'main', genesisBlock }, { sha256 });
    for (let number = 1; number < stored.blocks.length; number++) {
      const block = stored.decoded(number);
      const txIds = block.data.map((entry) => {
        const parsed = parseEnvelope(entry);
        return parsed.kind === 'ok' ? parsed.value.channelHeader.txId : undefined;
      });
      const certificate = block.metadata[METADATA.SIGNATURES] as Uint8Array;
      const metadata = block.metadata.map(() => new Uint8Array(0));
      await ledger.appendBlocks([{ block: { ...block, metadata }, txIds }]);
      if (number < certified) await ledger.attachCertificate(number, certificate);
    }
    return ledger;
  }

  async function storeLedger(name: string, certified?: number): Promise<string> {
    await (await openLedger(name, certified)).close();
    return join(base, name);
  }

  function placesOf({ findings }: VerifyReport): string[] {
    return findings.map(placeOf);
  }

  async function sourceErrorOf(request: Partial<VerifyRequest>): Promise<SourceError> {
    try {
      await verifyChains({ ...NOTHING, ...request });
    } catch (error) {
      if (error instanceof SourceError) return error;
      throw error;
    }
    throw new Error('nothing was thrown');
  }

  it('compares stopped replicas, found anywhere below the folder', async () => {
    await storeLedger('replica-1');
    await storeLedger('replica-2');
    const report = await verifyChains({ ...NOTHING, data: [base] });
    expect(report).to.include({ verdict: 'good', blocks: 5, transactions: 9, faults: 0 });
    expect(report.sources.map(({ name }) => name)).to.deep.equal([
      join(base, 'replica-1', 'ledger', 'main'),
      join(base, 'replica-2', 'ledger', 'main'),
    ]);
    expect(report.signatures).to.equal(4 * 3);
    expect(report.findings).to.deep.equal([]);
    expect(formatReport(report).at(-1)).to.equal('GOOD: 2 sources, one chain');
  });

  it('says that a replica is running in the folder, and lets it be', async () => {
    const ledger = await openLedger('replica-1');
    try {
      const error = await sourceErrorOf({ data: [base] });
      expect(error.kind).to.equal('failed');
      expect(error.message).to.include('close it first');
      expect(ledger.storedHeight()).to.equal(5);
    } finally {
      await ledger.close();
    }
  });

  it('takes a tail without certificates for what a crash leaves', async () => {
    await storeLedger('replica-1', 3);
    await storeLedger('replica-2');
    const report = await verifyChains({ ...NOTHING, data: [base] });
    expect(report.verdict).to.equal('good');
    expect(placesOf(report)).to.deep.equal(['not_certified@3']);
  });

  it('finds a changed byte in the files of a stopped replica', async () => {
    const folder = await storeLedger('replica-1');
    const file = join(folder, 'ledger', 'main', 'segments', '000000.seg');
    const bytes = readFileSync(file);
    const needle = chain.decoded(2).data[1] as Uint8Array;
    const at = bytes.indexOf(needle);
    expect(at).to.be.greaterThan(0);
    bytes[at + 20] = (bytes[at + 20] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const report = await verifyChains({ ...NOTHING, data: [folder] });
    expect(report.verdict).to.equal('bad');
    expect(placesOf(report)[0]).to.equal('damaged_record@2');
  });

  it('says what is wrong with a ledger that cannot be opened, and is all there is', async () => {
    const folder = await storeLedger('replica-1');
    writeFileSync(join(folder, 'ledger', 'main', 'db', 'CURRENT'), 'MANIFEST-999999\n');
    const report = await verifyChains({ ...NOTHING, data: [folder] });
    expect(report.verdict).to.equal('bad');
    expect(placesOf(report)).to.deep.equal(['source_damaged@']);
    expect(formatReport(report).join('\n')).to.include('move the whole folder of the channel away');
  });

  it('finds a transaction that is there twice, and where the index has it', async () => {
    const twice = await createTestChain({ consenters: 1, blocks: 2, transactions: 2 });
    const first = twice.decoded(2).data[1] as Uint8Array;
    twice.append([twice.envelope('a').envelope, first]);
    twice.append([first, twice.envelope('b').envelope]);
    await (await openLedger('replica-1', undefined, twice)).close();
    const folder = join(base, 'replica-1');
    // The index keeps the last place that it was told; what is in tables is taken from there.
    for (const compacted of [false, true]) {
      if (compacted) await inDatabase(join(folder, 'ledger', 'main'), compact);
      for (const signatures of [false, true]) {
        const report = await verifyChains({ ...NOTHING, data: [folder], signatures });
        expect(report.verdict).to.equal('bad');
        expect(placesOf(report).sort()).to.deep.equal([
          'bad_index@2/1',
          'bad_index@3/1',
          'duplicate_transaction@3/1',
          'duplicate_transaction@4/0',
        ]);
        const [again] = report.findings.filter(
          ({ block, code }) => block === 4 && code !== 'bad_index',
        );
        expect(again?.message).to.include('stands in block 2 already');
      }
    }
  });

  it('finds a table whose filter hides an entry of the index, and says what to do', async () => {
    const folder = await storeLedger('replica-1');
    const ledger = join(folder, 'ledger', 'main');
    const [first, ...keys] = await inDatabase(ledger, async (database) => {
      await compact(database);
      return database.keys({ gte: Uint8Array.of(KIND.TRANSACTION) }).all();
    });
    expect((await verifyChains({ ...NOTHING, data: [folder] })).findings).to.deep.equal([]);
    const [table = ''] = await tablesIn(ledger);
    const path = join(ledger, 'db', table);
    // The ends of a block LevelDB is asked for in any case.
    const others = [first, keys.at(-1)].filter((key) => key !== undefined);
    writeFileSync(path, hideKey(readFileSync(path), keys[2] as Uint8Array, others));
    const report = await verifyChains({ ...NOTHING, data: [folder] });
    expect(report.verdict).to.equal('bad');
    expect(placesOf(report)).to.include('source_damaged@');
    const said = formatReport(report).join('\n');
    expect(said).to.include(`${table}, byte `).and.include('the filter hides');
    expect(said).to.include('move the whole folder of the channel away');
  });

  it('compares a running replica with a folder of block files', async () => {
    const api = await serveQuietly(createChainService(chain));
    try {
      const short = writeFolder('blocks', chain.blocks.slice(0, 4));
      const report = await verifyChains({ ...NOTHING, urls: [`${api.url}/`], blocks: [short] });
      expect(report.verdict).to.equal('good');
      expect(placesOf(report)).to.deep.equal(['source_ends_early@3']);
      const beyond = await verifyChains({ ...NOTHING, urls: [api.url], from: 2, to: 99 });
      expect(placesOf(beyond)).to.deep.equal(['source_ends_early@4']);
      const error = await sourceErrorOf({ urls: [api.url], channel: 'other' });
      expect(error.message).to.include('other');
    } finally {
      await api.close();
    }
    expect((await sourceErrorOf({ urls: [api.url] })).kind).to.equal('failed');
  });

  it('holds the sources to a pinned genesis block', async () => {
    const other = await createTestChain({ consenters: 1, blocks: 1 });
    const folder = writeFolder('a', chain.blocks);
    const wrong = writeFolder('b', other.blocks);
    const genesisFile = join(folder, '0000.block');
    const good = await verifyChains({ ...NOTHING, blocks: [folder], genesisFile });
    expect(good).to.have.nested.property('trust.pinned', true);
    expect(good.verdict).to.equal('good');
    const bad = await verifyChains({ ...NOTHING, blocks: [wrong], genesisFile });
    expect(placesOf(bad)[0]).to.equal('wrong_genesis@0');
    const range = await verifyChains({ ...NOTHING, blocks: [folder], genesisFile, from: 3 });
    expect(range).to.include({ verdict: 'good', blocks: 2 });
    expect(
      (await sourceErrorOf({ blocks: [folder], genesisFile: join(base, 'no') })).kind,
    ).to.equal('usage');
  });

  it('calls a chain bad whose own genesis block cannot be read', async () => {
    const blocks = [...chain.blocks];
    blocks[0] = (blocks[0] as Uint8Array).slice(1);
    const report = await verifyChains({ ...NOTHING, blocks: [writeFolder('a', blocks)] });
    expect(report.verdict).to.equal('bad');
    expect(placesOf(report)).to.deep.equal(['not_genesis@0']);
    // Another source's genesis block serves, and the first one is still named.
    const both = [join(base, 'a'), writeFolder('b', chain.blocks)];
    const compared = await verifyChains({ ...NOTHING, blocks: both });
    expect(placesOf(compared)).to.deep.equal(['not_genesis@0', 'undecodable_block@0']);
    expect(compared.blocks).to.equal(5);
  });

  it('says what it could not do', async () => {
    expect((await sourceErrorOf({})).message).to.include('nothing to check');
    expect((await sourceErrorOf({ data: [base] })).message).to.include('no ledger');
    expect((await sourceErrorOf({ blocks: [base] })).message).to.include('no block files');
    const folder = writeFolder('a', chain.blocks);
    const report = await verifyChains({ ...NOTHING, blocks: [folder], from: 99 });
    expect(report.verdict).to.equal('unchecked');
    expect(placesOf(report)).to.deep.equal(['nothing_checked@']);
  });

  it('can be interrupted, and says so', async () => {
    const folder = writeFolder('a', chain.blocks);
    const interrupted = new AbortController();
    const report = await verifyChains(
      { ...NOTHING, blocks: [folder] },
      {
        signal: interrupted.signal,
        onProgress: ({ height }) => {
          if (height === 1) interrupted.abort();
        },
      },
    );
    expect(report).to.include({ verdict: 'unchecked', blocks: 2 });
    expect(placesOf(report)).to.deep.equal(['interrupted@2']);
  });

  it('spreads signatures over threads with the same result, and says when it checks none', async () => {
    const folder = writeFolder('a', chain.blocks);
    const two = await verifyChains({ ...NOTHING, blocks: [folder], threads: 2 });
    expect(two).to.include({ verdict: 'good', signatures: 12 });
    const none = await verifyChains({ ...NOTHING, blocks: [folder], signatures: false });
    expect(none).to.include({ verdict: 'good', signatures: 0 });
    expect(none.notChecked[0]).to.include('no signature at all');
  });

  it('reads on in the memory of blocks that it is done with, where no signature waits for them', async () => {
    const long = await createTestChain({ consenters: 1, blocks: 0 });
    const blockBytes = 300_000;
    for (let number = 1; number <= 16; number++) {
      const data = new Uint8Array(blockBytes).fill(number);
      long.append([long.envelope(data).envelope, long.envelope(`${number}`).envelope]);
    }
    for (const name of ['replica-1', 'replica-2']) {
      await (await openLedger(name, undefined, long)).close();
    }
    const whole = await verifyChains({ ...NOTHING, data: [base], signatures: false });
    expect(whole).to.include({ verdict: 'good', blocks: 17, transactions: 33, faults: 0 });
    const damaged = join(base, 'replica-2', 'ledger', 'main', 'segments', '000000.seg');
    const bytes = readFileSync(damaged);
    bytes[bytes.indexOf(Buffer.alloc(100, 14))]! ^= 1;
    writeFileSync(damaged, bytes);
    const report = await verifyChains({ ...NOTHING, data: [base], signatures: false });
    expect(report).to.include({ verdict: 'bad', blocks: 18 });
    expect(new Set(report.findings.map(({ block }) => block))).to.deep.equal(new Set([14]));
  });
});
