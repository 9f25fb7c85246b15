/** Debian's kernel and its modules, unpacked into a cache; nothing is installed. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { SetupError } from '../../scripts/setup/errors.mjs';
import { runQuietly } from '../../scripts/setup/progress.mjs';

const META_PACKAGE = 'linux-image-amd64';

export function cacheFolder() {
  return process.env.SLUICE_CACHE ?? join(homedir(), '.cache', 'sluice', 'guest');
}

/** Returns `{ version, root, image }`: root holds lib/modules/VERSION. */
export async function fetchKernel() {
  const cache = cacheFolder();
  mkdirSync(cache, { recursive: true });
  const known = readdirSync(cache)
    .filter((name) => name.startsWith('linux-image-'))
    .sort();
  const root = join(cache, known.at(-1) ?? (await download(cache)));
  const [version] = readdirSync(join(root, 'lib', 'modules'));
  if (version === undefined) throw new SetupError(`${root} holds no modules; remove that folder`);
  return { version, root, image: join(root, 'boot', `vmlinuz-${version}`) };
}

/** Appears in the cache whole, or not at all. */
async function download(cache) {
  const name = packageName();
  const draft = mkdtempSync(join(cache, '.draft-'));
  try {
    // apt drops its privileges, and wants a folder that everybody may enter: root downloads as itself.
    const options = ['-o', 'APT::Sandbox::User=root', 'download', name];
    await runQuietly(`fetching ${name}`, 'apt-get', options, { cwd: draft });
    const [archive] = readdirSync(draft).filter((file) => file.endsWith('.deb'));
    if (archive === undefined) throw new SetupError(`apt-get download ${name} brought no package`);
    const root = join(draft, 'root');
    await runQuietly('unpacking it', 'dpkg-deb', ['-x', join(draft, archive), root], {});
    const [version] = readdirSync(join(root, 'lib', 'modules'));
    await runQuietly('listing its modules', 'depmod', ['-b', root, version], {});
    if (!existsSync(join(cache, name))) renameSync(root, join(cache, name));
    return name;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** The package that the meta package stands for at present. */
function packageName() {
  const output = execFileSync('apt-cache', ['depends', META_PACKAGE], { encoding: 'utf8' });
  const found = /Depends: (linux-image-\S+)/.exec(output)?.[1];
  if (found !== undefined) return found;
  throw new SetupError(
    `apt does not know ${META_PACKAGE}: run \`apt-get update\` on a Debian machine`,
  );
}

/** The module files that `names` take, in the order in which they must be loaded. */
export function moduleFiles({ root, version }, names) {
  const files = [];
  for (const name of names) {
    const args = ['-d', root, '-S', version, '--show-depends', name];
    const output = execFileSync('modprobe', args, { encoding: 'utf8' });
    for (const line of output.split('\n')) {
      const file = /^insmod (\S+)/.exec(line)?.[1];
      if (file !== undefined && !files.includes(file)) files.push(file);
    }
  }
  return files;
}
