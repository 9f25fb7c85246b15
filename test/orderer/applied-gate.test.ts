import { expect } from 'chai';
import { AppliedGate } from '../../orderer/chain/applied-gate.ts';

/** A chain that grows at one end and is certified from the other. */
class Chain {
  readonly gate: AppliedGate;
  stored = 10;
  certified = 10;
  slot: number;

  constructor(uncertifiedBlocksMax: number, uncertifiedBytesMax: number, slot = 0) {
    this.slot = slot;
    this.gate = new AppliedGate({ uncertifiedBlocksMax, uncertifiedBytesMax }, slot, 10);
  }

  store(bytes: number): void {
    this.gate.stored(this.stored++, bytes);
  }

  apply(): void {
    this.gate.applied(++this.slot, this.stored);
  }

  certify(count = 1): void {
    for (let i = 0; i < count; i++) this.gate.certified(this.certified++);
  }
}

describe('applied gate', () => {
  it('lets slots through while certificates keep up', () => {
    const chain = new Chain(2, 1_000, 9);
    for (let slot = 10; slot < 100; slot++) {
      chain.store(100);
      chain.apply();
      expect(chain.gate.slot).to.equal(slot);
      chain.certify();
    }
  });

  it('stops when too many blocks or bytes wait for certificates, and goes on with them', () => {
    const chain = new Chain(2, 1_000);
    for (let i = 0; i < 4; i++) {
      chain.store(10);
      chain.apply();
    }
    expect(chain.gate.slot).to.equal(2);
    chain.certify();
    expect(chain.gate.slot).to.equal(3);
    chain.store(5_000);
    chain.apply();
    chain.apply();
    chain.certify(3);
    expect(chain.gate.slot).to.equal(5);
    chain.certify();
    expect(chain.gate.slot).to.equal(6);
  });

  it('always lets the next slot through once what was before it is certified', () => {
    const chain = new Chain(1, 1);
    for (let slot = 1; slot < 20; slot++) {
      for (let block = 0; block < 50; block++) chain.store(1_000_000);
      chain.apply();
      expect(chain.gate.slot).to.equal(slot);
      chain.certify(50);
    }
  });

  it('does not count blocks above a slot that is delivered again', () => {
    const chain = new Chain(2, 1_000_000);
    for (let block = 0; block < 100; block++) chain.store(10);
    // Restarted: the stream begins below what is stored and not certified.
    chain.gate.resume(0, 8);
    for (const height of [9, 10, 11, 12]) chain.gate.applied(++chain.slot, height);
    expect(chain.gate.slot).to.equal(4);
    chain.gate.applied(++chain.slot, 13);
    expect(chain.gate.slot, 'two blocks before it are not certified').to.equal(4);
    chain.certify();
    expect(chain.gate.slot).to.equal(5);
  });

  it('forgets what waited when the stream goes on elsewhere', () => {
    const chain = new Chain(1, 1_000);
    chain.store(10);
    chain.apply();
    chain.apply();
    expect(chain.gate.slot).to.equal(1);
    chain.store(10);
    chain.gate.resume(50, 12);
    expect(chain.gate.slot).to.equal(50);
    chain.certify(2);
    expect(chain.gate.slot).to.equal(50);
    chain.gate.applied(51, 12);
    expect(chain.gate.slot).to.equal(51);
  });

  it('refuses blocks out of order', () => {
    const chain = new Chain(1, 1_000);
    expect(() => chain.gate.stored(12, 1)).to.throw('block 12 was stored after block 9');
    expect(() => chain.gate.certified(12)).to.throw('block 12 was certified after block 9');
  });
});
