import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of the repository that these scripts belong to. */
export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

export const PATHS = {
  lockFile: join(ROOT, '.sluice-setup.lock'),
  packageLock: join(ROOT, 'package-lock.json'),
  nodeModules: join(ROOT, 'node_modules'),
  packagesStamp: join(ROOT, 'node_modules', '.sluice-lock-sha256'),
  addon: join(ROOT, 'build', 'Release', 'sluice_rdma.node'),
  addonStamp: join(ROOT, 'build', '.sluice-addon'),
  dist: join(ROOT, 'dist'),
  distStamp: join(ROOT, 'dist', '.sluice-sources'),
  bundle: join(ROOT, 'dist', 'bundle'),
  bundleStamp: join(ROOT, 'dist', 'bundle', '.sluice-made-of'),
  entry: join(ROOT, 'dist', 'scripts', 'sluice.js'),
};
