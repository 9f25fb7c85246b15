import { expect } from 'chai';
import fc from 'fast-check';
import { BlockCutter } from '../../orderer/cutter/index.ts';
import { OrdererError } from '../../orderer/errors.ts';

interface Message {
  readonly id: number;
  readonly sizeBytes: number;
}

function messages(...sizes: number[]): Message[] {
  return sizes.map((sizeBytes, id) => ({ id, sizeBytes }));
}

/** Ids of the blocks that the stream becomes, the rest last. */
function run(cutter: BlockCutter<Message>, stream: readonly Message[]): number[][] {
  const blocks = stream.flatMap((message) => cutter.ordered(message).batches);
  return [...blocks, cutter.cut()].map((block) => block.map(({ id }) => id));
}

/**
 * The rules written down another way: first decide for each message alone whether a block ends
 * before or after it, then split the stream there.
 */
function model(
  stream: readonly Message[],
  limits: { maxMessageCount: number; preferredMaxBytes: number },
): number[][] {
  const endsAfter = new Set<number>();
  let count = 0;
  let bytes = 0;
  for (const [i, { sizeBytes }] of stream.entries()) {
    const isolated = sizeBytes > limits.preferredMaxBytes;
    if (isolated || bytes + sizeBytes > limits.preferredMaxBytes) {
      if (count > 0) endsAfter.add(i - 1);
      count = 0;
      bytes = 0;
    }
    count += 1;
    bytes += sizeBytes;
    if (isolated || count === limits.maxMessageCount) {
      endsAfter.add(i);
      count = 0;
      bytes = 0;
    }
  }
  const blocks: number[][] = [[]];
  for (const [i, { id }] of stream.entries()) {
    blocks.at(-1)?.push(id);
    if (endsAfter.has(i)) blocks.push([]);
  }
  return blocks;
}

describe('BlockCutter', () => {
  const limits = { maxMessageCount: 3, preferredMaxBytes: 100 };

  it('cuts when the count is reached', () => {
    expect(run(new BlockCutter(limits), messages(1, 1, 1, 1))).to.deep.equal([[0, 1, 2], [3]]);
  });

  it('cuts before the message that would overflow the preferred size', () => {
    expect(run(new BlockCutter(limits), messages(60, 40, 1))).to.deep.equal([[0, 1], [2]]);
    expect(run(new BlockCutter(limits), messages(60, 41))).to.deep.equal([[0], [1]]);
  });

  it('gives a message above the preferred size a block of its own, after what was pending', () => {
    const cutter = new BlockCutter<Message>(limits);
    const [a, b, c] = messages(10, 101, 10) as [Message, Message, Message];
    expect(cutter.ordered(a)).to.deep.equal({ batches: [], pending: true });
    expect(cutter.ordered(b)).to.deep.equal({ batches: [[a], [b]], pending: false });
    expect(cutter.ordered(b)).to.deep.equal({ batches: [[b]], pending: false });
    expect(cutter.ordered(c)).to.deep.equal({ batches: [], pending: true });
    expect(cutter.cut()).to.deep.equal([c]);
  });

  it('keeps a message of exactly the preferred size pending', () => {
    const cutter = new BlockCutter<Message>(limits);
    const [exact, small] = messages(100, 1) as [Message, Message];
    expect(cutter.ordered(exact)).to.deep.equal({ batches: [], pending: true });
    expect(cutter.ordered(small)).to.deep.equal({ batches: [[exact]], pending: true });
  });

  it('cuts every message at once when a block holds one', () => {
    const single = new BlockCutter<Message>({ maxMessageCount: 1, preferredMaxBytes: 100 });
    const [a, b] = messages(10, 95) as [Message, Message];
    expect(single.ordered(a)).to.deep.equal({ batches: [[a]], pending: false });
    expect(single.ordered(b)).to.deep.equal({ batches: [[b]], pending: false });
  });

  it('has nothing to cut when nothing is pending', () => {
    expect(new BlockCutter(limits).cut()).to.deep.equal([]);
  });

  it('counts messages of no size', () => {
    expect(run(new BlockCutter(limits), messages(0, 0, 0, 0))).to.deep.equal([[0, 1, 2], [3]]);
  });

  it('names a limit that makes no sense, and pending messages that were never pending', () => {
    for (const preferredMaxBytes of [0, -1, 1.5, Number.NaN]) {
      expect(() => new BlockCutter({ maxMessageCount: 1, preferredMaxBytes })).to.throw(
        OrdererError,
        'preferredMaxBytes is',
      );
    }
    expect(() => new BlockCutter(limits, messages(1, 1, 1))).to.throw(OrdererError, 'do not fit');
    expect(() => new BlockCutter(limits, messages(101))).to.throw(OrdererError, 'do not fit');
  });

  const stream = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 0, max: 40 }) },
      { weight: 2, arbitrary: fc.integer({ min: 41, max: 100 }) },
      { weight: 1, arbitrary: fc.integer({ min: 98, max: 250 }) },
    ),
    { maxLength: 80 },
  );
  const anyLimits = fc.record({
    maxMessageCount: fc.integer({ min: 1, max: 12 }),
    preferredMaxBytes: fc.integer({ min: 1, max: 150 }),
  });

  it('agrees with the rules written down another way', () => {
    fc.assert(
      fc.property(stream, anyLimits, (sizes, options) => {
        const input = messages(...sizes);
        expect(run(new BlockCutter(options), input)).to.deep.equal(model(input, options));
      }),
      { numRuns: 1000 },
    );
  });

  it('keeps the order, loses nothing and respects its limits, with cuts from outside in between', () => {
    fc.assert(
      fc.property(stream, anyLimits, fc.array(fc.nat({ max: 79 })), (sizes, options, cuts) => {
        const cutter = new BlockCutter<Message>(options);
        const input = messages(...sizes);
        const blocks: Message[][] = [];
        for (const message of input) {
          const { batches, pending } = cutter.ordered(message);
          expect(batches.length).to.be.at.most(2);
          // Fabric: two blocks and something pending is impossible.
          expect(batches.length === 2 && pending).to.equal(false);
          expect(pending).to.equal(cutter.pendingCount > 0);
          blocks.push(...batches);
          if (cuts.includes(message.id) && cutter.pendingCount > 0) blocks.push(cutter.cut());
        }
        if (cutter.pendingCount > 0) blocks.push(cutter.cut());
        expect(blocks.flat()).to.deep.equal(input);
        for (const block of blocks) {
          const bytes = block.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
          expect(block.length).to.be.within(1, options.maxMessageCount);
          expect(block.length === 1 || bytes <= options.preferredMaxBytes).to.equal(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('goes on after its state was saved and restored as if nothing had happened', () => {
    fc.assert(
      fc.property(stream, anyLimits, fc.nat({ max: 80 }), (sizes, options, at) => {
        const input = messages(...sizes);
        const first = new BlockCutter<Message>(options);
        const before = input.slice(0, at).flatMap((message) => first.ordered(message).batches);
        const saved: Message[] = JSON.parse(JSON.stringify(first.state()));
        const second = new BlockCutter<Message>(options, saved);
        expect(second.pendingBytes).to.equal(first.pendingBytes);
        const after = run(second, input.slice(at));
        const all = [...before.map((block) => block.map(({ id }) => id)), ...after];
        expect(all).to.deep.equal(run(new BlockCutter(options), input));
      }),
      { numRuns: 300 },
    );
  });
});
