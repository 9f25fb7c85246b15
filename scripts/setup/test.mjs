/**
 * `npm test`: prepares, then runs the compiled tests with mocha.
 *
 *   --suite NAME   only dist/test/NAME (repeatable); without it everything but the long suites
 *   --no-setup     nothing is installed or built: for a file system that is read-only
 *   --coverage     with c8; report on the terminal and in coverage/
 *   other options  go to mocha, for example --grep "text"
 *
 * The last line of mocha's report is `N passed, N failed, N skipped`; the exit code is mocha's.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runMain, SetupError } from './errors.mjs';
import { PATHS, ROOT } from './paths.mjs';
import { prepare } from './prepare.mjs';
import { filesUnder } from './stamp.mjs';

/** Run when they are asked for by name only. */
const LONG_SUITES = ['load', 'chaos', 'hosts'];
/** Between the end of the last test and the end of the process. */
const EXIT_GRACE_MS = 20_000;

runMain(async () => {
  const { suites, coverage, setup, rest } = parseArguments(process.argv.slice(2));
  if (setup) await prepare();
  const mocha = [
    '--enable-source-maps',
    join(PATHS.nodeModules, 'mocha', 'bin', 'mocha.js'),
    ...rest,
    ...testFiles(suites),
  ];
  const c8 = [
    join(PATHS.nodeModules, 'c8', 'bin', 'c8.js'),
    ...['--reporter', 'text', '--reporter', 'html', '--exclude-after-remap'],
    ...['--exclude', 'test/**', '--exclude', 'scripts/setup/**'],
    process.execPath,
  ];
  return runMocha(coverage ? [...c8, ...mocha] : mocha);
});

function parseArguments(args) {
  const suites = [];
  const rest = [];
  let coverage = false;
  let setup = true;
  for (let i = 0; i < args.length; i += 1) {
    if (args[i] === '--coverage') coverage = true;
    else if (args[i] === '--no-setup') setup = false;
    else if (args[i] === '--suite') {
      const name = args[i + 1];
      if (name === undefined || name.startsWith('-')) throw new SetupError('--suite needs a name');
      suites.push(name);
      i += 1;
    } else rest.push(args[i]);
  }
  return { suites, coverage, setup, rest };
}

function testFiles(suites) {
  const root = join(PATHS.dist, 'test');
  for (const suite of suites) {
    if (!existsSync(join(root, suite))) throw new SetupError(`there is no test suite ${suite}`);
  }
  const long = LONG_SUITES.map((suite) => join(root, suite, '/'));
  const folders = suites.length > 0 ? suites.map((suite) => join(root, suite)) : [root];
  const files = folders
    .flatMap((folder) => filesUnder(folder, (name) => name.endsWith('.test.js')))
    .filter((file) => suites.length > 0 || !long.some((folder) => file.startsWith(folder)));
  if (files.length === 0) throw new SetupError('there is no compiled test to run');
  return files.sort();
}

/** Resolves with the exit code; a run whose tests are over but which does not end is ended, and has failed. */
function runMocha(args) {
  return new Promise((resolve, reject) => {
    const stdio = ['inherit', 'inherit', 'inherit', 'ipc'];
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio });
    let timer;
    child.on('message', ({ kind }) => {
      if (kind !== 'run-end') return;
      timer = setTimeout(() => {
        process.stderr.write(
          'a test left something open (socket, timer, worker): ending the run\n',
        );
        child.kill('SIGKILL');
      }, EXIT_GRACE_MS);
    });
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      if (child.connected) child.disconnect();
      resolve(signal === null ? (code ?? 1) : 1);
    });
  });
}
