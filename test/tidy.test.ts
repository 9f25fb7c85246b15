/**
 * Checks the code itself: which room may import which, what must run in a
 * browser, how long a file may be.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';

const LINES_MAX = 500;
const ROOMS = ['api', 'orderer', 'consensus', 'rdma', 'ledger', 'scripts', 'test'] as const;
type Room = (typeof ROOMS)[number];

/** What a room may import besides itself. */
const MAY_IMPORT: Readonly<Record<Room, readonly string[]>> = {
  api: ['orderer/service.ts', 'orderer/version.ts', 'ledger/format/', 'ledger/signature/'],
  orderer: ['consensus/', 'ledger/', 'rdma/'],
  consensus: ['rdma/'],
  rdma: [],
  ledger: [],
  scripts: ['api/', 'orderer/', 'ledger/'],
  test: [''],
};

/** Code that runs in a browser too, or must not depend on a platform at all. */
const PLATFORM_FREE = [
  'consensus/core/',
  'consensus/wire/',
  'ledger/format/',
  'ledger/signature/',
  'api/client/',
];

const files = execFileSync('git', ['ls-files', '*.ts'], { encoding: 'utf8' })
  .trim()
  .split('\n')
  .filter((file) => ROOMS.some((room) => file.startsWith(`${room}/`)) && !file.endsWith('.d.ts'));

/** Import specifiers of a file: static, dynamic and re-exports. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const pattern = /(?:from|import)\s*\(?\s*'([^']+)'/g;
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

function resolved(file: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? join(dirname(file), specifier) : undefined;
}

describe('the house', () => {
  it('has files to look at', () => {
    expect(files.length).to.be.above(100);
  });

  it('imports go one way', () => {
    const wrong: string[] = [];
    for (const file of files) {
      const room = file.split('/')[0] as Room;
      for (const specifier of importsOf(file)) {
        const target = resolved(file, specifier);
        if (target === undefined || target.startsWith(`${room}/`)) continue;
        if (MAY_IMPORT[room].some((allowed) => target.startsWith(allowed))) continue;
        wrong.push(`${file} imports ${target}`);
      }
    }
    expect(wrong).to.deep.equal([]);
  });

  it('the core and what runs in browsers import nothing from Node, however far one follows', () => {
    const wrong: string[] = [];
    const seen = new Set<string>();
    const follow = (file: string, path: string): void => {
      if (seen.has(file) || !files.includes(file)) return;
      seen.add(file);
      for (const specifier of importsOf(file)) {
        if (specifier.startsWith('node:')) wrong.push(`${path} -> ${specifier}`);
        const target = resolved(file, specifier);
        if (target !== undefined) follow(target, `${path} -> ${target}`);
      }
    };
    for (const file of files) {
      if (PLATFORM_FREE.some((folder) => file.startsWith(folder))) follow(file, file);
    }
    expect(seen.size).to.be.above(40);
    expect(wrong).to.deep.equal([]);
  });

  it('no file is longer than one idea', () => {
    const long = files.filter((file) => readFileSync(file, 'utf8').split('\n').length > LINES_MAX);
    expect(long).to.deep.equal([]);
  });

  it('nothing is left for later without an issue', () => {
    const marks = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'X{3}', '\\.on' + 'ly\\('].join('|'));
    const marked = files.filter((file) => marks.test(readFileSync(file, 'utf8')));
    expect(marked).to.deep.equal([]);
  });
});
