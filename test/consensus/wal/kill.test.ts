import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { asText, open } from './helpers.ts';

const CHILD = fileURLToPath(new URL('./append-child.js', import.meta.url));

/** Runs the child until it has reported so many groups and some time has passed. */
async function killAfter(directory: string, groups: number, delayMs: number): Promise<number> {
  const child = spawn(process.execPath, [CHILD, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let reported = 0;
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    reported = Number(line);
    lines += 1;
    // What is in the pipe already still counts: it was synced before it was printed.
    if (lines === groups) setTimeout(() => child.kill('SIGKILL'), delayMs);
  }
  const [, signal] = await exited;
  expect(signal).to.equal('SIGKILL');
  return reported;
}

describe('consensus/wal: a process killed while it writes', function () {
  this.timeout(30_000);

  it('keeps everything that it reported as synced, several times over', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sluice-wal-'));
    try {
      for (const [groups, delayMs] of [
        [3, 0],
        [40, 3],
        [90, 7],
      ] as const) {
        const reported = await killAfter(directory, groups, delayMs);
        const { wal, records } = open(directory);
        wal.close();
        expect(records.length).to.be.at.least(reported);
        expect(reported).to.be.at.least(groups);
        const numbers = asText(records).map((record) => Number(record.split(':')[0]));
        expect(numbers).to.deep.equal(numbers.map((_, index) => index));
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
