import { execFile } from 'node:child_process';
import { on } from 'node:events';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { TransportError, wakeTransport } from '../../rdma/index.ts';
import { isLinked, mappings, openFiles } from './support/leaks.ts';
import { ALL, connect, Inbox, open, sessionKeys } from './support/pair.ts';

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    expect(error).to.be.instanceOf(TransportError);
    return (error as TransportError).code;
  }
  return 'none';
}

describe('region names', () => {
  it('are not guessable, belong to this user only, and are gone after confirm', () => {
    const a = open(0, 2);
    const b = open(1, 2);
    const names: string[] = [];
    connect(a, b, ({ intoA, intoB }) => {
      for (const name of [intoA, intoB]) {
        expect(name).to.match(/^\/sluice-[0-9a-f]{32}$/);
        const status = statSync(`/dev/shm${name}`);
        expect(status.mode & 0o7777).to.equal(0o600);
        expect(status.uid).to.equal(process.getuid?.());
        names.push(name);
      }
    });
    expect(names.map(isLinked)).to.deep.equal([false, false]);
    expect(openFiles().filter((path) => path.includes('sluice-'))).to.deep.equal([]);
    a.destroy();
    b.destroy();
  });

  it('keep their permissions whatever the umask', () => {
    const a = open(0, 2);
    const before = process.umask(0o777);
    const { name } = a.offer(1, sessionKeys(0, 1)[0]);
    process.umask(before);
    expect(statSync(`/dev/shm${name}`).mode & 0o7777).to.equal(0o600);
    a.destroy();
  });

  it('are gone after close or destroy without confirm', () => {
    const a = open(0, 3);
    const one = a.offer(1, sessionKeys(0, 1)[0]).name;
    const two = a.offer(2, sessionKeys(0, 2)[0]).name;
    expect([one, two].map(isLinked)).to.deep.equal([true, true]);
    a.close(1);
    expect([one, two].map(isLinked)).to.deep.equal([false, true]);
    a.destroy();
    expect([one, two].map(isLinked)).to.deep.equal([false, false]);
  });
});

describe('names that a killed process left', () => {
  it('are removed by the next transport that opens; names of live processes stay', async () => {
    const living = open(0, 2);
    const { name } = living.offer(1, sessionKeys(0, 1)[0]);
    const script = `
      import { open, sessionKeys } from ${JSON.stringify(new URL('./support/pair.js', import.meta.url).href)};
      const transport = open(0, 2);
      const { name } = transport.offer(1, sessionKeys(0, 1)[0]);
      process.stdout.write(name, () => process.kill(process.pid, 'SIGKILL'));`;
    const killed = await promisify(execFile)(process.execPath, [
      '--input-type=module',
      '--eval',
      script,
    ]).catch((error: { signal: string; stdout: string }) => error);
    expect(killed).to.include({ signal: 'SIGKILL' });
    expect(killed.stdout).to.match(/^\/sluice-/);
    // Another test run may have opened a transport meanwhile, so the name may be gone already.
    open(0, 2).destroy();
    expect(isLinked(killed.stdout)).to.equal(false);
    expect(isLinked(name)).to.equal(true);
    living.destroy();
  });
});

describe('life of a transport', function () {
  this.timeout(20_000);

  it('holds nothing after 200 sessions', () => {
    const a = open(0, 2);
    const b = open(1, 2);
    const round = () => {
      connect(a, b);
      a.writeLane(Buffer.alloc(100_000, 1));
      for (let i = 0; i < 3; i++) b.poll(ALL, new Inbox());
      a.close(1);
      b.close(0);
    };
    round();
    const files = openFiles().length;
    for (let i = 0; i < 200; i++) round();
    expect(mappings()).to.deep.equal([]);
    expect(openFiles().length).to.be.at.most(files + 1);
    expect(a.counters(1).outQueueBytes).to.equal(0);
    expect(b.counters(0).framesRead, 'counters add up over sessions').to.be.greaterThan(201);
    a.destroy();
    b.destroy();
  });

  it('ends with destroy: every later call says so, destroy itself does not', () => {
    const a = open(0, 2);
    const b = open(1, 2);
    connect(a, b);
    a.destroy();
    a.destroy();
    const uses: (() => unknown)[] = [
      () => a.offer(1, sessionKeys(0, 1)[0]),
      () => a.accept(1, { provider: 'shm', name: '', regionBytes: 0, layoutDigest: '' }),
      () => a.confirm(1),
      () => a.close(1),
      () => a.sessionState(1),
      () => a.writeCell({ kind: 'vote', slot: 0, view: 0, flags: 0, body: Buffer.alloc(24) }),
      () => a.rewriteCells(1),
      () => a.writeLane(Buffer.alloc(1)),
      () => a.send(1, Buffer.alloc(1)),
      () => a.poll(ALL, new Inbox()),
      () => a.wait(0),
      () => a.counters(1),
    ];
    for (const use of uses) expect(codeOf(use), String(use)).to.equal('transport_destroyed');
    // The peer does not notice until it is told.
    b.writeLane(Buffer.alloc(100));
    expect(b.poll(ALL, new Inbox())).to.equal(0);
    b.destroy();
    expect(mappings()).to.deep.equal([]);
  });

  it('may be destroyed, or its session closed, by a handler of its own poll', () => {
    for (const end of ['destroy', 'close'] as const) {
      const a = open(0, 2);
      const b = open(1, 2);
      connect(a, b);
      for (let i = 0; i < 5; i++) a.send(1, Buffer.of(i));
      const inbox = new Inbox();
      const seen: number[] = [];
      inbox.onMessage = (_peer, payload) => {
        seen.push(payload[0] ?? -1);
        if (end === 'destroy') b.destroy();
        else b.close(0);
      };
      expect(b.poll(ALL, inbox)).to.equal(5);
      expect(seen).to.deep.equal([0]);
      a.destroy();
      b.destroy();
    }
  });

  it('does not poll within poll', () => {
    const a = open(0, 2);
    const b = open(1, 2);
    connect(a, b);
    a.send(1, Buffer.of(1));
    const inbox = new Inbox();
    inbox.onMessage = () => b.poll(ALL, new Inbox());
    expect(codeOf(() => b.poll(ALL, inbox))).to.equal('invalid_state');
    expect(b.poll(ALL, new Inbox())).to.equal(0);
    a.destroy();
    b.destroy();
  });

  it('ends with its worker thread, whatever state its sessions are in', async () => {
    for (let round = 0; round < 4; round++) {
      const worker = new Worker(new URL('./support/short-lived.js', import.meta.url));
      const left: { name: string; handle: number }[] = [];
      for await (const [message] of on(worker, 'message')) {
        if (message === 'ready') break;
        left.push(message as { name: string; handle: number });
      }
      expect(left.map(({ name }) => isLinked(name))).to.deep.equal([true, true, true]);
      expect(mappings().length).to.be.greaterThan(0);
      await worker.terminate();
      expect(left.map(({ name }) => isLinked(name))).to.deep.equal([false, false, false]);
      expect(left.map(({ handle }) => wakeTransport(handle))).to.deep.equal([false, false, false]);
      expect(mappings()).to.deep.equal([]);
    }
  });

  it('ends with its process: names that were never confirmed are gone after exit', async () => {
    const script = `
      import { open, sessionKeys } from ${JSON.stringify(new URL('./support/pair.js', import.meta.url).href)};
      const transport = open(0, 2);
      console.log(transport.offer(1, sessionKeys(0, 1)[0]).name);`;
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--input-type=module',
      '--eval',
      script,
    ]);
    expect(stdout.trim()).to.match(/^\/sluice-/);
    expect(isLinked(stdout.trim())).to.equal(false);
  });

  it('ends when it is collected, and the payloads that it handed up live on', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--expose-gc',
      fileURLToPath(new URL('./support/garbage.js', import.meta.url)),
    ]);
    const left = JSON.parse(stdout) as { before: number };
    const { before, ...after } = left;
    expect(before).to.be.greaterThan(0);
    expect(after).to.deep.equal({ after: 0, intact: true, names: 0, files: 0 });
  });
});
