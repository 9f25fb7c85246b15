import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { createTestAuthority } from '../support/certificates.ts';
import { createTestChain } from '../support/chain.ts';
import { createChainService } from '../support/chain-service.ts';
import { serveQuietly } from '../support/serve.ts';

const CLIENT = new URL('../../api/client/index.js', import.meta.url).href;
const IMPORTS = /(?:^|[;}\s])(?:import|export)\s*(?:[\w*{}\s,$]+\s*from\s*)?["']([^"']+)["']/g;
const DYNAMIC = /\bimport\s*\(|\brequire\s*\(/;

/** Compiled modules that a module leads to, with what each imports. */
function importGraph(entry: string): Map<string, string[]> {
  const graph = new Map<string, string[]>();
  const waiting = [entry];
  for (let url = waiting.pop(); url !== undefined; url = waiting.pop()) {
    if (graph.has(url)) continue;
    const source = readFileSync(fileURLToPath(url), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
    const from = url;
    const specifiers = [...source.matchAll(IMPORTS)].map((match) => match[1] ?? '');
    graph.set(url, specifiers);
    expect(DYNAMIC.test(source.replace(/^\s*\/\/.*$/gm, '')), `${url} loads at run time`).to.equal(
      false,
    );
    for (const specifier of specifiers) {
      if (specifier.startsWith('node:')) continue;
      waiting.push(
        specifier.startsWith('.') ? new URL(specifier, from).href : import.meta.resolve(specifier),
      );
    }
  }
  return graph;
}

describe('client in a browser', () => {
  it('imports @noble and our formats, and no Node module, however deep', () => {
    const graph = importGraph(CLIENT);
    const all = new Set([...graph.values()].flat());
    const bare = [...all].filter((specifier) => !specifier.startsWith('.'));
    expect(bare.filter((specifier) => !specifier.startsWith('@noble/'))).to.deep.equal([]);
    const root = new URL('../../', import.meta.url).href;
    const rooms = [...graph.keys()]
      .filter((url) => url.startsWith(root) && !url.includes('/node_modules/'))
      .map((url) => url.slice(root.length).split('/').slice(0, 2).join('/'));
    expect(new Set(rooms)).to.deep.equal(
      new Set([
        'api/client',
        'api/framing.js',
        'ledger/errors.js',
        'ledger/format',
        'ledger/signature',
      ]),
    );
    expect(graph.size).to.be.greaterThan(20);
  });

  it('submits and follows in a realm without process, Buffer and require', async function () {
    this.timeout(20_000);
    const chain = await createTestChain({ blocks: 1 });
    const api = await serveQuietly(createChainService(chain));
    try {
      const key = await chain.authority.issue({ commonName: 'browser', usage: 'identity' });
      const input = {
        client: CLIENT,
        url: api.url,
        genesis: Buffer.from(chain.blocks[0] as Uint8Array).toString('base64'),
        certificatePem: key.certPem,
        privateKeyPem: key.keyPem,
      };
      const script = fileURLToPath(new URL('./browser-realm.js', import.meta.url));
      const { stdout } = await promisify(execFile)(process.execPath, [
        '--experimental-vm-modules',
        '--no-warnings',
        script,
        JSON.stringify(input),
      ]);
      expect(stdout).to.match(/^ok [0-9a-f]{64}\n$/);
      expect(chain.blocks).to.have.length(3);
    } finally {
      await api.close();
    }
  });

  it('is walked well: the test would see a Node module', async () => {
    const authority = new URL('../support/certificates.js', import.meta.url).href;
    expect(createTestAuthority).to.be.a('function');
    expect([...importGraphOf(authority)]).to.include('node:crypto');
  });
});

/** Direct imports of one module. */
function importGraphOf(url: string): Set<string> {
  const source = readFileSync(fileURLToPath(url), 'utf8');
  return new Set([...source.matchAll(IMPORTS)].map((match) => match[1] ?? ''));
}
