/** A run of the bench in which scenarios fail: the rest is measured and kept, and what failed is named. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Result } from '../../bench/result.ts';
import { runBench } from '../../bench/run.ts';
import { measureInProcess } from '../../bench/scenario-process.ts';

const PROGRAM = new URL('./scenarios.js', import.meta.url);

const scenarios = (...names: string[]) =>
  names.map((name) => ({ name, title: `title of ${name}` }));

describe('a run of the bench', function () {
  this.timeout(30_000);
  let folder: string;
  let said: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
    said = [];
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const run = (...names: string[]): Promise<Result> =>
    runBench(
      { folder, scenarios: scenarios(...names) },
      {
        measure: (name) =>
          measureInProcess(PROGRAM, name, { short: true, providers: ['shm', 'tcp'] }),
        say: (line) => said.push(line),
      },
    );
  const written = (): Result => JSON.parse(readFileSync(join(folder, 'bench.json'), 'utf8'));

  it('keeps what is measured before and after scenarios that throw or crash, and names those', async () => {
    const result = await run('throws', 'good', 'throws-later', 'crashes', 'good');
    expect(result.sections.map(({ name, text }) => `${name}: ${text}`)).to.eql(
      new Array(2).fill('good: shm and tcp, short'),
    );
    expect(result.failures).to.eql([
      { name: 'throws', title: 'title of throws', reason: 'no <device> for it' },
      { name: 'throws-later', title: 'title of throws-later', reason: 'nobody waits for this' },
      { name: 'crashes', title: 'title of crashes', reason: 'its process got SIGKILL' },
    ]);
    expect(written()).to.eql(JSON.parse(JSON.stringify(result)));
    const page = readFileSync(join(folder, 'report.html'), 'utf8');
    expect(page).to.contain('Not measured: title of throws (throws). no &lt;device> for it');
    expect(page.match(/<h2 id="good">/g)).to.have.length(2);
    expect(said.at(-1)).to.contain('--only throws,throws-later,crashes');
  });

  it('ends a scenario that stands still', async () => {
    const options = { short: true, providers: ['shm'] } as const;
    const error = await measureInProcess(PROGRAM, 'stands-still', options, 1_200).catch(
      (reason: Error) => reason,
    );
    expect(error).to.include({ message: 'it was not over after 0.02 minutes' });
  });

  it('writes when nothing could be measured, too', async () => {
    expect((await run('throws')).sections).to.eql([]);
    expect(written().failures).to.have.length(1);
  });

  it('has nothing to complain about when all went well', async () => {
    expect((await run('good')).failures).to.eql([]);
    expect(said.join('\n')).to.contain('x: 12.5 tx/s').and.not.contain('not measured');
  });
});
