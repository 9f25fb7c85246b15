/** What one answer to a replica that lacks blocks holds, and when it goes out. */
import { expect } from 'chai';
import type { Block } from '../../ledger/format/index.ts';
import { readBlocks } from '../../orderer/startup/serving.ts';
import { BLOCKS_BYTES_MAX, BLOCKS_PER_FRAME_MAX } from '../../orderer/startup/wire.ts';

class Blocks {
  underWay = 0;
  underWayMax = 0;
  readonly #height: number;
  readonly #bytes: number;

  constructor(height: number, bytes: number) {
    this.#height = height;
    this.#bytes = bytes;
  }

  async storedBlock(number: number): Promise<Block | undefined> {
    this.underWay++;
    this.underWayMax = Math.max(this.underWayMax, this.underWay);
    await new Promise((resolve) => setImmediate(resolve));
    this.underWay--;
    if (number >= this.#height) return undefined;
    const header = { number, previousHash: new Uint8Array(32), dataHash: new Uint8Array(32) };
    return { header, data: [new Uint8Array(this.#bytes)], metadata: [] };
  }
}

const stopped = (): number => 0;

describe('blocks for a replica that lacks them', () => {
  it('are as many as an answer takes, and all there are', async () => {
    const small = await readBlocks(new Blocks(5_000, 100), 7, 5_000, stopped);
    expect(small.blocks).to.have.length(BLOCKS_PER_FRAME_MAX);
    const last = await readBlocks(new Blocks(50, 100), 40, 50, stopped);
    expect(last.blocks).to.have.length(10);
    const cutShort = await readBlocks(new Blocks(45, 100), 40, 50, stopped);
    expect(cutShort.blocks).to.have.length(5);
  });

  it('are read side by side when they are small, and one by one when they are large', async () => {
    const small = new Blocks(5_000, 100);
    await readBlocks(small, 0, 5_000, stopped);
    expect(small.underWayMax).to.equal(16);
    const large = new Blocks(100, 3 * BLOCKS_BYTES_MAX);
    expect((await readBlocks(large, 0, 100, stopped)).blocks).to.have.length(1);
    expect(large.underWayMax).to.equal(1);
  });

  it('go out as they are when reading takes long, but never none', async () => {
    let nowMs = 0;
    const busy = (): number => {
      nowMs += 200;
      return nowMs;
    };
    const { blocks } = await readBlocks(new Blocks(5_000, 100), 0, 5_000, busy);
    expect(blocks.length).to.be.within(1, 17);
    const slower = (): number => {
      nowMs += 10_000;
      return nowMs;
    };
    expect((await readBlocks(new Blocks(5_000, 100), 0, 5_000, slower)).blocks).to.have.length(1);
  });
});
