import { expect } from 'chai';
import fc from 'fast-check';
import { Value } from 'typebox/value';
import { readDeliverPlan } from '../../api/deliver/plan.ts';
import { ApiError, ERRORS } from '../../api/errors.ts';
import { resolveLimits } from '../../api/limits.ts';
import { readQuery } from '../../api/parameters.ts';
import { ROUTES } from '../../api/route-descriptions.ts';
import { DeliverQuery, WaitQuery } from '../../api/schemas.ts';
import { readWait } from '../../api/waiting.ts';
import { createMemoryService } from '../support/memory-service.ts';
import { useApi } from './harness.ts';

function accepts(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error.code !== 'invalid_parameter';
  }
}

describe('the OpenAPI description', () => {
  const t = useApi();

  it('is served, with every route and only codes that exist', async () => {
    const document = (await (await t.get('/openapi.json')).json()) as {
      openapi: string;
      paths: Record<string, Record<string, { responses: Record<string, unknown> }>>;
    };
    expect(document.openapi).to.equal('3.1.0');
    const described = ROUTES.map(({ url }) => url.replace(/:(\w+)/g, '{$1}')).sort();
    expect(Object.keys(document.paths).sort()).to.deep.equal(described);
    const submit = document.paths['/v1/channels/{channel}/transactions']?.post;
    for (const status of [
      '200',
      '202',
      '207',
      '400',
      '403',
      '404',
      '409',
      '413',
      '415',
      '429',
      '503',
    ]) {
      expect(submit?.responses).to.have.property(status);
    }
    for (const { errors } of ROUTES) expect(Object.keys(ERRORS)).to.include.members([...errors]);
  });

  it('describes routes that the server has', async () => {
    for (const { url, method } of ROUTES) {
      const path = url
        .replace(':channel', 'main')
        .replace(':number', '0')
        .replace(':txId', '0'.repeat(64));
      const response = await fetch(t.url(path), { method });
      const answer = await response.text();
      expect(
        [404, 405].includes(response.status) && /no_such_route|method_not/.test(answer),
        url,
      ).to.equal(false);
    }
  });

  it('has a page that works offline and costs nothing before it is opened', async () => {
    const page = await (await t.get('/docs')).text();
    const assets = [...page.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, asset]) => asset ?? '');
    expect(assets.length).to.be.greaterThan(4);
    for (const asset of assets) {
      expect(asset.startsWith('/docs/'), asset).to.equal(true);
      const response = await t.get(asset);
      expect(response.status, asset).to.equal(200);
      await response.arrayBuffer();
    }
    const json = (await (await t.get('/docs/json')).json()) as { info: { title: string } };
    expect(json.info.title).to.equal('Sluice');
    const missing = await t.get('/docs/static/nothing.js');
    expect(missing.status).to.equal(404);
    expect(((await missing.json()) as { code: string }).code).to.equal('no_such_route');
  });
});

describe('the schemas and the parsers', () => {
  const channel = createMemoryService().main;
  const word = fc.constantFrom(
    'newest',
    'oldest',
    '0',
    '1',
    '17',
    '007',
    '-1',
    '1.0',
    '',
    'x',
    ' 1',
    '0x1',
    'true',
    'false',
    'json',
    'protobuf',
    'xml',
    'commit',
    '60000',
  );

  it('accept the same deliver queries', () => {
    const query = fc.dictionary(
      fc.constantFrom('from', 'to', 'follow', 'format', 'raw', 'other'),
      word,
    );
    fc.assert(
      fc.property(query, (candidate) => {
        const read = () => readDeliverPlan(candidate, {}, false, channel);
        expect(accepts(read)).to.equal(Value.Check(DeliverQuery, candidate));
      }),
      { numRuns: 1000 },
    );
  });

  it('accept the same wait queries, but for a time that nobody waits', () => {
    const limits = resolveLimits();
    const query = fc.dictionary(fc.constantFrom('wait', 'timeoutMs', 'other'), word);
    fc.assert(
      fc.property(query, (candidate) => {
        fc.pre(!('timeoutMs' in candidate) || 'wait' in candidate);
        const read = () => readWait(readQuery(candidate, ['wait', 'timeoutMs']), limits);
        expect(accepts(read)).to.equal(Value.Check(WaitQuery, candidate));
      }),
      { numRuns: 1000 },
    );
  });
});
