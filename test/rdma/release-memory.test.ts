import { expect } from 'chai';
import { releaseMemory } from '../../rdma/index.ts';

const PIECE_BYTES = 32 * 1024 * 1024;

describe('memory that is released', () => {
  it('is given back to the system at once, and its views are empty', () => {
    const bytes = new Uint8Array(PIECE_BYTES).fill(1);
    const before = process.memoryUsage.rss();
    releaseMemory(bytes.buffer);
    expect(before - process.memoryUsage.rss()).to.be.greaterThan(PIECE_BYTES / 2);
    expect(bytes.length).to.equal(0);
    expect(bytes[0]).to.equal(undefined);
    releaseMemory(bytes.buffer);
  });

  it('can only be that of a buffer', () => {
    const wrong = new Uint8Array(8) as unknown as ArrayBuffer;
    expect(() => releaseMemory(wrong)).to.throw('buffer must be an ArrayBuffer');
  });
});
