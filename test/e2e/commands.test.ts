/** The `sluice` command on a real network, as a newcomer types it: init, start, submit, deliver, verify. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type ReservedPorts, reservePorts } from '../support/ports.ts';
import { until } from '../support/until.ts';

const SLUICE = fileURLToPath(new URL('../../scripts/sluice.js', import.meta.url));
const READY_MS_MAX = 30_000;

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly done: Promise<Ran>;
}

describe('the commands on a network of four replicas', function () {
  this.timeout(40_000);
  let base: string;
  let ports: ReservedPorts;
  let network: Running | undefined;
  let urls: string[];

  before(async () => {
    base = mkdtempSync(join(tmpdir(), 'sluice-e2e-commands-'));
    ports = await reservePorts(8);
    urls = [0, 1, 2, 3].map((i) => `http://127.0.0.1:${ports.first + i}`);
  });

  after(async () => {
    network?.child.kill('SIGTERM');
    await network?.done;
    ports?.release();
    rmSync(base, { recursive: true, force: true });
  });

  function launch(args: readonly string[], input = ''): Running {
    const child = spawn(process.execPath, [SLUICE, ...args], { cwd: base });
    const texts = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => {
      texts.stdout += String(chunk);
    });
    child.stderr.on('data', (chunk) => {
      texts.stderr += String(chunk);
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const done = once(child, 'close').then(
      ([code]): Ran => ({ code: code as number | null, ...texts }),
    );
    return { child, stdout: () => texts.stdout, done };
  }

  async function run(code: number, ...args: string[]): Promise<Ran> {
    const ran = await launch(args).done;
    expect(ran.code, `sluice ${args.join(' ')}\n${ran.stdout}${ran.stderr}`).to.equal(code);
    return ran;
  }

  async function runJson(code: number, ...args: string[]): Promise<Record<string, unknown>> {
    return JSON.parse((await run(code, ...args)).stdout) as Record<string, unknown>;
  }

  const portOptions = (): string[] => [
    ...['--api-port', String(ports.first)],
    ...['--link-port', String(ports.first + 4)],
  ];

  it('explain themselves, and end with 2 when they are not understood', async () => {
    expect((await run(0, '--help')).stdout).to.contain('sluice COMMAND --help');
    for (const name of [
      'init',
      'start',
      'replica',
      'status',
      'submit',
      'deliver',
      'verify',
      'keygen',
    ]) {
      expect((await run(0, name, '--help')).stdout).to.match(/Examples?:/);
    }
    await run(2, 'frobnicate');
    await run(2, 'submit', '--no-such-option');
    expect((await run(2, 'submit', 'x')).stderr).to.contain('there is no network in data');
  });

  it('init creates a network once', async () => {
    const { stdout } = await run(0, 'init', ...portOptions());
    expect(stdout).to.contain('4 replicas, 1 of them may fail or lie, 3 certify a block');
    const genesis = readFileSync(join(base, 'data/genesis/main.block'));
    const { stderr } = await run(1, 'init', ...portOptions());
    expect(stderr).to.match(/^sluice init: there is a network in .* already.*network_exists/);
    expect(readFileSync(join(base, 'data/genesis/main.block')).equals(genesis)).to.equal(true);
    const { mode } = statSync(join(base, 'data/replica-1/keys/identity-key.pem'));
    expect(mode & 0o077).to.equal(0);
  });

  it('start names the port that is taken, and what is wrong with network.yaml', async () => {
    const blocker = createServer().listen(ports.first + 2, '127.0.0.1');
    await once(blocker, 'listening');
    const { stderr } = await run(2, 'start');
    await new Promise((resolve) => blocker.close(resolve));
    expect(stderr).to.contain(`127.0.0.1:${ports.first + 2} (API of replica 3): in use`);
    expect(readdirSync(join(base, 'data/replica-1'))).not.to.include('replica.log');
    const file = join(base, 'data/network.yaml');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace('provider: shm', 'provider: pigeon'));
    expect((await run(2, 'start')).stderr).to.match(/network\.yaml:\d+: transport\.provider/);
    writeFileSync(file, text.replace('version: 1', 'version: 2'));
    expect((await run(2, 'start')).stderr).to.match(/network\.yaml:\d+: version/);
    writeFileSync(file, text);
  });

  it('start shows why a replica ended at once', async () => {
    const key = join(base, 'data/replica-2/keys/identity-key.pem');
    const text = readFileSync(key);
    rmSync(key);
    const { stdout } = await run(1, 'start');
    writeFileSync(key, text, { mode: 0o600 });
    expect(stdout).to.match(/replica 2 ended \(exit code 2\)/);
    expect(stdout).to.match(/identity-key\.pem: there is no such file/);
    expect(stdout).not.to.contain('--- replica 1');
  });

  it('start runs it, once', async () => {
    network = launch(['start']);
    const started = network;
    await until(
      'the welcome',
      () => started.stdout().includes('Ctrl-C stops') || started.child.exitCode !== null,
      READY_MS_MAX,
    );
    expect(started.stdout()).to.contain(`curl -s '${urls[0]}/v1/channels/main/transactions`);
    const counts = started.stdout().match(/replicas ready: \d of 4/g) ?? [];
    expect(new Set(counts).size).to.equal(counts.length);
    const { stderr } = await run(2, 'start');
    expect(stderr).to.contain('running already?');
  });

  it('status says what each replica is doing', async () => {
    const { stdout } = await run(0, 'status');
    expect(stdout).to.match(/^channel main: 4 replicas, 1 may fail or lie, 3 certify a block\n/);
    // On a machine that stood still for a moment it is another view, or a slow slot.
    expect(stdout).to.match(
      /\n3 +ordering +1 +\d+ +[1-4] +(fast|slow) +\d+ +\d+\.\.\d+ +0 +wal +ok +http/,
    );
    expect(stdout).to.match(/replica 2 sees +connected.* - .*connected/);
    const answers = JSON.parse((await run(0, 'status', '--json')).stdout) as { url: string }[];
    expect(answers.map(({ url }) => url)).to.deep.equal(urls);
    const nobody = await run(2, 'status', '--url', 'http://127.0.0.1:1', '--channel', 'main');
    expect(nobody.stdout).to.match(/^\?? *.*no answer/m);
    expect((await run(2, 'status', '--data', 'nowhere')).stderr).to.contain('no network in');
  });

  it('the curl line that start prints commits a transaction', async () => {
    const line = network?.stdout().match(/^ {2}(curl .*)$/m)?.[1] ?? '';
    const [, url = '', header = '', body = ''] =
      /^curl -s '(\S+)' -H '([^']+)' -d '([^']+)'$/.exec(line) ?? [];
    const [name = '', value = ''] = header.split(': ');
    const answer = await fetch(url, { method: 'POST', headers: { [name]: value }, body });
    expect(answer.status).to.equal(200);
    expect(await answer.json()).to.include({ status: 'committed', blockNumber: 1 });
  });

  it('keygen issues a writer whom submit can use', async () => {
    await run(0, 'keygen', '--name', 'alice', '--algorithm', 'p256');
    expect((await run(1, 'keygen', '--name', 'alice')).stderr).to.contain('writer_exists');
    const alice = join('data', 'orgs', 'Org1MSP', 'users', 'alice');
    const { stdout } = await run(0, 'submit', 'from alice', '--writer', alice);
    expect(stdout).to.match(/^ordered in block \d+, index 0/);
    expect((await run(2, 'submit', 'x', '--writer', 'nobody')).stderr).to.contain('no writer in');
  });

  it('submit takes text, standard input and many, and prints JSON', async () => {
    const one = await runJson(0, 'submit', 'one', '--json');
    expect(one).to.include({ status: 'committed', proof: 'block' });
    const piped = await launch(['submit', '-', '--json', '--url', urls[2] ?? ''], 'piped text')
      .done;
    expect(piped.code, piped.stderr).to.equal(0);
    expect(JSON.parse(piped.stdout)).to.include({ status: 'committed', url: urls[2] });
    const many = await runJson(0, 'submit', 'many', '--count', '50', '--json');
    expect(many).to.deep.include({ status: 'committed', count: 50, failures: [] });
    const queued = await runJson(0, 'submit', 'later', '--wait', 'queued', '--json');
    expect(queued).to.include({ status: 'queued' });
    await run(2, 'submit');
  });

  it('deliver prints and saves checked blocks', async () => {
    const { stdout } = await run(0, 'deliver', '--format', 'json', '--out', 'saved');
    const blocks = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { number: number; verified: boolean; transactions: [] });
    expect(blocks.map(({ number }) => number)).to.deep.equal([...blocks.keys()]);
    expect(blocks.every(({ verified }) => verified)).to.equal(true);
    expect(stdout).to.contain('"text":"piped text"').and.contain('"text":"from alice"');
    expect(readdirSync(join(base, 'saved')).length).to.equal(blocks.length);
    const genesis = ['--genesis', 'data/genesis/main.block'];
    const report = await runJson(0, 'verify', '--blocks', 'saved', ...genesis, '--json');
    expect(report).to.include({ verdict: 'good', blocks: blocks.length });
    // A folder must not become a mixture.
    await run(2, 'deliver', '--out', 'saved');
    const text = (await run(0, 'deliver', '--from', '0', '--to', '1')).stdout;
    expect(text).to.match(
      /^block 0 {2}1 transaction, .* genesis, trusted\n {2}0 {2}\w{16}\.\. {2}CONFIG/,
    );
    expect(text).to.contain('"hello, order"');
  });

  it('verify compares running replicas, and says what it cannot read', async () => {
    const sources = urls.flatMap((url) => ['--url', url]);
    const { stdout } = await run(0, 'verify', ...sources);
    expect(stdout).to.match(/GOOD: 4 sources, one chain\n$/);
    expect((await run(2, 'verify', '--data', 'data')).stderr).to.contain('in use');
    await run(2, 'verify', '--url', 'http://127.0.0.1:1');
    await run(2, 'verify');
    await run(2, 'verify', '--data', 'nowhere');
  });

  it('Ctrl-C stops all four; verify reads what they leave', async () => {
    network?.child.kill('SIGINT');
    const stopped = await network?.done;
    expect(stopped?.code, stopped?.stdout).to.equal(0);
    expect(stopped?.stdout).to.match(
      /stopping\nstopped; 'sluice start' continues the same chain\n$/,
    );
    const report = await runJson(0, 'verify', '--data', 'data', '--json');
    expect(report).to.include({ verdict: 'good' });
    expect(report.sources).to.have.length(4);
    expect((await run(2, 'submit', 'x', '--timeout', '2000')).stderr).to.contain('sluice start');
  });

  it('verify finds the byte that somebody changed in a ledger', async () => {
    cpSync(join(base, 'data/replica-2/ledger/main'), join(base, 'tampered'), { recursive: true });
    const changed = flipByteOf('from alice', join(base, 'tampered/segments'));
    expect(changed, 'files that hold the transaction').to.be.above(0);
    const { stdout } = await run(
      1,
      'verify',
      ...['--data', 'tampered', '--data', 'data/replica-1', '--no-signatures'],
    );
    expect(stdout).to.match(/FAULT block 2\b.*tampered/);
    expect(stdout).to.match(/BAD: \d+ faults?, the first at block 2\n$/);
  });
});

/** Changes one bit of every occurrence of a text in the files of a folder; answers in how many files. */
function flipByteOf(text: string, folder: string): number {
  let changed = 0;
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    const bytes = readFileSync(file);
    const at = bytes.indexOf(text);
    if (at === -1) continue;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    changed++;
  }
  return changed;
}
