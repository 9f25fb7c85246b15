/** A replica runs from its bundle, and without any part of it that is missing or damaged. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createNetwork } from '../../orderer/network/index.ts';
import { REPLICA_NODE_FLAGS } from '../../scripts/network/replica-process.ts';
import { TestNetwork } from '../support/network.ts';
import { reservePorts } from '../support/ports.ts';

/** Those that a replica starts which is alone. */
const THREADS = ['replica', 'load-worker', 'verify-worker'];
const WITH_OTHERS = [...THREADS, 'consensus-worker'];

describe('a replica and its bundle', function () {
  this.timeout(60_000);
  let folder: string;
  let config: string;
  let release = (): void => {};
  let running: ChildProcess | undefined;

  const bundled = (file: string): string => join(folder, 'dist', 'bundle', file);

  /** What lies in `dist` under these names, for the tests to damage. */
  function copy(names: RegExp): void {
    for (const name of readdirSync('dist').filter((one) => names.test(one))) {
      cpSync(join('dist', name), join(folder, 'dist', name), { recursive: true });
    }
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-bundle-'));
    for (const name of ['node_modules', 'build', 'package.json', 'package-lock.json']) {
      symlinkSync(join(process.cwd(), name), join(folder, name));
    }
    const ports = await reservePorts(8);
    release = ports.release;
    const { replicas } = await createNetwork({
      directory: join(folder, 'data'),
      replicas: 4,
      channel: 'main',
      apiPortBase: ports.first,
      linkPortBase: ports.first + 4,
      gateway: false,
      sluice: {},
      provider: 'tcp',
      hosts: [],
    });
    config = replicas[0]?.configFile ?? '';
    copy(/^(?!test$)/);
  });

  beforeEach(() => copy(/^(bundle|\.tsbuildinfo)$/));
  afterEach(async () => {
    // The next one takes its ports.
    if (running?.kill('SIGKILL')) await once(running, 'exit');
    rmSync(bundled(''), { recursive: true, force: true });
  });
  after(() => {
    release();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What these threads say that they run from, once the API answers. */
  function start(threads = THREADS): Promise<string[]> {
    const { NODE_V8_COVERAGE: _, ...environment } = process.env;
    const args = [join(folder, 'dist', 'scripts', 'sluice.js'), 'replica', '--config', config];
    const child = spawn(process.execPath, [...REPLICA_NODE_FLAGS, ...args], {
      env: { ...environment, NODE_DEBUG: 'sluice' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running = child;
    return new Promise((resolve, reject) => {
      let output = '';
      const onText = (text: string) => {
        output += text;
        const said = [...output.matchAll(/SLUICE \d+: (.*)\n/g)].map((match) => match[1] ?? '');
        const all = threads.every((name) => said.some((line) => line.startsWith(`${name}: `)));
        if (all && /api listening/.test(output)) resolve(said);
      };
      child.stdout.setEncoding('utf8').on('data', onText);
      child.stderr.setEncoding('utf8').on('data', onText);
      child.once('exit', () => reject(new Error(`the replica ended: ${output}`)));
    });
  }

  it('runs all its threads from bundles, with their code caches', async () => {
    const { NODE_V8_COVERAGE: coverage, NODE_DEBUG: debug } = process.env;
    const network = await TestNetwork.create();
    try {
      delete process.env.NODE_V8_COVERAGE;
      process.env.NODE_DEBUG = 'sluice';
      await network.start();
      for (const name of WITH_OTHERS) {
        expect(network.log(1)).to.include(`${name}: bundle, code cache used\n`);
      }
      // Neither in the bundle nor in a cache: what few ask for.
      expect((await fetch(`${network.url(1)}/openapi.json`)).status).to.equal(200);
    } finally {
      Object.assign(process.env, coverage === undefined ? {} : { NODE_V8_COVERAGE: coverage });
      if (debug === undefined) delete process.env.NODE_DEBUG;
      else process.env.NODE_DEBUG = debug;
      await network.destroy();
    }
  });

  it('runs without a code cache when that is missing or damaged', async () => {
    rmSync(bundled('replica.cache'));
    truncateSync(bundled('load-worker.cache'), 5_000);
    const said = await start();
    for (const name of ['replica', 'load-worker']) {
      expect(said).to.include(`${name}: bundle, code cache unused`);
    }
    expect(said).to.include('verify-worker: bundle, code cache used');
  });

  it('runs a thread from its modules when its bundle is damaged', async () => {
    truncateSync(bundled('load-worker.cjs'), 5_000);
    appendFileSync(bundled('verify-worker.cjs'), ' ');
    const said = await start();
    for (const name of ['load-worker', 'verify-worker']) {
      expect(said).to.include(`${name}: modules (${name}.cjs is damaged)`);
    }
    expect(said).to.include('replica: bundle, code cache used');
  });

  const WHOLE: readonly [string, () => void][] = [
    ['there is none', () => rmSync(bundled(''), { recursive: true })],
    ['what starts a thread is empty', () => truncateSync(bundled('verify-worker.mjs'))],
    ['sources were compiled since', () => appendFileSync(join(folder, 'dist/.tsbuildinfo'), ' ')],
  ];
  for (const [reason, damage] of WHOLE) {
    it(`runs from the modules alone when ${reason}`, async () => {
      damage();
      // Its threads are plain modules too, which say nothing.
      const said = await start(['replica']);
      expect(said.join('\n')).to.match(/^replica: modules \(.+\)$/);
    });
  }
});
