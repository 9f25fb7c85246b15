/** What of the transport a process still holds. */

import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Lines of /proc/self/maps that are regions, unlinked ones included. */
export function mappings(): string[] {
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes('/dev/shm/sluice-'));
}

/** Targets of this process's open file descriptors, as far as they are shared memory: other suites have files of their own. */
export function openFiles(): string[] {
  const targets = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the descriptor of this very listing
    }
  });
  return targets.filter((target) => target.startsWith('/dev/shm/'));
}

/** Whether a region's name is still there. */
export function isLinked(name: string): boolean {
  return existsSync(`/dev/shm${name}`);
}
