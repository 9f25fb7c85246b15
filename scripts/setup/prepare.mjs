/**
 * Brings a working tree up to date: packages, native addon, compiled TypeScript, bundles. Each part is rebuilt only when what
 * it is made of has changed; with nothing to do it takes a fraction of a second and no lock.
 *
 *   node scripts/setup/prepare.mjs
 */
import { existsSync, lstatSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runMain, SetupError } from './errors.mjs';
import { withLock } from './lock.mjs';
import { PATHS, ROOT } from './paths.mjs';
import { runQuietly } from './progress.mjs';
import { filesUnder, hashFiles, readStamp, removeStamp, sha256, writeStamp } from './stamp.mjs';
import { checkNode, findBuildTools, findNpm } from './tools.mjs';

/**
 * @param parts what must be up to date afterwards; packages always are
 * @throws SetupError naming a missing tool, or the step that failed after printing its output
 */
export async function prepare(parts = { addon: true, typescript: true }) {
  checkNode();
  const wanted = () => ({
    packages: packagesAreOld(),
    addon: parts.addon && addonIsOld(),
    typescript: parts.typescript && typescriptIsOld(),
    bundle: parts.typescript && bundleIsOld(),
  });
  const before = wanted();
  if (!Object.values(before).includes(true)) return;
  // Before the first long step, not after it.
  const npm = before.packages ? findNpm() : undefined;
  if (before.addon) findBuildTools();
  await withLock(
    PATHS.lockFile,
    async () => {
      // Another set-up may have done some of it while this one waited.
      if (wanted().packages) await installPackages(npm ?? findNpm());
      if (wanted().addon) await buildAddon(findBuildTools());
      if (wanted().typescript) await compileTypescript();
      if (wanted().bundle) await bundleReplica();
    },
    ({ pid }) =>
      process.stderr.write(`waiting for another set-up of this folder (process ${pid})\n`),
  );
}

function lockHash() {
  return sha256(readFileSync(PATHS.packageLock));
}

function packagesAreOld() {
  const stamp = readStamp(PATHS.packagesStamp);
  if (stamp !== undefined) return stamp !== lockHash();
  // No stamp: somebody ran npm by hand, which leaves its own record of what is installed.
  const record = join(PATHS.nodeModules, '.package-lock.json');
  if (!existsSync(record)) return true;
  return statSync(record).mtimeMs < statSync(PATHS.packageLock).mtimeMs;
}

async function installPackages(npm) {
  if (lstatSync(PATHS.nodeModules, { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw new SetupError(
      `${PATHS.nodeModules} is a symbolic link, and npm ci would empty the folder behind it: remove the link, and run this again`,
    );
  }
  removeStamp(PATHS.packagesStamp);
  // The build needs the development packages, whatever NODE_ENV says. No install scripts: the native packages that we
  // use ship prebuilt binaries, and npm would otherwise compile our own addon, which is a step of its own here.
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
  await runQuietly('installing packages (npm ci)', npm, args, { cwd: ROOT, env: process.env });
  writeStamp(PATHS.packagesStamp, lockHash());
}

/** Where `native/verbs_library.h` finds it, on every distribution. */
const VERBS_HEADER = '/usr/include/infiniband/verbs.h';

/** Sources, Node and platform: what the addon on disk was built from. */
function addonStamp() {
  const sources = filesUnder(join(ROOT, 'rdma', 'native'), (name) =>
    /\.(cc|h|cpp|hpp)$/.test(name),
  );
  const headers = join(PATHS.nodeModules, 'node-addon-api', 'package.json');
  // With the headers of libibverbs it can use RDMA devices, without them it cannot.
  const verbs = existsSync(VERBS_HEADER) ? 'verbs' : 'no verbs';
  const { version, versions, platform, arch } = process;
  const made = [version, versions.modules, platform, arch, verbs].join(' ');
  return hashFiles(ROOT, [join(ROOT, 'binding.gyp'), headers, ...sources], made);
}

function addonIsOld() {
  return !existsSync(PATHS.addon) || readStamp(PATHS.addonStamp) !== addonStamp();
}

async function buildAddon(compilerEnv) {
  removeStamp(PATHS.addonStamp);
  const gyp = join(PATHS.nodeModules, 'node-gyp', 'bin', 'node-gyp.js');
  const args = [gyp, 'rebuild', '--release', '--jobs=max', ...headerArguments()];
  const env = { ...process.env, ...compilerEnv };
  await runQuietly('compiling the native addon', process.execPath, args, { cwd: ROOT, env });
  writeStamp(PATHS.addonStamp, addonStamp());
}

/** Node's own headers when they are installed beside it; else node-gyp looks for them its way. */
function headerArguments() {
  const prefix = resolve(dirname(realpathSync(process.execPath)), '..');
  const there = existsSync(join(prefix, 'include', 'node', 'node_api.h'));
  return there ? [`--nodedir=${prefix}`] : [];
}

function typescriptStamp() {
  // What is compiled is what makes a build old.
  const { include } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8'));
  const sources = include.flatMap((folder) =>
    filesUnder(join(ROOT, folder), (name) => /\.(ts|json)$/.test(name)),
  );
  const configuration = ['tsconfig.json', 'package.json', 'package-lock.json'];
  return hashFiles(ROOT, [...configuration.map((name) => join(ROOT, name)), ...sources]);
}

function typescriptIsOld() {
  return !existsSync(PATHS.entry) || readStamp(PATHS.distStamp) !== typescriptStamp();
}

async function compileTypescript() {
  removeStamp(PATHS.distStamp);
  const stamp = typescriptStamp();
  removeOrphans();
  const tsc = join(PATHS.nodeModules, 'typescript', 'bin', 'tsc');
  const args = [tsc, '-p', 'tsconfig.json'];
  await runQuietly('compiling TypeScript', process.execPath, args, { cwd: ROOT, env: process.env });
  // The stamp of what was there at the start: a file that was edited meanwhile makes it old, as it should.
  writeStamp(PATHS.distStamp, stamp);
}

/** Another Node would refuse the code cache. */
function bundleStamp() {
  const made = [PATHS.distStamp, join(ROOT, 'scripts', 'setup', 'bundle.mjs')];
  return hashFiles(ROOT, made, [process.version, process.platform, process.arch].join(' '));
}

function bundleIsOld() {
  return readStamp(PATHS.bundleStamp) !== bundleStamp();
}

/** Everything runs without it too, but for a slower start: that is no reason not to start. */
async function bundleReplica() {
  const stamp = bundleStamp();
  const args = [join(ROOT, 'scripts', 'setup', 'bundle.mjs')];
  try {
    await runQuietly('bundling', process.execPath, args, { cwd: ROOT, env: process.env });
    writeStamp(PATHS.bundleStamp, stamp);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write('replicas run from single modules, and take twice as long to start\n');
  }
}

/** Compiled files whose source is gone: a deleted test must not go on running. */
function removeOrphans() {
  const outputs = filesUnder(PATHS.dist, (name) => /\.(js|js\.map|d\.ts)$/.test(name));
  // Incremental compilation does not write again what it believes is there.
  if (!existsSync(PATHS.entry)) rmSync(join(PATHS.dist, '.tsbuildinfo'), { force: true });
  for (const output of outputs) {
    const source = relative(PATHS.dist, output).replace(/\.(js|js\.map|d\.ts)$/, '.ts');
    if (!existsSync(join(ROOT, source))) rmSync(output);
  }
}

if (
  process.argv[1] !== undefined &&
  realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)
) {
  runMain(() => prepare());
}
