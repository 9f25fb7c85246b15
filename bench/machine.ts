/** The machine, for whoever compares figures. */
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { version } from '../orderer/version.ts';
import { IN_GUEST } from '../test/support/slow.ts';
import type { Machine } from './result.ts';

const GIB = 1024 ** 3;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export function describeMachine(): Machine {
  const processors = cpus();
  return {
    date: new Date().toISOString(),
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / GIB),
    kernel: release(),
    node: process.version,
    sluice: version,
    commit: commit(),
    loadAverage: loadavg()[0] ?? 0,
    emulated: IN_GUEST ? 'QEMU without hardware support; RDMA is Soft-RoCE' : undefined,
  };
}

function commit(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' }).trim();
    const changed = git('status', '--porcelain', '--untracked-files=no').length > 0;
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? '+' : ''}`;
  } catch {
    return 'unknown';
  }
}
