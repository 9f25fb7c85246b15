/**
 * `npm run test:native`: the addon's core without Node.js, under sanitizers. See README.md.
 *
 *   node test/native/run.mjs [options]
 *     --fuzz SECONDS   for each fuzz target (10); 0: none
 *     --target NAME    this fuzz target only (repeatable), and no unit tests
 *     --grep TEXT      unit tests whose name contains it, and no fuzz targets
 *     --jobs N         fuzz targets at a time (one for each processor)
 *
 * Exit code 1 when a test fails, a sanitizer complains or a fuzz target crashes; the input that did it is named.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { requirePackages } from '../../scripts/setup/debian.mjs';
import { runMain, SetupError } from '../../scripts/setup/errors.mjs';
import { limiter } from '../../scripts/setup/limiter.mjs';
import { ROOT } from '../../scripts/setup/paths.mjs';
import { build, OUT, TARGETS } from './build.mjs';

/** OpenSSL's headers and library: what Node.js brings cannot be linked into another program. */
const PACKAGES = [
  ['clang', '/usr/bin/clang++'],
  ['libclang-rt-dev', '/usr/share/doc/libclang-rt-dev'],
  ['libssl-dev', '/usr/include/openssl/evp.h'],
];
const UNIT_MS_MAX = 120_000;
/** Beyond its own time: for starting, reading its corpus and saying goodbye. */
const FUZZ_GRACE_MS = 60_000;
const INPUT_BYTES_MAX = 4_096;
/** One input takes well under a millisecond. */
const INPUT_SECONDS_MAX = 20;
const MEMORY_MIB_MAX = 1_500;
const OUTPUT_BYTES_MAX = 1 << 20;
/** What runs now: it goes when this command is told to. */
const children = new Set();

const SANITIZER_OPTIONS = {
  ASAN_OPTIONS: 'detect_leaks=1:abort_on_error=0',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1',
};
/** Kernels that spread addresses widely leave no room for ThreadSanitizer's; a sandbox may not let one ask for less. */
const FIXED_ADDRESSES = spawnSync('setarch', ['-R', 'true']).status === 0 ? ['setarch', '-R'] : [];

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    for (const child of children) child.kill('SIGKILL');
    process.exit(1);
  });
}

runMain(async () => {
  const options = parseArguments(process.argv.slice(2));
  await requirePackages('the tests of the native core', PACKAGES);
  process.stdout.write('compiling the core and its tests under sanitizers ...\n');
  const startMs = Date.now();
  const programs = await build(options);
  process.stdout.write(`compiled in ${Math.round((Date.now() - startMs) / 1000)} s\n`);
  let failed = 0;
  for (const [sanitizer, program] of Object.entries(programs.units)) {
    process.stdout.write(`unit tests, ${sanitizer} sanitizer\n`);
    if (!(await runUnits(program, options.grep))) failed += 1;
  }
  const work = limiter(options.jobs);
  const runs = options.targets.map((name) =>
    work(() => fuzz(name, programs.fuzz[name], options.fuzzSeconds)),
  );
  failed += (await Promise.all(runs)).filter((good) => !good).length;
  process.stdout.write(failed === 0 ? 'all is well\n' : `${failed} failed\n`);
  return failed === 0 ? 0 : 1;
});

function parseArguments(args) {
  const options = {
    fuzzSeconds: 10,
    targets: [],
    grep: '',
    units: true,
    jobs: availableParallelism(),
  };
  const rest = [...args];
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '--fuzz') options.fuzzSeconds = natural(name, rest.shift());
    else if (name === '--jobs') options.jobs = Math.max(1, natural(name, rest.shift()));
    else if (name === '--target') options.targets.push(known(rest.shift()));
    else if (name === '--grep') options.grep = rest.shift() ?? '';
    else throw new SetupError(`unknown option ${name}; see the top of test/native/run.mjs`);
  }
  options.units = options.targets.length === 0;
  if (options.grep !== '' || options.fuzzSeconds === 0) options.targets = [];
  else if (options.units) options.targets = TARGETS;
  return options;
}

function natural(name, text) {
  const value = Number(text);
  if (text !== undefined && Number.isInteger(value) && value >= 0) return value;
  throw new SetupError(`${name} takes a number`);
}

function known(name) {
  if (TARGETS.includes(name)) return name;
  throw new SetupError(`no fuzz target ${name}; there are ${TARGETS.join(', ')}`);
}

async function runUnits(program, grep) {
  const [command, ...args] = [...FIXED_ADDRESSES, program, grep];
  const { code, signal } = await run(command, args, UNIT_MS_MAX, (text) =>
    process.stdout.write(text),
  );
  if (code !== 0) {
    const how = signal ?? `exit code ${code}`;
    process.stdout.write(`failed (${how}): ${relative(ROOT, program)}\n`);
  }
  return code === 0;
}

/** The corpus that it finds stays, so that the next run goes on from there. */
async function fuzz(name, program, seconds) {
  const corpus = join(OUT, 'corpus', name);
  const crashes = join(OUT, 'crashes', name);
  for (const folder of [corpus, crashes]) mkdirSync(folder, { recursive: true });
  const args = [
    `-max_total_time=${seconds}`,
    `-max_len=${INPUT_BYTES_MAX}`,
    `-timeout=${INPUT_SECONDS_MAX}`,
    `-rss_limit_mb=${MEMORY_MIB_MAX}`,
    `-artifact_prefix=${crashes}/`,
    '-print_final_stats=1',
    '-verbosity=1',
    corpus,
  ];
  let output = '';
  const keep = (text) => {
    output = (output + text).slice(-OUTPUT_BYTES_MAX);
  };
  const { code } = await run(program, args, seconds * 1000 + FUZZ_GRACE_MS, keep);
  if (code !== 0) {
    process.stdout.write(`fuzz ${name}: FAILED\n${output}\n`);
    return false;
  }
  const runs = /number_of_executed_units: (\d+)/.exec(output)?.[1] ?? '?';
  const done = /DONE\s+(cov: \d+ ft: \d+)/.exec(output)?.[1] ?? '';
  process.stdout.write(`fuzz ${name}: ${runs} inputs in ${seconds} s, ${done}\n`);
  return true;
}

/** Resolves with how the program ended; it is killed when it takes longer than it may. */
function run(program, args, msMax, onText) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...SANITIZER_OPTIONS },
    });
    children.add(child);
    const timer = setTimeout(() => {
      onText(`not done within ${Math.round(msMax / 1000)} s\n`);
      child.kill('SIGKILL');
    }, msMax);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', onText);
    }
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      children.delete(child);
      resolve({ code, signal });
    });
  });
}
