import { expect } from 'chai';
import { AppliedGate } from '../../orderer/chain/applied-gate.ts';

describe('applied gate', () => {
  it('lets slots through while certificates keep up', () => {
    const gate = new AppliedGate({ uncertifiedBlocksMax: 2, uncertifiedBytesMax: 1_000 }, 9);
    for (let slot = 10; slot < 100; slot++) {
      gate.stored(100);
      gate.applied(slot);
      expect(gate.slot).to.equal(slot);
      gate.certified(100);
    }
  });

  it('stops when too many blocks or bytes wait for certificates, and goes on with them', () => {
    const gate = new AppliedGate({ uncertifiedBlocksMax: 2, uncertifiedBytesMax: 1_000 }, 0);
    for (const slot of [1, 2, 3, 4]) {
      gate.stored(10);
      gate.applied(slot);
    }
    expect(gate.slot).to.equal(2);
    gate.certified(10);
    expect(gate.slot).to.equal(3);
    gate.stored(5_000);
    gate.applied(5);
    gate.applied(6);
    for (let i = 0; i < 3; i++) gate.certified(10);
    expect(gate.slot).to.equal(5);
    gate.certified(5_000);
    expect(gate.slot).to.equal(6);
  });

  it('always lets the next slot through once what was before it is certified', () => {
    const gate = new AppliedGate({ uncertifiedBlocksMax: 1, uncertifiedBytesMax: 1 }, 0);
    for (let slot = 1; slot < 20; slot++) {
      for (let block = 0; block < 50; block++) gate.stored(1_000_000);
      gate.applied(slot);
      expect(gate.slot).to.equal(slot);
      for (let block = 0; block < 50; block++) gate.certified(1_000_000);
    }
  });
});
