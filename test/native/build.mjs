/** Compiles the addon's core, its unit tests and fuzz targets with clang, under sanitizers; what has not changed is kept. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { SetupError } from '../../scripts/setup/errors.mjs';
import { limiter } from '../../scripts/setup/limiter.mjs';
import { ROOT } from '../../scripts/setup/paths.mjs';
import {
  filesUnder,
  hashFiles,
  readStamp,
  removeStamp,
  writeStamp,
} from '../../scripts/setup/stamp.mjs';

const HERE = join(ROOT, 'test', 'native');
const STANDARD = join(HERE, 'support', 'standard.h');
const CORE = join(ROOT, 'rdma', 'native');
export const OUT = join(ROOT, 'build', 'native-tests');

const COMPILER = 'clang++';
const COMPILE_MS_MAX = 300_000;
/** What talks to JavaScript; everything else is the core. */
const BINDING = ['arguments.cc', 'binding.cc', 'constants.cc', 'functions.cc', 'record_sink.cc'];

const COMMON = [
  '-std=c++20',
  '-O1',
  '-gline-tables-only',
  '-fno-omit-frame-pointer',
  '-Wall',
  '-Wextra',
];
const INCLUDES = [`-I${CORE}`, `-I${HERE}`];
const LIBRARIES = ['-lcrypto', '-lrt', '-ldl', '-pthread'];
const SANITIZERS = {
  address: ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  thread: ['-fsanitize=thread'],
};
/** The unit tests under AddressSanitizer and the fuzz targets share their objects. */
const COVERAGE = { address: ['-fsanitize=fuzzer-no-link'], thread: [] };
/** Puts the clock of support/clock.cc in place of the core's. */
const OWN_CLOCK = '-Wl,--wrap=_ZN6sluice11MonotonicUsEv';

export const TARGETS = filesUnder(join(HERE, 'fuzz'), (name) => name.endsWith('.cc'))
  .map((file) => basename(file, '.cc'))
  .sort();

/** Builds what is asked for: `{ units: { address, thread }, fuzz: { target: … } }`, paths of programs. */
export async function build({ units, targets }) {
  const work = limiter(availableParallelism());
  const parsed = {
    address: work(() => parse('address')),
    thread: units ? work(() => parse('thread')) : '',
  };
  const compiled = async (sanitizer, sources) => {
    const standard = await parsed[sanitizer];
    return Promise.all(sources.map((source) => work(() => compile(sanitizer, standard, source))));
  };
  const core = { address: compiled('address', coreSources()), thread: [] };
  if (units) core.thread = compiled('thread', coreSources());

  const unit = async (sanitizer) => {
    const own = await compiled(sanitizer, sourcesUnder('unit'));
    const program = join(OUT, `unit-${sanitizer}`);
    return link(program, [...own, ...(await core[sanitizer])], SANITIZERS[sanitizer]);
  };
  const target = async (name, shared) => {
    const own = await compiled('address', [join(HERE, 'fuzz', `${name}.cc`)]);
    const flags = [...SANITIZERS.address, '-fsanitize=fuzzer', OWN_CLOCK];
    return link(
      join(OUT, `fuzz-${name}`),
      [...own, ...(await shared), ...(await core.address)],
      flags,
    );
  };
  const shared = targets.length > 0 ? compiled('address', sourcesUnder('support')) : [];
  const [address, thread, ...fuzz] = await Promise.all([
    units ? unit('address') : undefined,
    units ? unit('thread') : undefined,
    ...targets.map((name) => target(name, shared)),
  ]);
  return {
    units: units ? { address, thread } : {},
    fuzz: Object.fromEntries(targets.map((name, i) => [name, fuzz[i]])),
  };
}

function coreSources() {
  return filesUnder(CORE, (name) => name.endsWith('.cc') && !BINDING.includes(name));
}

function sourcesUnder(folder) {
  return filesUnder(join(HERE, folder), (name) => name.endsWith('.cc'));
}

function headers() {
  const isHeader = (name) => name.endsWith('.h');
  return [...filesUnder(CORE, isHeader), ...filesUnder(HERE, isHeader)];
}

/** The headers of the library, once for all files: they take longer than what is in the files. */
async function parse(sanitizer) {
  const product = join(OUT, sanitizer, 'standard.pch');
  await make(
    product,
    [STANDARD],
    [...flagsOf(sanitizer), '-x', 'c++-header', STANDARD, '-o', product],
  );
  return product;
}

async function compile(sanitizer, standard, source) {
  const name = relative(ROOT, source).replaceAll('/', '-').replace(/cc$/, 'o');
  const object = join(OUT, sanitizer, name);
  const args = [...flagsOf(sanitizer), '-include-pch', standard, '-c', source, '-o', object];
  await make(object, [source, ...headers()], args);
  return object;
}

function flagsOf(sanitizer) {
  return [...COMMON, ...SANITIZERS[sanitizer], ...COVERAGE[sanitizer], ...INCLUDES];
}

async function link(program, objects, flags) {
  await make(program, objects, [...flags, ...objects, ...LIBRARIES, '-o', program]);
  return program;
}

/** Runs the compiler unless `product` was made of the same files by the same command. */
async function make(product, files, args) {
  const stamp = `${product}.stamp`;
  const wanted = hashFiles(ROOT, files, args.join('\0'));
  if (existsSync(product) && readStamp(stamp) === wanted) return;
  mkdirSync(dirname(product), { recursive: true });
  removeStamp(stamp);
  await run(COMPILER, args);
  writeStamp(stamp, wanted);
}

function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: COMPILE_MS_MAX,
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new SetupError(`${command} failed (${signal ?? code}): ${args.at(-1)}`));
    });
  });
}
