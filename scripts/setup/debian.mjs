import { existsSync } from 'node:fs';
import { SetupError } from './errors.mjs';
import { runQuietly } from './progress.mjs';
import { findExecutable } from './tools.mjs';

/**
 * Debian packages that something optional needs: installed where that takes no password, named in a SetupError where it does.
 *
 * @param packages `[name, file that shows that it is there]`
 * @param who what needs them, for messages: "the guest"
 */
export async function requirePackages(who, packages) {
  const missing = packages.filter(([, file]) => !existsSync(file)).map(([name]) => name);
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  const apt = findExecutable('apt-get');
  if (apt === undefined || process.getuid?.() !== 0) {
    throw new SetupError(
      `${who} needs Debian packages that are not installed; as root: ${command}`,
    );
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await runQuietly('fetching the list of packages', apt, ['update', '-q'], { env });
  await runQuietly(`installing what ${who} needs`, apt, command.split(' ').slice(1), { env });
}
