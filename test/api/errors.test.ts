import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { ApiError, ERRORS, type ErrorEntry, errorBody } from '../../api/errors.ts';
import { renderErrorsPage } from '../../api/errors-page.ts';

describe('the table of errors', () => {
  it('is what docs/errors.md says', async () => {
    const path = join(process.cwd(), 'docs', 'errors.md');
    if (process.env.SLUICE_WRITE_DOCS === '1') {
      await writeFile(path, renderErrorsPage());
    }
    const page = await readFile(path, 'utf8');
    expect(page, 'run SLUICE_WRITE_DOCS=1 npm test').to.equal(renderErrorsPage());
  });

  it('uses plain codes, real statuses and whole sentences', () => {
    const statuses = [
      400,
      403,
      404,
      405,
      406,
      408,
      409,
      413,
      414,
      415,
      417,
      429,
      431,
      500,
      503,
      'stream',
    ];
    for (const [code, { status, sentence }] of Object.entries<ErrorEntry>(ERRORS)) {
      expect(code).to.match(/^[a-z]+(?:_[a-z]+)*$/);
      expect(statuses, code).to.include(status);
      expect(sentence, code).to.match(/^[A-Z`].*\.$/);
    }
  });

  it('leaves details out when there are none', () => {
    expect(errorBody(new ApiError('no_such_route'), 'r')).to.have.all.keys(
      'code',
      'message',
      'requestId',
    );
    expect(errorBody(new ApiError('overloaded', { retryAfterMs: 5 }), 'r').details).to.deep.equal({
      retryAfterMs: 5,
    });
  });
});
