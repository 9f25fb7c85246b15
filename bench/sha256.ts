/** How fast the machine is just now: other work on it changes every figure by more than what is compared. */
import { hash } from 'node:crypto';
import { median } from './statistics.ts';

const BYTES = 256;
const HASHES = 4_000;
const ROUNDS = 9;

/** Microseconds that SHA-256 of 256 bytes takes (`crypto.hash`); the median of several rounds. */
export function sha256Us(): number {
  const bytes = new Uint8Array(BYTES).fill(0x5a);
  const tookUs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now();
    for (let i = 0; i < HASHES; i++) hash('sha256', bytes, 'buffer');
    tookUs.push(((performance.now() - startMs) * 1_000) / HASHES);
  }
  return median(tookUs);
}
