/** The program that measures, compiled on the host: the guest sees the same file, and can write nowhere. */
import { mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from '../../../scripts/setup/paths.mjs';
import { runQuietly } from '../../../scripts/setup/progress.mjs';
import { findBuildTools } from '../../../scripts/setup/tools.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const PROGRAM = join('build', 'memory-cost');

export async function buildProgram() {
  const [compiler, ...given] = findBuildTools().CXX.trim().split(/\s+/);
  const sources = readdirSync(HERE).filter((name) => name.endsWith('.cc'));
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  const args = [
    ...given,
    ...['-std=c++20', '-O2', '-Wall', '-Wextra'],
    ...sources.map((name) => join(HERE, name)),
    ...['-o', join(ROOT, PROGRAM), '-libverbs'],
  ];
  await runQuietly('compiling what measures', compiler, args, {});
}

/** What runs in the guest. Huge pages are reserved there, for the figures that compare them. */
export const COMMAND = `
set -e
rdma link
echo 16 > /proc/sys/vm/nr_hugepages
${PROGRAM}
`;
