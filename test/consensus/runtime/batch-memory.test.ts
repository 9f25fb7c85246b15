/** When the memory of batches is freed, and what is left to V8, which is then asked to look for what is not needed any more. */
import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import {
  BatchMemory,
  COLLECT_AFTER_BYTES,
  FREED_BYTES_MIN,
  TRIM_AFTER_BYTES,
  threadCollector,
} from '../../../consensus/runtime/batch-memory.ts';
import { releaseMemory } from '../../../rdma/index.ts';

const BATCH_BYTES = COLLECT_AFTER_BYTES / 4;

function memoryThatSays() {
  const said: string[] = [];
  const memory = new BatchMemory({
    release: (buffer) => {
      said.push(`release ${buffer.byteLength}`);
      releaseMemory(buffer);
    },
    collect: () => said.push('collect'),
    trim: () => said.push('trim'),
  });
  return { memory, said };
}

describe('the memory of batches', () => {
  it('is freed once the core is done with a batch that has a buffer for itself', () => {
    const { memory, said } = memoryThatSays();
    const frame = new Uint8Array(FREED_BYTES_MIN);
    memory.own(frame);
    const payload = frame.subarray(40);
    memory.forget(payload);
    expect(said).to.eql([`release ${FREED_BYTES_MIN}`]);
    expect([frame.length, payload.length]).to.eql([0, 0]);
  });

  it('is not, of a part of a buffer, of little, or of what came otherwise', () => {
    const { memory, said } = memoryThatSays();
    const whole = new Uint8Array(2 * FREED_BYTES_MIN);
    const part = whole.subarray(FREED_BYTES_MIN);
    const little = new Uint8Array(FREED_BYTES_MIN - 1);
    for (const bytes of [part, little]) memory.own(bytes);
    const unknown = new Uint8Array(2 * FREED_BYTES_MIN);
    for (const bytes of [part, little, unknown]) memory.forget(bytes);
    expect(said).to.eql([]);
    expect(whole.length).to.equal(2 * FREED_BYTES_MIN);
  });

  it('that V8 alone can free is collected each time that there is so much of it, after the turn', () => {
    const { memory, said } = memoryThatSays();
    for (let batch = 1; batch <= 8; batch++) {
      memory.forget(new Uint8Array(BATCH_BYTES));
      expect(said.includes('collect')).to.equal(false);
      memory.tidy();
      if (batch % 4 === 0)
        expect(said.splice(0)).to.eql(['trim', 'trim', 'trim', 'collect', 'trim']);
    }
    for (let turn = 0; turn < 100; turn++) memory.tidy();
    expect(said).to.eql([]);
  });

  it('that was freed needs no collector, but the allocator is asked to give it back', () => {
    const { memory, said } = memoryThatSays();
    for (let batch = 0; batch < 16; batch++) {
      const frame = new Uint8Array(TRIM_AFTER_BYTES / 2);
      memory.own(frame);
      memory.forget(frame);
      memory.tidy();
    }
    expect(said.filter((word) => word === 'collect')).to.eql([]);
    expect(said.filter((word) => word === 'trim')).to.have.length(8);
    expect(said.filter((word) => word.startsWith('release'))).to.have.length(16);
  });
});

describe("a thread's collector", () => {
  it('lets what nobody holds be gone', async () => {
    const collect = threadCollector();
    const letGo = new WeakRef(new ArrayBuffer(BATCH_BYTES));
    const held = new ArrayBuffer(BATCH_BYTES);
    const alsoHeld = new WeakRef(held);
    // What a WeakRef names stays until the turn in which it was made is over.
    await setImmediate();
    collect();
    expect(letGo.deref()).to.equal(undefined);
    expect(alsoHeld.deref()).to.equal(held);
  });
});
