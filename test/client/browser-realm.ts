/**
 * Run as a script with --experimental-vm-modules: loads the client library in a realm that has what
 * a browser has and nothing of Node, and uses it there. Prints `ok` and the transaction id, or the
 * error. Started by browser.test.ts.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';

const BROWSER_GLOBALS = {
  AbortController,
  AbortSignal,
  Headers,
  ReadableStream,
  Request,
  Response,
  TextDecoder,
  TextEncoder,
  URL,
  URLSearchParams,
  atob,
  btoa,
  clearTimeout,
  console,
  crypto,
  fetch,
  queueMicrotask,
  setTimeout,
};

const context = vm.createContext({ ...BROWSER_GLOBALS });
const modules = new Map<string, vm.SourceTextModule>();

function load(url: string): vm.SourceTextModule {
  const known = modules.get(url);
  if (known !== undefined) return known;
  const source = readFileSync(fileURLToPath(url), 'utf8');
  const module = new vm.SourceTextModule(source, { identifier: url, context });
  modules.set(url, module);
  return module;
}

async function importInRealm(url: string): Promise<Record<string, unknown>> {
  const module = load(url);
  await module.link((specifier, referencing) => {
    if (specifier.startsWith('node:')) {
      throw new Error(`${referencing.identifier} imports ${specifier}`);
    }
    const resolved = specifier.startsWith('.')
      ? new URL(specifier, referencing.identifier).href
      : import.meta.resolve(specifier);
    return load(resolved);
  });
  await module.evaluate();
  return module.namespace as Record<string, unknown>;
}

interface Input {
  readonly client: string;
  readonly url: string;
  readonly genesis: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

const input = JSON.parse(process.argv[2] ?? '{}') as Input;
const client = await importInRealm(input.client);
const main = vm.runInContext(
  `(async (client, input) => {
    for (const name of ['process', 'Buffer', 'require', 'global', '__dirname', 'setImmediate']) {
      if (name in globalThis) throw new Error(name + ' is here, this proves nothing');
    }
    const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const writer = client.createWriter({ mspId: 'Org1MSP', ...input });
    const data = new TextEncoder().encode('from a browser');
    const { envelope, txId } = client.buildEnvelope({ channel: 'main', data, writer });
    const sluice = new client.SluiceClient({ urls: [input.url], channel: 'main', trust: bytesOf(input.genesis) });
    const result = await sluice.submit(envelope, { proof: 'block' });
    if (result.kind !== 'committed' || result.receipt.txId !== txId) throw new Error('no receipt');
    const to = result.receipt.blockNumber;
    let count = 0;
    for await (const block of sluice.deliver({ from: 0, to })) count += block.number >= 0 ? 1 : 0;
    if (count !== to + 1) throw new Error('delivered ' + count);
    return txId;
  })`,
  context,
) as (client: unknown, input: Input) => Promise<string>;

process.stdout.write(`ok ${await main(client, input)}\n`);
