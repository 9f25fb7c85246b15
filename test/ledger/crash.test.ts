import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { checkBlockLinks, decodeBlock } from '../../ledger/format/index.ts';
import type { Ledger } from '../../ledger/store/index.ts';
import { LedgerSnapshot } from '../../ledger/store/index.ts';
import { sha256 } from '../support/hash.ts';
import { codeOf, inTemporaryFolder, makeGenesis, openLedger } from './helpers.ts';

const CHILD = fileURLToPath(new URL('./append-child.js', import.meta.url));
const genesis = makeGenesis();

function start(directory: string, mode: string, prefix: string[] = []): ChildProcess {
  const [command = process.execPath, ...rest] = [
    ...prefix,
    process.execPath,
    CHILD,
    directory,
    mode,
  ];
  return spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
}

/** Reads lines until `done` says so; returns all of them. */
async function linesUntil(child: ChildProcess, done: (line: string) => boolean): Promise<string[]> {
  const lines: string[] = [];
  if (child.stdout === null) return lines;
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (done(line)) break;
  }
  return lines;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Walks the certified chain; returns how many blocks it has. */
async function walk(ledger: Ledger): Promise<number> {
  let previous: Parameters<typeof checkBlockLinks>[1];
  let count = 0;
  for await (const { bytes } of ledger.read(0)) {
    const block = decodeBlock(bytes);
    if (block.kind === 'malformed') throw new Error(block.reason);
    expect(checkBlockLinks(block.value, previous, sha256)).to.deep.equal({ kind: 'ok' });
    previous = block.value.header;
    count += 1;
  }
  return count;
}

describe('ledger/store: another process', function () {
  this.timeout(30_000);

  it('killed between appends loses no acknowledged block, several times over', async () => {
    await inTemporaryFolder(async (directory) => {
      let acknowledged = 1;
      for (const target of [15, 40, 90]) {
        const child = start(directory, 'append');
        try {
          const lines = await linesUntil(child, (line) => line === `stored ${target}`);
          expect(lines[0]).to.match(/^opened /);
          expect(Number(lines[0]?.slice(7))).to.be.at.least(acknowledged);
          acknowledged = target;
        } finally {
          await kill(child);
        }
        const ledger = await openLedger(directory, genesis);
        expect(ledger.storedHeight()).to.be.at.least(acknowledged);
        expect(await walk(ledger)).to.equal(ledger.certifiedHeight());
        await ledger.close();
      }
    });
  });

  it('that runs keeps the ledger locked, for opening and for audits', async () => {
    await inTemporaryFolder(async (directory) => {
      const child = start(directory, 'hold');
      try {
        await linesUntil(child, (line) => line.startsWith('opened'));
        expect(await codeOf(openLedger(directory, genesis))).to.equal('ledger_locked');
        expect(await codeOf(LedgerSnapshot.open({ directory }))).to.equal('ledger_locked');
      } finally {
        await kill(child);
      }
      await (await openLedger(directory, genesis)).close();
    });
  });

  it('is locked out while an audit has the folder', async () => {
    await inTemporaryFolder(async (directory) => {
      await (await openLedger(directory, genesis)).close();
      const snapshot = await LedgerSnapshot.open({ directory });
      const child = start(directory, 'hold');
      try {
        const lines = await linesUntil(child, () => true);
        expect(lines).to.deep.equal(['failed ledger_locked']);
      } finally {
        await kill(child);
        await snapshot.close();
      }
    });
  });

  it('that runs out of space says so, and everything acknowledged is there afterwards', async () => {
    await inTemporaryFolder(async (directory) => {
      // No file may grow beyond 512 KiB: the log reaches that after some blocks.
      const child = start(directory, 'append', ['sh', '-c', 'ulimit -f 1024; exec "$@"', 'sh']);
      let lines: string[];
      try {
        lines = await linesUntil(child, (line) => line.startsWith('failed'));
      } finally {
        await kill(child);
      }
      expect(lines.at(-1)).to.equal('failed disk_full');
      const acknowledged = Number(lines.at(-2)?.slice('stored '.length));
      expect(acknowledged).to.be.greaterThan(5);
      const ledger = await openLedger(directory, genesis);
      expect(ledger.storedHeight()).to.be.at.least(acknowledged);
      expect(await walk(ledger)).to.equal(ledger.certifiedHeight());
      await ledger.close();
    });
  });
});
