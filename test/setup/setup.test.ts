import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';

/**
 * The set-up scripts are plain JavaScript of the working tree, not
 * compiled: tests run where they are.
 */
const SETUP = join(process.cwd(), 'scripts', 'setup');
const url = (file: string) => JSON.stringify(pathToFileURL(join(SETUP, file)).href);

interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  /** Resolves when the text was printed. */
  printed(text: string): Promise<void>;
}

const children = new Set<ChildProcess>();

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const finished = new Promise<Finished>((resolve) => {
    child.once('close', (code, signal) => {
      children.delete(child);
      resolve({ code, signal, stdout, stderr });
    });
  });
  const printed = async (text: string) => {
    while (!(stdout + stderr).includes(text)) {
      if (child.exitCode !== null) throw new Error(`ended without printing ${text}: ${stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return { child, finished, printed };
}

/** Runs a module's text in a Node of its own. */
function runModule(text: string, env: NodeJS.ProcessEnv = {}): Running {
  return run(process.execPath, ['--input-type=module', '-e', text], env);
}

describe('set-up scripts', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-setup-'));
  });
  afterEach(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  describe('lock', () => {
    const holding = (lock: string, log: string) => `
      import { appendFileSync } from 'node:fs';
      import { withLock } from ${url('lock.mjs')};
      await withLock(${JSON.stringify(lock)}, async () => {
        appendFileSync(${JSON.stringify(log)}, 'in ' + process.pid + '\\n');
        await new Promise((resolve) => setTimeout(resolve, 40));
        appendFileSync(${JSON.stringify(log)}, 'out ' + process.pid + '\\n');
      });`;

    it('lets one in at a time, also when a stale one has to be removed first', async () => {
      const lock = join(folder, 'lock');
      const log = join(folder, 'log');
      writeFileSync(lock, JSON.stringify({ pid: 2 ** 22 + 1, host: hostname() }));
      const runs = Array.from({ length: 6 }, () => runModule(holding(lock, log)));
      for (const { finished } of runs) expect(await finished).to.include({ code: 0, stderr: '' });
      const lines = readFileSync(log, 'utf8').trim().split('\n');
      expect(lines).to.have.length(12);
      for (let i = 0; i < lines.length; i += 2) {
        expect(lines[i]?.replace('in', 'out')).to.equal(lines[i + 1]);
      }
    });

    it('takes over from a holder that was killed, and from one that was another process', async () => {
      const lock = join(folder, 'lock');
      const log = join(folder, 'log');
      const holder = runModule(`
        import { withLock } from ${url('lock.mjs')};
        await withLock(${JSON.stringify(lock)}, () => {
          console.log('held');
          return new Promise((resolve) => setTimeout(resolve, 60_000));
        });`);
      await holder.printed('held');
      const waiter = runModule(holding(lock, log));
      holder.child.kill('SIGKILL');
      expect(await waiter.finished).to.include({ code: 0 });
      // This process is alive, but it was started at another time than the lock says.
      writeFileSync(lock, JSON.stringify({ pid: process.pid, host: hostname(), started: '1' }));
      expect(await runModule(holding(lock, log)).finished).to.include({ code: 0 });
      writeFileSync(lock, 'garbage');
      expect(await runModule(holding(lock, log)).finished).to.include({ code: 0 });
    });

    it('is released on a signal', async () => {
      const lock = join(folder, 'lock');
      const holder = runModule(`
        import { withLock } from ${url('lock.mjs')};
        await withLock(${JSON.stringify(lock)}, () => {
          console.log('held');
          return new Promise((resolve) => setTimeout(resolve, 60_000));
        });`);
      await holder.printed('held');
      holder.child.kill('SIGTERM');
      expect((await holder.finished).signal).to.equal('SIGTERM');
      expect(() => readFileSync(lock)).to.throw(/ENOENT/);
    });

    it('believes a lock of another machine until it is silent for a minute', async () => {
      const lock = join(folder, 'lock');
      const log = join(folder, 'log');
      writeFileSync(lock, JSON.stringify({ pid: 1, host: 'elsewhere' }));
      const waiter = runModule(`
        import { withLock } from ${url('lock.mjs')};
        await withLock(${JSON.stringify(lock)}, async () => {}, ({ host }) => console.log(host));`);
      await waiter.printed('elsewhere');
      const longAgo = new Date(Date.now() - 120_000);
      utimesSync(lock, longAgo, longAgo);
      expect(await waiter.finished).to.include({ code: 0 });
      expect(await runModule(holding(lock, log)).finished).to.include({ code: 0 });
    });
  });

  describe('tools', () => {
    const check = (expression: string, env: NodeJS.ProcessEnv) =>
      runModule(
        `import { runMain } from ${url('errors.mjs')};
         import * as tools from ${url('tools.mjs')};
         runMain(async () => { console.log(JSON.stringify(${expression})); });`,
        env,
      ).finished;

    function fakeTools(...names: string[]): string {
      for (const name of names) {
        writeFileSync(join(folder, name), '#!/bin/sh\n');
        chmodSync(join(folder, name), 0o755);
      }
      return folder;
    }

    it('that are missing are named, one clear line each', async () => {
      const { code, stderr } = await check('tools.findBuildTools()', { PATH: folder });
      expect(code).to.equal(1);
      const lines = stderr.trim().split('\n');
      expect(lines).to.have.length(3);
      expect(lines[0]).to.match(/C\+\+ compiler is missing: install/);
      expect(lines[1]).to.match(/^make is missing: install/);
      expect(lines[2]).to.match(/^python3 is missing: install/);
      const npm = await check('tools.findNpm()', { PATH: folder });
      expect(npm.stderr).to.match(/^npm is missing: .*\n$/);
    });

    it('that are there under any of their names will do', async () => {
      const PATH = fakeTools('clang++', 'make', 'python3');
      expect(await check('tools.findBuildTools()', { PATH })).to.include({
        code: 0,
        stdout: '{"CXX":"clang++"}\n',
      });
      const wrapped = await check('tools.findBuildTools()', { PATH, CXX: 'clang++ -fsomething' });
      expect(wrapped.stdout).to.equal('{"CXX":"clang++ -fsomething"}\n');
      const wrong = await check('tools.findBuildTools()', { PATH, CXX: 'nothing' });
      expect(wrong.stderr).to.match(/^the C\+\+ compiler named by CXX \(nothing\) is missing.*\n$/);
    });

    it('Node itself must be new enough', async () => {
      for (const version of ['20.19.0', '20.20.2', '22.0.0']) {
        expect(await check(`tools.checkNode('${version}')`, {})).to.include({ code: 0 });
      }
      for (const version of ['20.18.9', '18.20.0']) {
        const { code, stderr } = await check(`tools.checkNode('${version}')`, {});
        expect(code).to.equal(1);
        expect(stderr).to.match(/^Node 20\.19 or newer is needed, this is .*\n$/);
      }
    });
  });

  it('packages are not installed through a symbolic link: npm would empty the folder behind it', async () => {
    const place = join(folder, 'clone');
    cpSync(SETUP, join(place, 'scripts', 'setup'), { recursive: true });
    writeFileSync(join(place, 'package-lock.json'), '{}');
    mkdirSync(join(folder, 'shared', 'package'), { recursive: true });
    symlinkSync('../shared', join(place, 'node_modules'));
    const build = join(place, 'scripts', 'setup', 'build.mjs');
    const { code, stderr } = await run(process.execPath, [build, '--native']).finished;
    expect(code).to.equal(1);
    expect(stderr).to.match(/^\S+node_modules is a symbolic link.*: remove the link.*\n$/);
    expect(readdirSync(join(folder, 'shared'))).to.deep.equal(['package']);
  });

  it('long commands show their output only when they fail', async () => {
    const text = (script: string) => `
      import { runMain } from ${url('errors.mjs')};
      import { runQuietly } from ${url('progress.mjs')};
      const options = { cwd: '/', env: process.env };
      runMain(() => runQuietly('a step', process.execPath, ['-e', ${JSON.stringify(script)}], options));`;
    const good = await runModule(text('console.log("noise")')).finished;
    expect(good).to.include({ code: 0, stdout: '' });
    expect(good.stderr).to.match(/^a step \.\.\.\na step \.\.\. done in \d+ s\n$/);
    const bad = await runModule(text('console.log("reason"); process.exit(3)')).finished;
    expect(bad.code).to.equal(1);
    expect(bad.stderr).to.match(/failed \(exit code 3\)\nreason\n/);
  });

  describe('forwarding', () => {
    const forward = (script: string) =>
      runModule(`
        import { runMain } from ${url('errors.mjs')};
        import { runForwarding } from ${url('forward.mjs')};
        runMain(() => runForwarding(process.execPath, ['-e', ${JSON.stringify(script)}]));`);

    it('passes the exit code on', async () => {
      expect(await forward('process.exit(7)').finished).to.include({ code: 7 });
      const killed = await forward('process.kill(process.pid, "SIGKILL")').finished;
      expect(killed).to.include({ code: 137 });
    });

    it('delivers a signal once, however many of them come at once', async () => {
      const running = forward(`
        let count = 0;
        process.on('SIGINT', () => {
          count += 1;
          if (count === 1) setTimeout(() => { console.log('got ' + count); process.exit(5); }, 200);
        });
        console.log('ready');
        setInterval(() => {}, 1000);`);
      await running.printed('ready');
      running.child.kill('SIGINT');
      await new Promise((resolve) => setTimeout(resolve, 20));
      running.child.kill('SIGINT');
      const { code, stdout } = await running.finished;
      expect(code).to.equal(5);
      expect(stdout).to.include('got 1');
    });
  });

  describe('mocha', () => {
    /** What has mocha run these tests, and nothing of the project's own configuration. */
    const sample = (name: string, tests: string): string[] => {
      const file = join(folder, `${name}.cjs`);
      writeFileSync(file, tests);
      return ['--no-config', '--reporter', join(SETUP, 'mocha-reporter.cjs'), file];
    };
    const lastLine = (stdout: string) => stdout.trimEnd().split('\n').at(-1);
    const runParts = (...parts: string[][]) =>
      runModule(`import { runMochas } from ${url('mocha.mjs')};
        process.exit(await runMochas(${JSON.stringify(parts)}));`).finished;

    it('closes with the counts alone on a line', async () => {
      const mocha = join(process.cwd(), 'node_modules', 'mocha', 'bin', 'mocha.js');
      const args = sample(
        'sample',
        `it('a', () => {}); it('b', () => {}); it('c', () => { throw new Error('no'); }); it.skip('d');
         it('e', function () { this.skip(); });`,
      );
      const { code, stdout } = await run(process.execPath, [mocha, ...args]).finished;
      expect(code).to.equal(1);
      expect(lastLine(stdout)).to.equal('2 passed, 1 failed, 2 skipped');
    });

    it('in two parts says what the one has to say, then the other, and counts them together', async () => {
      const { code, stdout } = await runParts(
        sample('one', `it('slow', (done) => setTimeout(done, 300)); it.skip('left out');`),
        sample('two', `it('fast', () => {}); it('wrong', () => { throw new Error('no'); });`),
      );
      expect(code).to.equal(1);
      const said = ['slow', '1 passing', 'fast', '1 failing'].map((text) => stdout.indexOf(text));
      expect(said).to.eql([...said].sort((a, b) => a - b));
      expect(said).not.to.include(-1);
      expect(lastLine(stdout)).to.equal('2 passed, 1 failed, 1 skipped');
    });

    it('in two parts fails when one of them ends before its tests do', async () => {
      const { code, stdout, stderr } = await runParts(
        sample('one', `it('fine', () => {});`),
        sample('two', `it('gone', () => process.exit(0));`),
      );
      expect(code).to.equal(1);
      expect(stderr).to.include('a part of the tests ended early, with exit code 0');
      expect(lastLine(stdout)).to.equal('1 passed, 0 failed, 0 skipped');
    });
  });

  it('the sluice command runs through a link, and says what to do when it is not built', async () => {
    const place = join(folder, 'with space');
    mkdirSync(place);
    const command = join(place, 'sluice');
    copyFileSync(join(process.cwd(), 'sluice'), command);
    const missing = await run(command, ['submit']).finished;
    expect(missing.code).to.equal(1);
    expect(missing.stderr).to.match(
      /^sluice is not built yet: run `npm start`.*`npm run build`.*\n$/,
    );
    mkdirSync(join(place, 'dist', 'scripts'), { recursive: true });
    writeFileSync(
      join(place, 'dist', 'scripts', 'sluice.js'),
      'console.log(JSON.stringify(process.argv.slice(2))); process.exit(4);',
    );
    const link = join(folder, 'link');
    symlinkSync('with space/sluice', link);
    const linked = await run(link, ['submit', 'a b', '']).finished;
    expect(linked).to.include({ code: 4, stdout: '["submit","a b",""]\n' });
  });
});
