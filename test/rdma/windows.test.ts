/** Memory windows of type 2B: who uses them, and that replicas with and without them understand each other. */
import { execFileSync } from 'node:child_process';
import { expect } from 'chai';
import type { Transport } from '../../rdma/index.ts';
import { openShmTransport } from '../../rdma/index.ts';
import { IN_GUEST } from '../support/slow.ts';
import { connect, describeProvider, Inbox, open, pollUntil, SMALL } from './support/pair.ts';

const SESSIONS = 20;

/** How many protection domains, queues and regions the kernel knows of. */
function deviceResources(): string {
  return execFileSync('rdma', ['resource', 'show'], { encoding: 'utf8' });
}

describe('memory windows (shm)', () => {
  it('are of devices only', () => {
    const transport = openShmTransport({ ...SMALL, self: 0, replicas: 2, memoryWindows: 'auto' });
    expect(transport.usesWindows).to.equal(false);
    transport.destroy();
  });
});

describeProvider('verbs', 'memory windows', () => {
  let a: Transport;
  let b: Transport;
  afterEach(() => {
    for (const transport of [a, b]) transport.destroy();
  });

  function expectWords(): void {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const inbox = new Inbox();
      from.writeCell({ kind: 'vote', slot: 1, view: 7, flags: 0, body: Buffer.alloc(24) });
      from.writeLane(Buffer.from('words'));
      const isThere = (): boolean => inbox.cells.length > 0 && inbox.lanes.length > 0;
      pollUntil(to, inbox, isThere, 'words');
      expect(inbox.faults).to.eql([]);
    }
  }

  it('are used where the device has them, and not where they are off', function () {
    [a, b] = [open(0, 2, { memoryWindows: 'auto' }), open(1, 2, { memoryWindows: 'off' })];
    expect(b.usesWindows).to.equal(false);
    // Soft-RoCE has them; another device may not.
    if (!IN_GUEST) this.skip();
    expect(a.usesWindows).to.equal(true);
  });

  it('a replica that uses them and one that does not write into each other', () => {
    [a, b] = [open(0, 2, { memoryWindows: 'auto' }), open(1, 2, { memoryWindows: 'off' })];
    connect(a, b);
    expectWords();
  });

  // A region cannot be deregistered, nor a queue pair destroyed, while a window is bound to it.
  it('sessions that end leave nothing behind in the device', function () {
    if (!IN_GUEST) this.skip();
    [a, b] = [open(0, 2), open(1, 2)];
    const before = deviceResources();
    for (let session = 0; session < SESSIONS; session++) {
      connect(a, b);
      expectWords();
      a.close(1);
      b.close(0);
    }
    expect(deviceResources()).to.equal(before);
  });
});
