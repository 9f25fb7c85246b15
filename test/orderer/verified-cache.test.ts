import { expect } from 'chai';
import { VerifiedCache } from '../../orderer/envelope/verified-cache.ts';

const bytes = Uint8Array.of(1, 2, 3);

describe('the cache of verified envelopes', () => {
  it('knows the very bytes that were added, and no others of the same id', () => {
    const cache = new VerifiedCache(2);
    expect(cache.has({ txId: 'a', bytes })).to.equal(false);
    cache.add({ txId: 'a', bytes });
    expect(cache.has({ txId: 'a', bytes: bytes.slice() })).to.equal(true);
    expect(cache.has({ txId: 'a', bytes: bytes.with(1, 9) })).to.equal(false);
    expect(cache.has({ txId: 'b', bytes })).to.equal(false);
  });

  it('forgets what was used least recently', () => {
    const cache = new VerifiedCache(2);
    for (const txId of ['a', 'b']) cache.add({ txId, bytes });
    expect(cache.has({ txId: 'a', bytes })).to.equal(true);
    cache.add({ txId: 'c', bytes });
    const known = ['a', 'b', 'c'].filter((txId) => cache.has({ txId, bytes }));
    expect(known).to.deep.equal(['a', 'c']);
    expect(cache.size).to.equal(2);
  });
});
