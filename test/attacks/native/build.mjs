/**
 * Compiles the attacker with an RDMA device when its sources have changed. Nothing of the product contains or needs it.
 *
 *   node test/attacks/native/build.mjs
 */
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runMain } from '../../../scripts/setup/errors.mjs';
import { ROOT } from '../../../scripts/setup/paths.mjs';
import { runQuietly } from '../../../scripts/setup/progress.mjs';
import { filesUnder, hashFiles, readStamp, writeStamp } from '../../../scripts/setup/stamp.mjs';
import { findBuildTools } from '../../../scripts/setup/tools.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const FOLDER = join(ROOT, 'build', 'attacker');
const PROGRAM = join(FOLDER, 'attacker');
const STAMP = join(FOLDER, '.made-of');

export async function buildAttacker() {
  const sources = filesUnder(HERE, (name) => /\.(cc|h)$/.test(name));
  const stamp = hashFiles(ROOT, sources);
  if (existsSync(PROGRAM) && readStamp(STAMP) === stamp) return;
  mkdirSync(FOLDER, { recursive: true });
  const [compiler, ...more] = findBuildTools().CXX.trim().split(/\s+/);
  const options = ['-std=c++20', '-O1', '-Wall', '-Wextra', '-Werror', '-o', PROGRAM];
  const units = sources.filter((file) => file.endsWith('.cc'));
  const args = [...more, ...options, ...units, '-libverbs'];
  await runQuietly('compiling the attacker', compiler, args, { cwd: ROOT, env: process.env });
  writeStamp(STAMP, stamp);
}

if (
  process.argv[1] !== undefined &&
  realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)
) {
  runMain(buildAttacker);
}
