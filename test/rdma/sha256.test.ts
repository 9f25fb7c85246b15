import { createHash } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { sha256, TransportError } from '../../rdma/index.ts';

const bytes = fc.uint8Array({ maxLength: 300 });

describe('SHA-256 of the addon', () => {
  it('is that of Node.js, of one part and of two', () => {
    fc.assert(
      fc.property(bytes, fc.option(bytes, { nil: undefined }), (first, second) => {
        const expected = createHash('sha256').update(first);
        if (second !== undefined) expected.update(second);
        const digest = expected.digest();
        expect(sha256(first, second)).to.deep.equal(Uint8Array.from(digest));
        expect(sha256(first, second, 24)).to.deep.equal(Uint8Array.from(digest.subarray(0, 24)));
      }),
    );
  });

  it('is an array of its own each time', () => {
    const one = sha256(Uint8Array.of(1));
    const copy = Uint8Array.from(one);
    sha256(Uint8Array.of(2));
    expect(one).to.deep.equal(copy);
    expect(one.buffer.byteLength).to.equal(32);
  });

  it('reads no memory that threads share', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(8));
    expect(() => sha256(shared)).to.throw(TransportError, /SharedArrayBuffer/);
  });
});
