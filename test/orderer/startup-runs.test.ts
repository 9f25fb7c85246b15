/** Which run a replica resumes, begins, joins or leaves (docs/protocol.md, B1 and B6 to B11). */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { readRunRecord } from '../../orderer/startup/run-record.ts';
import { type NodeOptions, reportOnly, useStartExchange } from './fixtures/start-exchange.ts';

describe('the run that a replica takes part in', function () {
  this.timeout(20_000);
  const t = useStartExchange();
  const {
    addNode,
    openNode,
    begin,
    until,
    allStarted,
    honestReport,
    recordFile,
    logFolder,
    writeLog,
    runFrom,
    entries,
    nodes,
    liars,
    sent,
  } = t;

  it('begins a run once, and after a restart without its log joins it', async () => {
    const running = { ...honestReport(4), base: { ...runFrom(4, 3), mute: false } };
    for (const peer of [0, 1, 2]) liars.set(peer, reportOnly(running));
    const first = await addNode(3, 4);
    begin();
    await until('it has begun', allStarted);
    await first.sync.close();
    const again = openNode(3, first.ledger);
    begin();
    await until('it has joined', allStarted);
    expect(first.entered).to.deep.equal([{ run: runFrom(4, 3), entry: 'begin' }]);
    expect(again.entered).to.deep.equal([{ run: runFrom(4, 3), entry: 'join' }]);
    const own = sent.filter(({ from, message }) => from === 3 && message.kind === 'report');
    const last = own.at(-1)?.message;
    expect(last?.kind === 'report' && last.report.base).to.include({ generation: 3, mute: true });
    again.sync.onMember();
    await until('it says that it votes again', () => {
      const message = sent.at(-1)?.message;
      return message?.kind === 'report' && message.report.base?.mute === false;
    });
  });

  it('joins when its folder was emptied, although it believes never to have begun', async () => {
    const running = { ...honestReport(4), base: { ...runFrom(1, 1), mute: false } };
    for (const peer of [0, 1, 2]) liars.set(peer, reportOnly(running));
    const node = await addNode(3, 1, { record: undefined });
    begin();
    await until('it has joined', allStarted);
    expect(node.entered).to.deep.equal([{ run: runFrom(1, 1), entry: 'join' }]);
  });

  it('resumes its own run at once, asking nobody', async () => {
    const run = runFrom(2, 5);
    writeLog(3, run);
    const node = await addNode(3, 4, { durability: 'wal', record: { promised: run, run } });
    begin();
    await until('it has resumed', allStarted);
    expect(node.entered).to.deep.equal([{ run, entry: 'restore' }]);
    expect(existsSync(logFolder(3))).to.equal(true);
  });

  it('does not resume what it has promised to leave, nor in memory mode, nor another run', async () => {
    const run = runFrom(4, 5);
    const running = { ...honestReport(4), base: { ...runFrom(4, 6), mute: false } };
    for (const peer of [0, 1, 2]) liars.set(peer, reportOnly(running));
    const cases: NodeOptions[] = [
      { durability: 'wal', record: { promised: runFrom(4, 6), run } },
      { durability: 'memory', record: { promised: run, run } },
      { durability: 'wal', record: { promised: runFrom(4, 4), run: runFrom(4, 4) } },
      { durability: 'wal', record: undefined },
    ];
    for (const options of cases) {
      writeLog(3, run);
      const node = await addNode(3, 4, options);
      begin();
      await until('it has entered', allStarted);
      const entry = options.record === undefined ? 'join' : 'begin';
      expect(node.entered).to.deep.equal([{ run: runFrom(4, 6), entry }]);
      expect(existsSync(logFolder(3)), 'the old log is out of the way').to.equal(false);
      await node.sync.close();
      await node.ledger.close();
      nodes.clear();
      rmSync(join(t.folder, '3'), { recursive: true });
      rmSync(recordFile(3));
    }
    const kept = readdirSync(t.folder).filter((name) => name.startsWith('3.log'));
    expect(kept.sort()).to.deep.equal(['3.log.abandoned-1', '3.log.abandoned-2']);
  });

  it('goes over from its own run to the one that the others are in by now', async () => {
    const run = runFrom(2, 5);
    writeLog(3, run);
    const node = await addNode(3, 4, { durability: 'wal', record: { promised: run, run } });
    const running = { ...honestReport(4), base: { ...runFrom(4, 6), mute: false } };
    for (const peer of [0, 1]) liars.set(peer, reportOnly(running));
    begin();
    await until('it has gone over', () => node.entered.length === 2);
    expect(node.left).to.have.length(1);
    expect(node.entered[1]).to.deep.equal({ run: runFrom(4, 6), entry: 'begin' });
  });

  it('begins a new run, of a generation never used, when all are restarted without logs', async () => {
    const old = runFrom(2, 5);
    for (const index of [0, 1, 2, 3]) {
      const generation = index === 3 ? 4 : 5;
      const run = { ...old, generation };
      await addNode(index, 3, { record: { promised: run, run } });
    }
    begin();
    await until('all have begun', allStarted);
    expect(new Set(entries())).to.deep.equal(new Set(['begin']));
    for (const { entered } of nodes.values()) expect(entered[0]?.run).to.deep.equal(runFrom(3, 6));
    const records = await Promise.all(
      [0, 1, 2, 3].map((index) => readRunRecord(recordFile(index))),
    );
    for (const record of records) expect(record?.promised).to.deep.equal(runFrom(3, 6));
  });

  it('has promised on disk before it says so', async () => {
    for (const index of [0, 1, 2, 3]) await addNode(index, 3);
    begin();
    await until('somebody says that it is ready', () =>
      sent.some(({ message }) => message.kind === 'report' && message.report.ready === 1),
    );
    const ready = sent.find(({ message }) => message.kind === 'report' && message.report.ready);
    const record = await readRunRecord(recordFile(ready?.from ?? -1));
    expect(record?.promised?.generation).to.equal(1);
    await until('all have begun', allStarted);
  });

  it('refuses a damaged record, and says what to do', async () => {
    writeFileSync(recordFile(3), '4/abc');
    const node = await addNode(3, 4, { record: undefined });
    node.sync.begin();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(node.fatal?.message).to.match(/3\.last-run is damaged\. Move it away/);
  });
});
