import { expect } from 'chai';
import { releaseMemory } from '../../rdma/index.ts';

const PIECE_BYTES = 32 * 1024 * 1024;

describe('memory that is released', () => {
  it('is free at once, and its views are empty', () => {
    const bytes = new Uint8Array(PIECE_BYTES).fill(1);
    // Not what is resident: what glibc does with free memory depends on what was freed before.
    const before = process.memoryUsage().arrayBuffers;
    releaseMemory(bytes.buffer);
    expect(before - process.memoryUsage().arrayBuffers).to.be.at.least(PIECE_BYTES);
    expect(bytes.length).to.equal(0);
    expect(bytes[0]).to.equal(undefined);
    releaseMemory(bytes.buffer);
  });

  it('can only be that of a buffer', () => {
    const wrong = new Uint8Array(8) as unknown as ArrayBuffer;
    expect(() => releaseMemory(wrong)).to.throw('buffer must be an ArrayBuffer');
  });
});
