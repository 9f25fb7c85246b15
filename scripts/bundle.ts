/**
 * Runs the bundles that `scripts/setup/bundle.mjs` makes of what a replica runs. A bundle that is missing, damaged, or made of other
 * sources than the modules beside it is as good as none: then the modules themselves run, only slower to start.
 * `NODE_DEBUG=sluice` prints what was chosen.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { debuglog } from 'node:util';
import { Script } from 'node:vm';

export interface Manifest {
  /** Of the sources that the modules and the bundles were made from. */
  readonly sources: string;
  /** Name in the folder, SHA-256. */
  readonly files: Readonly<Record<string, string>>;
}

export const BUNDLE_FOLDER = fileURLToPath(new URL('../bundle/', import.meta.url));
/** The compiler's record of all sources by content, and the packages: what else is in a bundle. */
const SOURCES = ['../.tsbuildinfo', '../../package-lock.json'];
const debug = debuglog('sluice');

/** Exports of the bundle after it ran; undefined when there is none that can be trusted. What it throws is thrown. */
export function runBundle(name: string): Record<string, unknown> | undefined {
  // Coverage is counted for modules, and that of a bundle would be nobody's.
  if (process.env.NODE_V8_COVERAGE !== undefined) return undefined;
  let script: Script;
  try {
    const manifest = JSON.parse(readFileSync(`${BUNDLE_FOLDER}manifest.json`, 'utf8')) as Manifest;
    if (manifest.sources !== sourcesDigest()) throw new Error('made of other sources');
    const verified = (file: string): Buffer => readVerified(manifest, file);
    // Those that start threads, which cannot go back to the modules by themselves when they are damaged.
    for (const file of Object.keys(manifest.files)) if (file.endsWith('.mjs')) verified(file);
    script = compileBundle(name, verified(`${name}.cjs`), cacheOf(name, verified));
  } catch (error) {
    debug('%s: modules (%s)', name, error instanceof Error ? error.message : error);
    return undefined;
  }
  debug('%s: bundle, code cache %s', name, script.cachedDataRejected === false ? 'used' : 'unused');
  return runScript(name, script);
}

/** As Node itself wraps a CommonJS module; of `import()` a script from a code cache knows nothing, so it is given one. */
export function compileBundle(name: string, text: Buffer, cachedData?: Buffer): Script {
  // The bundler writes ASCII only, and a string of one byte a character takes half the memory.
  const source = `(function (exports, require, module, __filename, __dirname, __import) {${text.toString('latin1')}\n})`;
  return new Script(source, {
    filename: pathOf(name),
    ...(cachedData === undefined ? {} : { cachedData }),
  });
}

export function runScript(name: string, script: Script): Record<string, unknown> {
  const module = { exports: {} };
  const path = pathOf(name);
  const root = new URL('../../', import.meta.url);
  const load = (file: string): Promise<unknown> => import(new URL(file, root).href);
  const require = createRequire(path);
  script.runInThisContext()(module.exports, require, module, path, BUNDLE_FOLDER, load);
  return module.exports;
}

export function sourcesDigest(): string {
  const all = createHash('sha256');
  for (const file of SOURCES) all.update(digest(readFileSync(new URL(file, import.meta.url))));
  return all.digest('hex');
}

export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function pathOf(name: string): string {
  return `${BUNDLE_FOLDER}${name}.cjs`;
}

/** V8 refuses one of another version or other flags by itself, but trusts the bytes of what it takes. */
function cacheOf(name: string, verified: (file: string) => Buffer): Buffer | undefined {
  try {
    return verified(`${name}.cache`);
  } catch (error) {
    debug('%s: no code cache (%s)', name, error instanceof Error ? error.message : error);
    return undefined;
  }
}

function readVerified(manifest: Manifest, file: string): Buffer {
  const bytes = readFileSync(`${BUNDLE_FOLDER}${file}`);
  if (digest(bytes) !== manifest.files[file]) throw new Error(`${file} is damaged`);
  return bytes;
}
