/** The programs and libraries of a guest: installed where that is possible, named where it is not. */
import { existsSync } from 'node:fs';
import { SetupError } from '../../scripts/setup/errors.mjs';
import { runQuietly } from '../../scripts/setup/progress.mjs';
import { findExecutable } from '../../scripts/setup/tools.mjs';

/** Debian package, and a file that shows that it is there. */
const PACKAGES = [
  ['qemu-system-x86', '/usr/bin/qemu-system-x86_64'],
  ['busybox-static', '/bin/busybox'],
  ['cpio', '/usr/bin/cpio'],
  ['kmod', '/usr/sbin/depmod'],
  ['iproute2', '/usr/sbin/ip'],
  ['rdma-core', '/usr/share/doc/rdma-core'],
  ['ibverbs-providers', '/usr/lib/x86_64-linux-gnu/libibverbs'],
  ['libibverbs-dev', '/usr/include/infiniband/verbs.h'],
];

export async function requireTools() {
  const missing = PACKAGES.filter(([, file]) => !existsSync(file)).map(([name]) => name);
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  const apt = findExecutable('apt-get');
  if (apt === undefined || process.getuid?.() !== 0) {
    throw new SetupError(
      `the guest needs Debian packages that are not installed; as root: ${command}`,
    );
  }
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await runQuietly('fetching the list of packages', apt, ['update', '-q'], { env: environment });
  await runQuietly('installing what the guest needs', apt, command.split(' ').slice(1), {
    env: environment,
  });
}
