/**
 * Checks the model with Spin, exhaustively, and that it finds the planted bugs.
 *
 *   node test/model/run.mjs                 everything
 *   node test/model/run.mjs NAME ...        these configurations
 *   node test/model/run.mjs --trail NAME    a short counterexample of a bug, step by step
 *
 * One line each; the last is `N configurations, M bugs found`. Exit code 1 when any of them is not as expected.
 */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runMain, SetupError } from '../../scripts/setup/errors.mjs';
import { limiter } from '../../scripts/setup/limiter.mjs';
import { runQuietly } from '../../scripts/setup/progress.mjs';
import { findExecutable } from '../../scripts/setup/tools.mjs';
import { CONFIGURATIONS, ROLES } from './configurations.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const SOURCES = ['slot.pml', 'parameters.pml'];
const MEMORY_MIB_MAX = 2_048;
/** Far more than any path has; a search that reaches it counts as incomplete. */
const DEPTH_MAX = 10_000;
const OUTPUT_BYTES_MAX = 1 << 24;
const NAME_WIDTH = 30;

runMain(async () => {
  const { names, trail } = parseArguments(process.argv.slice(2));
  await findTools();
  const chosen = CONFIGURATIONS.filter(({ name }) => names.length === 0 || names.includes(name));
  if (trail) return showTrail(chosen[0]);

  const startMs = Date.now();
  const limit = limiter(Math.min(availableParallelism(), 4));
  const results = chosen.map((configuration) => {
    const runs = configuration.roles.map((role) => limit(() => search(configuration, role)));
    const all = Promise.all(runs);
    // Reported when its turn comes.
    all.catch(() => {});
    return all;
  });
  let configurations = 0;
  let bugs = 0;
  let wrong = 0;
  for (const [index, configuration] of chosen.entries()) {
    const { line, good } = judge(configuration, await results[index]);
    process.stdout.write(`${line}\n`);
    if (!good) wrong += 1;
    else if (configuration.expect === 'found') bugs += 1;
    else configurations += 1;
  }
  process.stdout.write(`\n${Math.round((Date.now() - startMs) / 1000)} s\n`);
  if (wrong > 0) process.stdout.write(`${wrong} not as expected\n`);
  process.stdout.write(`${configurations} configurations, ${bugs} bugs found\n`);
  return wrong === 0 ? 0 : 1;
});

function parseArguments(args) {
  const trail = args.includes('--trail');
  const names = args.filter((arg) => arg !== '--trail');
  const known = CONFIGURATIONS.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new SetupError(`no configuration ${unknown}; there are ${known.join(', ')}`);
  }
  if (trail && names.length !== 1) throw new SetupError('--trail needs the name of one bug');
  return { names, trail };
}

/** Installs Spin where that takes no password; throws a SetupError naming what is missing. */
async function findTools() {
  if (findExecutable('gcc') === undefined) {
    throw new SetupError('gcc is missing: install the package `gcc`');
  }
  if (findExecutable('spin') !== undefined) return;
  const apt = findExecutable('apt-get');
  if (process.getuid?.() === 0 && apt !== undefined) {
    const options = { cwd: HERE, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
    const install = ['install', '-y', '--no-install-recommends', 'spin'];
    await runQuietly('installing spin', apt, install, options).catch(async () => {
      // The list of packages may be old, or not there at all.
      await runQuietly('updating the list of packages', apt, ['update'], options);
      await runQuietly('installing spin', apt, install, options);
    });
  }
  if (findExecutable('spin') === undefined) {
    throw new SetupError('spin is missing: install the package `spin`, version 6.5 or newer');
  }
}

/** One exhaustive search, in a folder of its own since Spin's files have fixed names. */
async function search(configuration, role) {
  return inFolder(async (folder) => {
    const { isSmall } = configuration;
    await build(folder, definesOf(configuration, role), [isSmall ? '-O0' : '-O2']);
    const startMs = Date.now();
    const output = await run(
      join(folder, 'pan'),
      [`-m${DEPTH_MAX}`, isSmall ? '-w18' : '-w22'],
      folder,
    );
    return { role, seconds: (Date.now() - startMs) / 1000, ...parse(output) };
  });
}

function definesOf(configuration, role) {
  return [...configuration.defines, `LYING=${ROLES[role]}`].map((define) => `-D${define}`);
}

async function inFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-model-'));
  try {
    for (const source of SOURCES) copyFileSync(join(HERE, source), join(folder, source));
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function build(folder, defines, options) {
  await run('spin', ['-a', ...defines, 'slot.pml'], folder);
  const limits = [`-DMEMLIM=${MEMORY_MIB_MAX}`, '-DSAFETY'];
  await run('gcc', [...limits, ...options, '-w', '-o', 'pan', 'pan.c'], folder);
}

/** Resolves with what the command wrote; a SetupError with it when the command fails. */
function run(command, args, cwd) {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout + stderr);
      else reject(new SetupError(`${command} ${args.join(' ')} failed:\n${stdout}${stderr}`));
    });
  });
}

/**
 * What pan says of its search. It is complete only when neither an error, nor the depth, nor memory ended it, and a
 * report that cannot be read is no report of success.
 */
function parse(output) {
  const states = /^\s*(\d+) states, stored/m.exec(output)?.[1];
  const errors = /errors: (\d+)/.exec(output)?.[1];
  if (states === undefined || errors === undefined) {
    throw new SetupError(`pan's report cannot be read:\n${output}`);
  }
  const isCut = /Search not completed|max search depth too small|out of memory/i.test(output);
  const isViolated = /assertion violated/.test(output);
  const outcome = Number(errors) === 0 && !isCut ? 'complete' : isViolated ? 'violated' : 'cut';
  return { states: Number(states), outcome };
}

/** Compares the runs of a configuration with what it expects. */
function judge({ name, expect, roles, exposedBy }, runs) {
  const violating = expect === 'holds' ? [] : (exposedBy ?? roles);
  const good = runs.every(
    ({ role, outcome }) => outcome === (violating.includes(role) ? 'violated' : 'complete'),
  );
  const shown = runs.map(({ role, states, outcome }) => {
    const count = states.toLocaleString('en');
    if (expect !== 'found') return `${count} states`;
    return `${role}: ${outcome === 'violated' ? `after ${count}` : `not in ${count}`}`;
  });
  const seconds = runs.reduce((sum, run) => sum + run.seconds, 0).toFixed(1);
  const verdict = good ? expect : `NOT AS EXPECTED (${runs.map((run) => run.outcome).join(', ')})`;
  return { good, line: `${name.padEnd(NAME_WIDTH)} ${verdict}  ${shown.join(', ')}  ${seconds} s` };
}

async function showTrail(configuration) {
  if (configuration.expect === 'holds') {
    throw new SetupError(`${configuration.name} holds: there is nothing to show`);
  }
  const role = (configuration.exposedBy ?? configuration.roles)[0];
  const defines = [...definesOf(configuration, role), '-DNO_SYMMETRY'];
  await inFolder(async (folder) => {
    // -i looks for ever shorter ones, and needs REACH to be right about that.
    await build(folder, defines, ['-O2', '-DREACH']);
    await run(join(folder, 'pan'), [`-m${DEPTH_MAX}`, '-i'], folder);
    const output = await run('spin', ['-t', '-T', '-B', ...defines, 'slot.pml'], folder);
    const steps = output.split('\n').filter((line) => !line.startsWith('spin: trail ends'));
    process.stdout.write(`Byzantine: ${role}\n${steps.join('\n').trimEnd()}\n`);
  });
}
