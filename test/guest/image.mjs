/** The guest's initial file system: a static busybox, the modules, and `init.sh`. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { moduleFiles } from './kernel.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const BUSYBOX = '/bin/busybox';
/** crc32_generic: without it `rdma link add` says "No such file or directory". */
const MODULES = [
  ...['virtio_pci', 'virtio_net', '9p', '9pnet_virtio', 'overlay'],
  ...['crc32_generic', 'ib_uverbs', 'rdma_ucm', 'rdma_rxe'],
  'veth',
];

/** Writes the compressed image into `folder`; returns its path. */
export function buildImage(kernel, folder) {
  const root = join(folder, 'image');
  for (const name of ['bin', 'dev', 'proc', 'sys', 'modules', 'host']) {
    mkdirSync(join(root, name), { recursive: true });
  }
  copyFileSync(BUSYBOX, join(root, 'bin', 'busybox'));
  copyFileSync(join(HERE, 'init.sh'), join(root, 'init'));
  chmodSync(join(root, 'init'), 0o755);
  const files = moduleFiles(kernel, MODULES);
  for (const file of files) copyFileSync(file, join(root, 'modules', basename(file)));
  writeFileSync(
    join(root, 'modules', 'order'),
    `${files.map((file) => basename(file)).join('\n')}\n`,
  );
  const image = join(folder, 'image.cpio');
  const command = `find . -print0 | cpio --null --create --format=newc --quiet > "${image}"`;
  execFileSync('sh', ['-c', command], { cwd: root });
  return image;
}
