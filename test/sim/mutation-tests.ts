/**
 * Mutants that no seed in reach catches: the test that stands in for the simulator (`elsewhere`) is run on each, in a copy of
 * the compiled tree, and must fail there.
 */
import { spawnSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CodeMutation, copyCompiled, plantInto } from './mutations.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** What the tests of the core need of `dist`. */
const PARTS = ['consensus', 'rdma', 'test/consensus', 'test/support'];
/** What they look at besides. */
const LINKED = ['build', 'consensus', 'node_modules'];
const TIMEOUT_MS = 120_000;

/** Whether the test fails with the bug. Throws when it cannot be run, or fails without the bug as well. */
export function testCatches(mutation: CodeMutation, test: string): boolean {
  const copy = copyCompiled(PARTS);
  const { folder, dispose } = copy;
  try {
    for (const part of LINKED) symlinkSync(join(ROOT, part), join(folder, part));
    const compiled = join('dist', test.replace(/\.ts$/, '.js'));
    if (!passes(folder, compiled)) throw new Error(`${test} fails without ${mutation.name}`);
    plantInto(copy, mutation);
    return !passes(folder, compiled);
  } finally {
    dispose();
  }
}

function passes(cwd: string, test: string): boolean {
  const mocha = join('node_modules', 'mocha', 'bin', 'mocha.js');
  const args = [mocha, '--no-config', '--reporter', 'dot', '--fail-zero', '--timeout', '60000'];
  const { status, error } = spawnSync(process.execPath, [...args, test], {
    cwd,
    stdio: 'ignore',
    timeout: TIMEOUT_MS,
  });
  if (error !== undefined) throw error;
  if (status === null) throw new Error(`${test} did not end within ${TIMEOUT_MS} ms`);
  return status === 0;
}
