/** The simulator can fail: bugs that it finds quickly. `npm run sim -- --mutations` plants them all. */
import { expect } from 'chai';
import { MUTATIONS } from './mutation-list.ts';
import { findMutation, hunt } from './mutation-run.ts';
import { testCatches } from './mutation-tests.ts';
import { mutatedText, replaceOnce } from './mutations.ts';

const QUICKLY = ['wall-clock', 'quorum-f-plus-one'];
const CODE = {
  name: 'some',
  bug: '',
  where: {},
  file: 'core/some.js',
  replace: 'b',
  withinSeeds: 1,
};

describe('mutations of the protocol', function () {
  this.timeout(60_000);

  it('are fifteen at least, of different names', () => {
    expect(MUTATIONS.length).to.be.at.least(15);
    expect(new Set(MUTATIONS.map(({ name }) => name)).size).to.equal(MUTATIONS.length);
  });

  it('all apply to the code as it is', () => {
    for (const mutation of MUTATIONS) if ('file' in mutation) mutatedText(mutation);
  });

  it('are left only to tests that fail with them', () => {
    const mutation = MUTATIONS.find(({ elsewhere }) => elsewhere !== undefined);
    if (mutation?.elsewhere === undefined || !('file' in mutation)) throw new Error('none is');
    expect(testCatches(mutation, mutation.elsewhere)).to.equal(true);
  });

  it('do not apply to text that is missing, or there twice', () => {
    expect(() => replaceOnce('c', { ...CODE, find: 'a' })).to.throw('0 times');
    expect(() => replaceOnce('a a', { ...CODE, find: 'a' })).to.throw('2 times');
    expect(replaceOnce('a c', { ...CODE, find: 'a' })).to.equal('b c');
  });

  for (const name of QUICKLY) {
    it(`is caught: ${name}`, async () => {
      const { seeds } = await hunt(findMutation(name), 1);
      expect(seeds).to.be.a('number');
    });
  }
});
