/**
 * docs/codes.md: the stable codes of every room's `errors.ts`, with what their comments say. The
 * codes of the HTTP API have a page of their own, docs/errors.md.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

const PAGE = join('docs', 'codes.md');

/** Who meets the errors of a folder. */
const FOLDERS: Readonly<Record<string, string>> = {
  'orderer/settings': 'Settings files, when a replica or `sluice start` reads them',
  'orderer/network': 'Creating and loading a network: `sluice init`, `keygen`, `start`, `replica`',
  'orderer/channel-config': 'Genesis blocks, when a replica or the auditor reads them',
  orderer: 'A running replica',
  ledger: 'The ledger on disk',
  rdma: "The transport between replicas' memories",
  'rdma/links': 'Links between replicas: the first are thrown, the rest are why a link ended',
  consensus: 'The consensus thread',
  'consensus/wal': 'The write-ahead log',
  'consensus/core': 'The consensus core: bugs, or more than f faulty replicas',
  'api/client': "The client library, besides the replicas' own codes",
};

interface Code {
  readonly code: string;
  /** Empty when the source has no comment on it. */
  readonly meaning: string;
}

/**
 * Members of unions and lists of codes, and `code = '...'` fields, with the comment before each.
 */
function codesOf(source: string): Code[] {
  const member =
    /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?(?:\| |readonly code = |^ {2})'([a-z_]+)'[,;]?$/gm;
  return [...source.matchAll(member)].map(([, comment = '', code = '']) => ({
    code,
    meaning: comment.replace(/\s*\n\s*\*\s*/g, ' ').trim(),
  }));
}

function renderPage(): string {
  const sections = Object.entries(FOLDERS).map(([folder, title]) => {
    const rows = codesOf(readFileSync(join(folder, 'errors.ts'), 'utf8')).map(
      ({ code, meaning }) => `| \`${code}\` | ${meaning.replaceAll('|', '\\|')} |`,
    );
    return [`## ${title}`, '', '| code | meaning |', '| --- | --- |', ...rows, ''].join('\n');
  });
  return [
    '# Error codes',
    '',
    'Generated from the comments in each `errors.ts`. Codes are stable; messages are for people and say what to do.',
    'What the HTTP API answers is in [errors.md](errors.md).',
    '',
    ...sections,
  ].join('\n');
}

describe('the codes of errors', () => {
  it('of every folder are on the page', () => {
    const files = execFileSync('git', ['ls-files', '*errors.ts'], { encoding: 'utf8' });
    const folders = files
      .trim()
      .split('\n')
      .map((file) => file.replace(/\/errors\.ts$/, ''));
    expect(folders.sort()).to.deep.equal([...Object.keys(FOLDERS), 'api'].sort());
  });

  it('say what they mean', () => {
    for (const folder of Object.keys(FOLDERS)) {
      const codes = codesOf(readFileSync(join(folder, 'errors.ts'), 'utf8'));
      expect(codes, folder).to.not.be.empty;
      const silent = codes.filter(({ meaning }) => meaning === '').map(({ code }) => code);
      expect(silent, folder).to.deep.equal([]);
    }
  });

  it('are what docs/codes.md says', () => {
    if (process.env.SLUICE_WRITE_DOCS === '1') writeFileSync(PAGE, renderPage());
    const page = readFileSync(PAGE, 'utf8');
    expect(page, 'run SLUICE_WRITE_DOCS=1 npm test').to.equal(renderPage());
  });
});
