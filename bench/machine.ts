/** The machine, for whoever compares figures. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { version } from '../orderer/version.ts';
import { IN_GUEST } from '../test/support/slow.ts';
import type { Machine } from './result.ts';
import { sha256Us } from './sha256.ts';

const GIB = 1024 ** 3;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export function describeMachine(): Machine {
  const processors = cpus();
  return {
    date: new Date().toISOString(),
    cpu: `${processors[0]?.model ?? 'unknown'}${generation()}`,
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / GIB),
    kernel: release(),
    node: process.version,
    sluice: version,
    commit: commit(),
    loadAverage: loadavg()[0] ?? 0,
    sha256Us: sha256Us(),
    emulated: IN_GUEST ? 'QEMU without hardware support; RDMA is Soft-RoCE' : undefined,
  };
}

/** Clouds give their processors of ten years one name; what differs by a factor of two is the generation and its caches. */
function generation(): string {
  try {
    const text = readFileSync('/proc/cpuinfo', 'utf8');
    const of = (name: string): string =>
      new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(text)?.[1] ?? 'unknown';
    return ` (family ${of('cpu family')}, model ${of('model')}, cache of a core ${of('cache size')})`;
  } catch {
    return '';
  }
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
