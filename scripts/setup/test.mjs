/**
 * `npm test`: prepares, then runs the compiled tests with mocha, in two halves at once when nothing is picked.
 *
 *   --suite NAME   only dist/test/NAME (repeatable); without it everything but the long suites
 *   --no-setup     nothing is installed or built: for a file system that is read-only
 *   --coverage     with c8; report on the terminal and in coverage/
 *   other options  go to mocha, for example --grep "text"
 *
 * The last line of mocha's report is `N passed, N failed, N skipped`; the exit code is mocha's.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runMain, SetupError } from './errors.mjs';
import { runMocha, runMochas } from './mocha.mjs';
import { PATHS } from './paths.mjs';
import { prepare } from './prepare.mjs';
import { filesUnder } from './stamp.mjs';

/** Run when they are asked for by name only. */
const LONG_SUITES = ['load', 'chaos', 'hosts'];
/** Whole networks, mostly: they take as long as all the others together. */
const HALF = ['e2e', 'client'];
/** Options that mean the same to any part of the tests. */
const COMMON_OPTIONS = ['--forbid-only'];

runMain(async () => {
  const { suites, coverage, setup, rest } = parseArguments(process.argv.slice(2));
  if (setup) await prepare();
  const files = testFiles(suites);
  const isWhole = suites.length === 0 && rest.every((option) => COMMON_OPTIONS.includes(option));
  if (coverage || !isWhole) return runMocha([...rest, ...files], { coverage });
  const half = HALF.map((suite) => join(PATHS.dist, 'test', suite, '/'));
  const isInHalf = (file) => half.some((folder) => file.startsWith(folder));
  return runMochas([
    [...rest, ...files.filter(isInHalf)],
    [...rest, ...files.filter((file) => !isInHalf(file))],
  ]);
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
