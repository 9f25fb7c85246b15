/** When a consensus thread asks V8 to look for what is not needed any more, and that it then goes. */
import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import {
  COLLECT_AFTER_BYTES,
  CollectingPort,
  TRIM_AFTER_BYTES,
  threadCollector,
} from '../../../consensus/runtime/collecting-port.ts';
import type { LoopPort } from '../../../consensus/runtime/loop.ts';
import type { WorkerEvents } from '../../../consensus/runtime/protocol.ts';

const BATCH_BYTES = COLLECT_AFTER_BYTES / 4;
const EVENTS: WorkerEvents = [{ kind: 'stopped' }];

function portWith(collect: () => void, trim = () => {}) {
  const posted: number[] = [];
  const inner: LoopPort = {
    receive: () => ({ kind: 'stop' }),
    post: (events, transfer) => posted.push(events.length, transfer.length),
  };
  return { port: new CollectingPort(inner, { collect, trim }), posted };
}

describe('a collecting port', () => {
  it('passes on all that is said', () => {
    const { port, posted } = portWith(() => {});
    port.post(EVENTS, [new ArrayBuffer(1)]);
    expect(posted).to.eql([1, 1]);
    expect(port.receive()).to.eql({ kind: 'stop' });
  });

  it('collects each time that so many bytes have changed hands, after they have', () => {
    const collected: number[] = [];
    const { port, posted } = portWith(() => collected.push(posted.length / 2));
    for (let turn = 0; turn < 12; turn++) port.post(EVENTS, [new ArrayBuffer(BATCH_BYTES)]);
    expect(collected).to.eql([4, 8, 12]);
    for (let turn = 0; turn < 100; turn++) port.post(EVENTS, []);
    expect(collected).to.have.length(3);
  });

  it('trims more often, and behind the collector', () => {
    const said: string[] = [];
    const { port } = portWith(
      () => said.push('collect'),
      () => said.push('trim'),
    );
    for (let turn = 0; turn < 8; turn++) port.post(EVENTS, [new ArrayBuffer(TRIM_AFTER_BYTES / 2)]);
    expect(said).to.eql(['trim', 'trim', 'trim', 'collect', 'trim']);
  });

  it("takes the thread's collector: what nobody holds is gone after it", async () => {
    const collect = threadCollector();
    const letGo = new WeakRef(new ArrayBuffer(BATCH_BYTES));
    const held = new ArrayBuffer(BATCH_BYTES);
    const alsoHeld = new WeakRef(held);
    // What a WeakRef names stays until the turn in which it was made is over.
    await setImmediate();
    collect();
    expect(letGo.deref()).to.equal(undefined);
    expect(alsoHeld.deref()).to.equal(held);
  });
});
