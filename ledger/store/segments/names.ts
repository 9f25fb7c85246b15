/** What segment files are called. */
import { readdir } from 'node:fs/promises';

/** The folder of segment files inside the ledger's. */
export const SEGMENT_FOLDER = 'segments';

export function segmentName(segment: number): string {
  return `${String(segment).padStart(6, '0')}.seg`;
}

/** Numbers of the segment files in a folder, ascending; none when there is no such folder. */
export async function listSegments(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  const numbers = names.flatMap((name) => {
    const found = /^(\d{6,})\.seg$/.exec(name);
    return found === null ? [] : [Number(found[1])];
  });
  return numbers.sort((a, b) => a - b);
}
