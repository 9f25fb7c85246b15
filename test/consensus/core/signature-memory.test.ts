import { expect } from 'chai';
import { SignatureMemory } from '../../../consensus/core/signature-memory.ts';
import { testCrypto } from '../support/crypto.ts';

describe('the memory of signatures', () => {
  const text = Buffer.from('a text');
  const signature = testCrypto(2).sign(text);

  it('checks a good one once', () => {
    const crypto = testCrypto(0);
    const memory = new SignatureMemory(4, crypto);
    for (let i = 0; i < 3; i++) expect(memory.verify(2, text, signature)).to.equal(true);
    expect(crypto.counts.verified).to.equal(1);
  });

  it('never takes one for that of another signer or text, nor a changed one for good', () => {
    const memory = new SignatureMemory(4, testCrypto(0));
    memory.verify(2, text, signature);
    expect(memory.verify(1, text, signature)).to.equal(false);
    expect(memory.verify(2, Buffer.from('b text'), signature)).to.equal(false);
    const changed = signature.slice();
    changed[0]! ^= 1;
    expect(memory.verify(2, text, changed)).to.equal(false);
    // Nor by moving the border between the two.
    const moved = Buffer.concat([signature.subarray(63), text]);
    expect(memory.verify(2, moved, signature.subarray(0, 63))).to.equal(false);
    expect(memory.size).to.equal(1);
  });

  it('keeps no bad ones, and forgets the oldest good ones', () => {
    const crypto = testCrypto(0);
    const memory = new SignatureMemory(4, crypto);
    for (let i = 0; i < 20; i++) memory.verify(2, Buffer.from(`${i}`), signature);
    expect(memory.size).to.equal(0);
    const texts = Array.from({ length: 6 }, (_, i) => Buffer.from(`${i}`));
    const sign = testCrypto(2).sign;
    for (const one of texts) memory.verify(2, one, sign(one));
    expect(memory.size).to.equal(4);
    const { verified } = crypto.counts;
    for (const one of texts.slice(2)) memory.verify(2, one, sign(one));
    expect(crypto.counts.verified).to.equal(verified);
    memory.verify(2, texts[0]!, sign(texts[0]!));
    expect(crypto.counts.verified).to.equal(verified + 1);
  });
});
