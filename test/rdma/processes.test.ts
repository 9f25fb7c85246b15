import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { Transport } from '../../rdma/index.ts';
import { ALL, Inbox, open, pollUntil } from './support/pair.ts';
import { type PeerProcess, startPeer } from './support/peer.ts';

describe('two processes', function () {
  this.timeout(20_000);
  let transport: Transport;
  let peer: PeerProcess;

  beforeEach(async () => {
    transport = open(0, 2, { waitMode: 'block' });
    peer = startPeer();
    await peer.connect(transport);
  });
  afterEach(async () => {
    await peer.kill('SIGKILL');
    transport.destroy();
  });

  function exchangeVote(slot: number, view: number): void {
    const inbox = new Inbox();
    transport.writeCell({ kind: 'vote', slot, view, flags: 3, body: Buffer.alloc(24, slot) });
    pollUntil(transport, inbox, () => inbox.cells.length > 0, 'commit cell');
    expect(inbox.cells).to.deep.equal([
      { peer: 1, kind: 'commit', slot, view, flags: 3, body: Buffer.alloc(24, slot) },
    ]);
  }

  it('exchange cells', () => {
    for (let view = 0; view < 200; view++) exchangeVote(view % 8, view);
  });

  it('exchange payloads larger than the rings', () => {
    const payload = randomBytes(300_000);
    const inbox = new Inbox();
    expect(transport.writeLane(payload)[1]).to.equal('queued');
    pollUntil(transport, inbox, () => inbox.messages.length > 0, 'echo');
    const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
    expect(hash(inbox.messages[0]?.payload ?? Buffer.alloc(0))).to.equal(hash(payload));
  });

  it('never take for forged or lost what the other is writing at that moment', () => {
    const writes = 100_000;
    const inbox = new Inbox();
    let view = 0;
    peer.child.send({ kind: 'hammer', writes });
    const deadline = Date.now() + 10_000;
    while (view < writes && Date.now() < deadline) {
      transport.poll(ALL, inbox);
      for (const cell of inbox.cells.splice(0)) {
        expect(cell.view).to.be.greaterThan(view);
        view = cell.view;
        expect(cell.body.every((byte) => byte === (view & 0xff))).to.equal(true);
      }
      for (const { payload } of inbox.lanes.splice(0)) {
        expect(payload.every((byte) => byte === payload[0])).to.equal(true);
      }
    }
    expect(view).to.equal(writes);
    expect(inbox.faults).to.deep.equal([]);
    expect(transport.counters(1)).to.include({ badCells: 0, badFrames: 0 });
    expect(transport.counters(1).framesRead).to.be.greaterThan(10);
  });

  it('wake each other out of a blocking wait', () => {
    // The peer blocks for up to 2 ms at a time: an answer within 1 s from 100 rounds means it was
    // woken.
    const start = performance.now();
    for (let round = 0; round < 100; round++) {
      const inbox = new Inbox();
      transport.writeCell({ kind: 'vote', slot: 0, view: round, flags: 0, body: Buffer.alloc(24) });
      while (inbox.cells.length === 0) {
        expect(transport.wait(5_000_000), 'woken, not timed out').to.equal(true);
        transport.poll(ALL, inbox);
      }
    }
    expect(performance.now() - start).to.be.lessThan(5000);
  });

  it('outlive each other: a killed peer stays mapped, and a new one takes its place', async () => {
    exchangeVote(1, 1);
    await peer.kill('SIGKILL');
    const payload = Buffer.alloc(8000);
    for (let i = 0; i < 10; i++) {
      transport.writeCell({
        kind: 'vote',
        slot: i % 8,
        view: 2,
        flags: 0,
        body: payload.subarray(0, 24),
      });
      transport.writeLane(payload);
      transport.poll(ALL, new Inbox());
    }
    expect(transport.wait(1000)).to.equal(false);
    expect(transport.sessionState(1)).to.equal('open');
    transport.close(1);
    peer = startPeer();
    await peer.connect(transport);
    transport.rewriteCells(1);
    const inbox = new Inbox();
    pollUntil(transport, inbox, () => inbox.cells.length === 8, 'answers to the rewritten cells');
    expect(inbox.faults).to.deep.equal([]);
  });

  it('go on when a peer was stopped for a while', async () => {
    exchangeVote(1, 1);
    peer.child.kill('SIGSTOP');
    while (!/^State:\s+T/m.test(readFileSync(`/proc/${peer.child.pid}/status`, 'utf8')));
    transport.writeCell({ kind: 'vote', slot: 2, view: 2, flags: 0, body: Buffer.alloc(24) });
    expect(transport.wait(20_000)).to.equal(false);
    peer.child.kill('SIGCONT');
    const inbox = new Inbox();
    pollUntil(transport, inbox, () => inbox.cells.length > 0, 'answer');
  });
});
