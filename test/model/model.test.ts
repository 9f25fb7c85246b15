/**
 * A glance at the formal model, so that a change that breaks it is noticed; `npm run test:model` is the whole.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';

const RUN = join('test', 'model', 'run.mjs');

/** Installing a package is for those who ask for the model by name. */
const missing = ['spin', 'gcc'].filter(
  (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).error !== undefined,
);
const note = missing.length > 0 ? ` (skipped: ${missing.join(' and ')} not installed)` : '';

describe('the formal model of a slot', () => {
  it(`holds where it should and finds a planted bug${note}`, function () {
    if (missing.length > 0) this.skip();
    // A second or two, but compilers and searches share the machine with whatever else is tested.
    this.timeout(60_000);
    const output = execFileSync(process.execPath, [RUN, 'n-5', 'late-commit'], {
      encoding: 'utf8',
    });
    expect(output).to.match(/^n-5 +holds /m);
    expect(output).to.match(/^late-commit +found /m);
    expect(output.trimEnd().split('\n').at(-1)).to.equal('1 configurations, 1 bugs found');
  });

  it('names a configuration that is not there', () => {
    const { status, stderr } = spawnSync(process.execPath, [RUN, 'no-such'], { encoding: 'utf8' });
    expect(status).to.equal(1);
    expect(stderr).to.match(/^no configuration no-such; there are follower, /);
  });
});
