/** What of the transport a process still holds. */

import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Lines of /proc/self/maps that are regions, unlinked ones included. */
export function mappings(): string[] {
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes('/dev/shm/sluice-'));
}

/** Targets of this process's open file descriptors. */
export function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the descriptor of this very listing
    }
  });
}

/** Whether a region's name is still there. */
export function isLinked(name: string): boolean {
  return existsSync(`/dev/shm${name}`);
}
