import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { ClientError } from '../../api/client/errors.ts';
import type { Api } from '../../api/index.ts';
import { explain } from '../../scripts/commands/connect.ts';
import { printable, readableText } from '../../scripts/commands/printing.ts';
import { createTestChain, type TestChain } from '../support/chain.ts';
import { type ChainService, createChainService } from '../support/chain-service.ts';
import { serveQuietly } from '../support/serve.ts';

const CLI = fileURLToPath(new URL('./cli.js', import.meta.url));

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], cwd: string) {
  const child = spawn(process.execPath, [CLI, ...args], { cwd });
  const texts = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    texts.stdout += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    texts.stderr += String(chunk);
  });
  const done = once(child, 'close').then(
    ([code]): Ran => ({ code: code as number | null, ...texts }),
  );
  return { child, texts, done };
}

describe('commands submit, deliver and verify', function () {
  this.timeout(20_000);
  let chain: TestChain;
  let service: ChainService;
  let api: Api;
  let base: string;

  function run(...args: string[]): Promise<Ran> {
    return start(args, base).done;
  }

  function runWithInput(input: string, ...args: string[]): Promise<Ran> {
    const { child, done } = start(args, base);
    child.stdin.end(input);
    return done;
  }

  before(async () => {
    chain = await createTestChain({ consenters: 1, blocks: 2 });
    service = createChainService(chain);
    api = await serveQuietly(service);
    base = mkdtempSync(join(tmpdir(), 'sluice-commands-'));
    const user = join(base, 'data', 'orgs', 'Org1MSP', 'users', 'user');
    mkdirSync(user, { recursive: true });
    mkdirSync(join(base, 'data', 'genesis'));
    const { certPem, keyPem } = await chain.authority.issue({
      commonName: 'user',
      usage: 'identity',
    });
    writeFileSync(join(user, 'cert.pem'), certPem);
    writeFileSync(join(user, 'key.pem'), keyPem);
    writeFileSync(join(base, 'data', 'genesis', 'main.block'), chain.blocks[0] as Uint8Array);
    writeFileSync(
      join(base, 'data', 'network.yaml'),
      `version: 1
channels:
  - name: main
    genesis: genesis/main.block
replicas:
  - number: 1
    host: 127.0.0.1
    port: 7151
    api: "${api.url}"
transport:
  provider: shm
`,
    );
  });

  after(async () => {
    await api.close();
    rmSync(base, { recursive: true, force: true });
  });

  it('submit: signs, waits, checks, and says so', async () => {
    const ran = await run('submit', 'hello');
    expect(ran).to.include({ code: 0, stderr: '' });
    expect(ran.stdout).to.match(/^ordered in block \d+, index 0 /);
    expect(ran.stdout).to.include('signed by consenters 1 of 1; the block holds the transaction');
    const json = await runWithInput('from a pipe', 'submit', '-', '--json');
    const result = JSON.parse(json.stdout) as Record<string, unknown>;
    expect(result).to.include({ status: 'committed', proof: 'block', url: api.url });
    const { data } = chain.decoded(Number(result.blockNumber));
    expect(Buffer.from(data[0] as Uint8Array).includes('from a pipe')).to.equal(true);
  });

  it('submit: many at a time, files, ready envelopes, queue places', async () => {
    writeFileSync(join(base, 'bytes'), new Uint8Array([0, 1, 255]));
    const many = await run('submit', '--file', 'bytes', '--count', '5', '--json');
    expect(JSON.parse(many.stdout)).to.include({ status: 'committed', count: 5 });
    writeFileSync(join(base, 'envelope'), chain.envelope('ready').envelope);
    expect((await run('submit', '--raw', 'envelope')).code).to.equal(0);
    const queued = await run('submit', 'x', '--wait', 'queued');
    expect(queued.stdout).to.include('not ordered yet');
  });

  it('submit: many over one connection', async () => {
    const ran = await run('submit', 'x', '--count', '20', '--stream', '--json');
    expect(JSON.parse(ran.stdout)).to.include({ status: 'committed', count: 20 });
    const wrong = await run('submit', 'x', '--count', '2', '--stream', '--wait', 'queued');
    expect(wrong.code).to.equal(2);
    expect(wrong.stderr).to.include('leave out --wait');
  });

  it('submit: exit codes tell a refusal from a failure', async () => {
    const wrongChannel = await createTestChain({ channel: 'other' });
    writeFileSync(join(base, 'wrong'), wrongChannel.envelope('x').envelope);
    const refused = await run('submit', '--raw', 'wrong');
    expect(refused.code).to.equal(1);
    expect(refused.stderr).to.include('wrong_channel');
    const unreachable = await run(
      'submit',
      'x',
      '--url',
      'http://127.0.0.1:9',
      '--timeout',
      '200',
      '--json',
    );
    expect(unreachable.code).to.equal(2);
    expect(JSON.parse(unreachable.stdout)).to.include({ status: 'failed' });
    for (const args of [[], ['x', '--writer', 'nobody'], ['x', '--nonsense']]) {
      expect((await run('submit', ...args)).code, args.join(' ')).to.equal(2);
    }
  });

  it('deliver: text, JSON, raw and files, each block checked', async () => {
    const text = await run('deliver', '--to', '2');
    expect(text.code).to.equal(0);
    const lines = text.stdout.split('\n');
    expect(lines[0]).to.match(/^block 0 {2}1 transaction, .* genesis, trusted$/);
    expect(text.stdout).to.include('Org1MSP/writer.org1.test').and.to.include('"1/0"');
    const json = await run('deliver', '--from', '1', '--to', '2', '--format', 'json');
    const blocks = json.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(blocks.map(({ number }) => number)).to.deep.equal([1, 2]);
    expect(blocks[0]).to.deep.include({ verified: true, signers: [1] });
    expect(blocks[0]).to.have.nested.property('transactions[0].text', '1/0');
    const saved = await run('deliver', '--to', '2', '--out', 'saved');
    expect(saved.code).to.equal(0);
    expect(readdirSync(join(base, 'saved'))).to.deep.equal([
      '0000.block',
      '0001.block',
      '0002.block',
    ]);
    expect(new Uint8Array(readFileSync(join(base, 'saved', '0002.block')))).to.deep.equal(
      chain.blocks[2],
    );
    const again = await run('deliver', '--to', '2', '--out', 'saved');
    expect(again.code).to.equal(2);
    expect(again.stderr).to.include('EEXIST');
  });

  it('deliver: follows until it is interrupted, and needs no trust root when told not to check', async () => {
    const { child, texts, done } = start(['deliver', '--from', '1', '--follow'], base);
    const printed = async (text: string) => {
      while (!texts.stdout.includes(text)) {
        if (child.exitCode !== null) throw new Error(texts.stderr);
        await Promise.race([once(child.stdout, 'data'), done]);
      }
    };
    await printed('block 2 ');
    const next = chain.blocks.length;
    service.append([chain.envelope('while it follows').envelope]);
    await printed(`block ${next} `);
    child.kill('SIGINT');
    expect((await done).code).to.equal(0);
    const args = ['--url', api.url, '--data', 'nowhere', '--channel', 'main', '--to', '1'];
    const unchecked = await run('deliver', '--no-verify', ...args);
    expect(unchecked.stdout).to.include('not checked');
    const untrusted = await run('deliver', ...args);
    expect(untrusted.code).to.equal(2);
    expect(untrusted.stderr).to.include('--genesis');
    expect((await run('deliver', '--from', '9999')).code).to.equal(1);
  });

  it('verify: exit codes 0, 1 and 2, report and JSON', async () => {
    const good = await run('verify', '--url', api.url, '--genesis', 'data/genesis/main.block');
    expect(good.code).to.equal(0);
    expect(good.stdout).to.include('GOOD').and.to.include('pinned by');
    mkdirSync(join(base, 'bad'));
    const changed = (chain.blocks[1] as Uint8Array).slice();
    changed[changed.length - 1] = (changed[changed.length - 1] ?? 0) ^ 1;
    [chain.blocks[0], changed, chain.blocks[2]].forEach((bytes, number) => {
      writeFileSync(join(base, 'bad', `${number}.block`), bytes as Uint8Array);
    });
    const bad = await run('verify', '--blocks', 'bad', '--threads', '1', '--json');
    expect(bad.code).to.equal(1);
    const report = JSON.parse(bad.stdout) as { findings: { block: number }[] };
    expect(report).to.include({ verdict: 'bad' });
    expect(report.findings[0]?.block).to.equal(1);
    const nothing = await run('verify', '--blocks', 'nowhere');
    expect(nothing.code).to.equal(2);
    expect(nothing.stderr).to.include('no block files');
    expect((await run('verify', '--from', '2', '--to', '1', '--blocks', 'bad')).code).to.equal(2);
    const loud = await run('verify', '--blocks', 'bad', '--no-signatures');
    expect(loud.stderr).to.include('anybody could have written');
  });

  it('explain themselves', async () => {
    const names = ['submit', 'deliver', 'verify'];
    for (const ran of await Promise.all(names.map((name) => run(name, '--help')))) {
      const { code, stdout } = ran;
      expect(code).to.equal(0);
      expect(stdout).to.include('Examples:').and.to.include('Exit code:');
      expect(Math.max(...stdout.split('\n').map((line) => line.length))).to.be.at.most(101);
    }
  });

  it('print what others wrote without letting it touch the terminal', () => {
    expect(printable('a\u001b[2Jb\u202ec\u0085')).to.equal('a\\u{1b}[2Jb\\u{202e}c\\u{85}');
    expect(printable('Grüße, 世界 – ok')).to.equal('Grüße, 世界 – ok');
    expect(readableText(new TextEncoder().encode('line\nline'))).to.equal('line\nline');
    expect(readableText(new Uint8Array([0xff, 0xfe]))).to.equal(undefined);
    expect(readableText(new TextEncoder().encode('\u001b[2J'))).to.equal(undefined);
  });
});

describe('what a command says of an error', () => {
  const first = 'http://127.0.0.1:8051';
  const second = 'http://127.0.0.1:8052';
  const refused = { code: 'unreachable', message: 'connect ECONNREFUSED 127.0.0.1:8051' };
  const silent = { code: 'timeout', message: 'no answer within 2 ms' };

  function hintOf(...causes: { url: string; code: string; message: string; status?: number }[]) {
    const failures = causes.map((cause) => ({ ...cause, retryable: true }));
    const error = new ClientError('deadline_exceeded', 'no replica answered', { causes: failures });
    return explain(error).message.includes('sluice start');
  }

  it('advises to start the network when every replica has closed its port', () => {
    const both = [
      { url: first, ...refused },
      { url: second, ...refused },
    ];
    expect(hintOf(...both)).to.equal(true);
    expect(hintOf(...both, { url: first, ...silent }), 'cut short by the deadline').to.equal(true);
  });

  it('does not when a replica is silent, or has answered', () => {
    expect(hintOf({ url: first, ...refused }, { url: second, ...silent })).to.equal(false);
    const busy = { url: first, code: 'overloaded', message: 'later', status: 429 };
    expect(hintOf({ url: first, ...refused }, busy)).to.equal(false);
    expect(hintOf()).to.equal(false);
  });
});
