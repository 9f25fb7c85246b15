/** The version in package.json; found from the source and from the compiled layout alike. */
import { readFileSync } from 'node:fs';

export const version = readVersion();

function readVersion(): string {
  for (const candidate of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(new URL(candidate, import.meta.url), 'utf8');
      const parsed: unknown = JSON.parse(text);
      if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) {
        return String(parsed.version);
      }
    } catch {
      // Not at this depth: the next candidate.
    }
  }
  return 'unknown';
}
