/**
 * Checks the code itself: which room may import which, what must run in a
 * browser, how long a file may be.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect } from 'chai';

/** Of code; tests may be longer, since each of their parts stands alone. */
const LINES_MAX = 400;
const TEST_LINES_MAX = 500;
/** Own lines: functions inside a function are measured by themselves. */
const FUNCTION_LINES_MAX = 70;
/** A folder with more source files than this says in an index or README what it is. */
const FILES_WITHOUT_PURPOSE_MAX = 2;
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

/** What git knows, without files that are deleted and not yet committed. */
const tracked = execFileSync('git', ['ls-files'], { encoding: 'utf8' })
  .trim()
  .split('\n')
  .filter((file) => existsSync(file));

const files = tracked.filter(
  (file) =>
    file.endsWith('.ts') &&
    !file.endsWith('.d.ts') &&
    ROOMS.some((room) => file.startsWith(`${room}/`)),
);

/** Import specifiers of a file: static, dynamic and re-exports. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const pattern = /(?:from|import)\s*\(?\s*'([^']+)'/g;
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

function resolved(file: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? join(dirname(file), specifier) : undefined;
}

/** By an index or README of its own, or by a row for it in a README above. */
function isExplained(folder: string): boolean {
  if (existsSync(join(folder, 'index.ts'))) return true;
  for (let above = folder; above !== '.'; above = dirname(above)) {
    const readme = join(above, 'README.md');
    if (!existsSync(readme)) continue;
    return above === folder || readFileSync(readme, 'utf8').includes(rowFor(folder, above));
  }
  return false;
}

function rowFor(folder: string, above: string): string {
  return `| \`${relative(above, folder)}/\``;
}

interface OpenBlock {
  readonly name: string;
  readonly line: number;
  readonly indent: number;
  innerLines: number;
}

/**
 * Name of the function or method whose body this line opens, as the formatter writes them: the last
 * line of its head ends in `{`. Callbacks count for the function that they stand in.
 */
function opensFunction(line: string, head: string): string | undefined {
  if (!line.endsWith('{')) return undefined;
  const named = /^\s*(?:export )?(?:async )?function\*? (\w+)/.exec(head);
  if (named !== null) return named[1];
  const arrow = /^\s*(?:export )?const (\w+) = (?:async )?\(/.exec(head);
  if (arrow !== null && line.endsWith('=> {')) return arrow[1];
  const method = /^\s+(?:private |static |override |async |get |set |\*)*(#?\w+)(?:<.*>)?\(/.exec(
    head,
  );
  const name = method?.[1];
  const isKeyword = /^(?:if|for|while|switch|catch|return|await|describe|it)$/.test(name ?? '');
  return isKeyword || !/\)(?:: .*)? \{$/.test(line) ? undefined : name;
}

/** Functions that are too long, by indentation: the formatter closes each where its head began. */
function longFunctions(file: string): string[] {
  const found: string[] = [];
  const open: OpenBlock[] = [];
  let head = '';
  for (const [index, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    if (line.trim() === '') continue;
    const indent = line.length - line.trimStart().length;
    const last = open.at(-1);
    if (last !== undefined && indent === last.indent && /^\s*\}/.test(line)) {
      open.pop();
      const lines = index - last.line + 1;
      if (lines - last.innerLines > FUNCTION_LINES_MAX) {
        found.push(`${file}:${last.line + 1} ${last.name}: ${lines - last.innerLines} lines`);
      }
      const outer = open.at(-1);
      if (outer !== undefined) outer.innerLines += lines;
      continue;
    }
    const isTail = /^\s*\)/.test(line) && indent === head.length - head.trimStart().length;
    if (!isTail && (head === '' || !isContinuation(head, indent))) head = line;
    const name = opensFunction(line, head);
    if (name !== undefined) {
      open.push({ name, line: index, indent, innerLines: 0 });
      head = '';
    }
  }
  return found;
}

/** Whether a line stands inside parentheses that `head` left open. */
function isContinuation(head: string, indent: number): boolean {
  return /[(<{]$/.test(head) && indent > head.length - head.trimStart().length;
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
    const long = files.filter((file) => {
      const linesMax = file.startsWith('test/') ? TEST_LINES_MAX : LINES_MAX;
      return readFileSync(file, 'utf8').trimEnd().split('\n').length > linesMax;
    });
    expect(long).to.deep.equal([]);
  });

  it('no function is longer than a page', () => {
    expect(files.flatMap(longFunctions)).to.deep.equal([]);
  });

  it('every folder says what it is for', () => {
    const sources = new Map<string, number>();
    for (const file of files) sources.set(dirname(file), (sources.get(dirname(file)) ?? 0) + 1);
    const silent = [...sources].filter(
      ([folder, count]) => count > FILES_WITHOUT_PURPOSE_MAX && !isExplained(folder),
    );
    expect(silent).to.deep.equal([]);
  });

  it('nothing names a package registry or a folder of one machine', () => {
    const hosts = ['npmjs', 'registry\\.(?:npm|yarn)', 'deb\\.debian', 'pypi'].join('|');
    const folders = ['/home/\\w', '/root/', '/Users/', '/work/'].join('|');
    const pattern = new RegExp(
      `(?:${hosts})\\w*\\.(?:org|com)|(?:^|[\\s'"\`(=])(?:${folders})`,
      'm',
    );
    const wrong = tracked.filter(
      (file) => file !== 'test/tidy.test.ts' && pattern.test(readFileSync(file, 'utf8')),
    );
    expect(wrong).to.deep.equal([]);
  });

  it('nothing is left for later without an issue', () => {
    const marks = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'X{3}', '\\.on' + 'ly\\('].join('|'));
    const marked = files.filter((file) => marks.test(readFileSync(file, 'utf8')));
    expect(marked).to.deep.equal([]);
  });
});
