/**
 * Bundles what a replica and an audit run: the command and each of its threads become one file, with V8's code cache beside it.
 * Finding, reading and compiling some 900 modules was half of the processor time of a start. `scripts/bundle.ts` runs
 * what is made here, and the modules themselves whenever something about it is not as it was made.
 *
 *   node scripts/setup/bundle.mjs
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { runMain, SetupError } from './errors.mjs';
import { PATHS, ROOT } from './paths.mjs';
import { writeStamp } from './stamp.mjs';

/** Commands, each with the program around it; then threads, by the compiled modules that they begin with. */
const COMMANDS = ['start', 'replica', 'verify'];
const THREADS = {
  'load-worker': 'orderer/network/load-worker.js',
  'consensus-worker': 'consensus/runtime/worker.js',
  'verify-worker': 'orderer/signature/worker.js',
  'audit-worker': 'scripts/verify/signature-worker.js',
};
/** What people start, and its threads; all others run in a replica, with its flags. */
const WITHOUT_REPLICA_FLAGS = ['start', 'verify', 'audit-worker'];
/** It finds its binary by its own place. */
const EXTERNAL_PACKAGES = ['classic-level'];
/** A large module for few: it stays what it is, and is loaded when somebody asks for it. */
const APART = "import('./documentation-site.js')";
const APART_FILE = 'dist/api/documentation-site.js';
const THREAD_PATTERN = /new URL\('(\.\/[^']+)', import\.meta\.url\)/g;

async function bundle() {
  rmSync(PATHS.bundle, { recursive: true, force: true });
  mkdirSync(PATHS.bundle);
  const { build } = await import('esbuild');
  const found = new Set();
  await build({
    entryPoints: [
      ...COMMANDS.map((name) => ({ in: `command:${name}`, out: name })),
      ...Object.entries(THREADS).map(([out, file]) => ({ in: join(PATHS.dist, file), out })),
    ],
    outExtension: { '.js': '.cjs' },
    outdir: PATHS.bundle,
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    // Names and lines stay: a stack trace is read by people. Comments go, but for those that licenses want kept.
    legalComments: 'external',
    logLevel: 'warning',
    external: EXTERNAL_PACKAGES,
    banner: { js: PLACE },
    plugins: [commands, places(found)],
  });
  const lost = [...Object.keys(THREADS), APART_FILE].filter((name) => !found.has(name));
  if (lost.length > 0) throw new SetupError(`no bundled module starts or loads ${lost.join()}`);
  for (const [name, file] of Object.entries(THREADS)) {
    writeFileSync(join(PATHS.bundle, `${name}.mjs`), threadEntry(name, `../${file}`));
  }
}

/** What `sluice` does with one subcommand, without the modules of the others. */
const commands = {
  name: 'commands',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^command:/ }, ({ path }) => ({ path, namespace: 'command' }));
    onLoad({ filter: /./, namespace: 'command' }, ({ path }) => ({
      contents: `import { runProgram } from './program.js';
        import * as command from './commands/${path.slice('command:'.length)}.js';
        export const run = () => runProgram([command]);`,
      resolveDir: join(PATHS.dist, 'scripts'),
    }));
  },
};

/** Where a module lay before it was bundled, from the bundle's own place: a folder that is moved stays whole. */
const PLACE =
  'const __place = (path) => require("node:path").join(__dirname, "../..", path); ' +
  'const __placeUrl = (path) => require("node:url").pathToFileURL(__place(path)).href;';

/** Modules go on finding what they find by their own place; threads become those of the bundle. */
function places(found) {
  const threadOf = Object.fromEntries(
    Object.entries(THREADS).map(([name, file]) => [join(PATHS.dist, file), name]),
  );
  return {
    name: 'places',
    setup({ onLoad }) {
      onLoad({ filter: /\.[cm]?js$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        const place = JSON.stringify(relative(ROOT, path));
        const contents = text
          .replace(THREAD_PATTERN, (whole, specifier) => {
            const name = threadOf[resolve(dirname(path), specifier)];
            if (name === undefined) return whole;
            found.add(name);
            return `new URL(__placeUrl('dist/bundle/${name}.mjs'))`;
          })
          .replace(APART, () => {
            found.add(APART_FILE);
            return `__import('${APART_FILE}')`;
          })
          .replace(/\bimport\.meta\.url\b/g, `__placeUrl(${place})`)
          .replace(/\b__filename\b/g, `__place(${place})`)
          .replace(/\b__dirname\b/g, `__place(${JSON.stringify(relative(ROOT, dirname(path)))})`);
        return contents === text ? undefined : { contents, loader: 'js' };
      });
    },
  };
}

function threadEntry(name, plain) {
  return `import { runBundle } from '../scripts/bundle.js';
if (runBundle('${name}') === undefined) await import('${plain}');
`;
}

/** One process for each, with the flags that it will run with: V8 takes a cache only under those it was made under. */
async function makeCaches() {
  const { REPLICA_NODE_FLAGS } = await compiled('scripts/network/replica-process.js');
  for (const name of [...COMMANDS, ...Object.keys(THREADS)]) {
    const flags = WITHOUT_REPLICA_FLAGS.includes(name) ? [] : REPLICA_NODE_FLAGS;
    const args = [...flags, fileURLToPath(import.meta.url), '--cache', name];
    execFileSync(process.execPath, args, { stdio: 'inherit' });
  }
}

/** V8 puts into a cache what it has compiled by then: all that runs when a bundle is loaded. */
async function makeCache(name) {
  const { compileBundle, runScript } = await compiled('scripts/bundle.js');
  const script = compileBundle(name, readFileSync(join(PATHS.bundle, `${name}.cjs`)));
  try {
    runScript(name, script);
  } catch (error) {
    // A thread's module ends in this at its last line: this is no thread, or its arguments are not there.
    if (!(name in THREADS)) throw error;
  }
  writeFileSync(join(PATHS.bundle, `${name}.cache`), script.createCachedData());
  process.exit();
}

/** Last: without it nothing of the folder is used. */
async function writeManifest() {
  const { digest, sourcesDigest } = await compiled('scripts/bundle.js');
  const files = Object.fromEntries(
    readdirSync(PATHS.bundle)
      .filter((name) => /\.(cjs|mjs|cache)$/.test(name))
      .map((name) => [name, digest(readFileSync(join(PATHS.bundle, name)))]),
  );
  const manifest = JSON.stringify({ sources: sourcesDigest(), files }, null, 2);
  writeStamp(join(PATHS.bundle, 'manifest.json'), manifest);
}

function compiled(path) {
  return import(pathToFileURL(join(PATHS.dist, path)).href);
}

runMain(async () => {
  const [option, name] = process.argv.slice(2);
  if (option === '--cache') return makeCache(name);
  await bundle();
  await makeCaches();
  await writeManifest();
});
