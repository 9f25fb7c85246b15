import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import { threadCollector } from '../../consensus/runtime/batch-memory.ts';
import { trimMemory } from '../../rdma/index.ts';

/** Below the size from which on glibc gives each piece of memory back by itself. */
const PIECE_BYTES = 60 * 1024;
const PIECES = 1_600;

/** Pieces of memory with free ones between them, the last not free: glibc gives back by itself what is free at the end. */
function makeHoles(): Uint8Array[] {
  const pieces = Array.from({ length: PIECES }, () => new Uint8Array(PIECE_BYTES).fill(1));
  return pieces.filter((_, index) => index % 100 === 99);
}

describe('memory that is free between what is in use', () => {
  it('goes back to the system', async () => {
    const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
    if (header.glibcVersionRuntime === undefined) {
      expect(trimMemory(), 'of another allocator nothing is known').to.equal(false);
      return;
    }
    const collect = threadCollector();
    const kept = makeHoles();
    await setImmediate();
    // The second waits for the threads that free what the first has found.
    collect();
    collect();
    const before = process.memoryUsage.rss();
    expect(trimMemory()).to.equal(true);
    const freed = before - process.memoryUsage.rss();
    expect(freed).to.be.greaterThan((PIECES * PIECE_BYTES) / 4);
    expect(kept.every((piece) => piece.every((byte) => byte === 1))).to.equal(true);
  });
});
