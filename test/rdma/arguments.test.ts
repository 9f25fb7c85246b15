import { randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import type { MemoryTransportOptions, RegionOffer, Transport } from '../../rdma/index.ts';
import { openShmTransport, TransportError, wakeTransport } from '../../rdma/index.ts';
import { LIMITS } from '../../rdma/limits.ts';
import { loadNative, type NativeTransport } from '../../rdma/native.ts';
import { ALL, connect, Inbox, open, SMALL, sessionKeys } from './support/pair.ts';

function errorOf(call: () => unknown): TransportError {
  try {
    call();
  } catch (error) {
    expect(error).to.be.instanceOf(TransportError);
    return error as TransportError;
  }
  throw new Error('the call did not throw');
}

function nativeTransport(self: number): NativeTransport {
  const { NativeTransport } = loadNative();
  return new NativeTransport({
    ...SMALL,
    self,
    replicas: 3,
    payloadBytesMax: 4096,
    laneOutQueueBytesMax: 4096,
    controlOutQueueBytesMax: 4096,
    pollBytesMax: 65_536,
    waitMode: 0,
    spinUs: 0,
    futexWaitv: true,
    provider: 0,
    device: '',
    gidIndex: 0,
    memoryWindows: true,
    digest: Buffer.alloc(32),
  });
}

const ODD_NUMBERS = [-1, 0.5, 2 ** 53, 2 ** 64, NaN, Infinity, -0, -Infinity, 1e308];

describe('wrong arguments', () => {
  let a: Transport;
  let b: Transport;
  beforeEach(() => {
    a = open(0, 2);
    b = open(1, 2);
    connect(a, b);
  });
  afterEach(() => {
    a.destroy();
    b.destroy();
  });

  it('to openShmTransport name the option', () => {
    const cases: [string, Partial<Record<keyof MemoryTransportOptions, unknown>>][] = [
      ['replicas', { replicas: 1 }],
      ['replicas', { replicas: 65 }],
      ['self', { self: 2 }],
      ['windowSlots', { windowSlots: 0 }],
      ['windowSlots', { windowSlots: '8' }],
      ['laneRingBytes', { laneRingBytes: 100_000 }],
      ['controlRingBytes', { controlRingBytes: 8 * 1024 }],
      ['laneOutQueueBytesMax', { laneOutQueueBytesMax: 1 }],
      ['controlOutQueueBytesMax', { payloadBytesMax: 4096, controlOutQueueBytesMax: 4095 }],
      ['payloadBytesMax', { payloadBytesMax: 0 }],
      ['pollBytesMax', { pollBytesMax: 1 }],
      ['epoch', { epoch: 65_536 }],
      ['spinUs', { spinUs: -1 }],
      ['waitMode', { waitMode: 'sleep' }],
      ['memoryWindows', { memoryWindows: 'on' }],
      ['channel', { channel: '' }],
      ['futexWaitv', { futexWaitv: 1 }],
    ];
    for (const [name, change] of cases) {
      const options = { ...SMALL, self: 0, replicas: 2, ...change } as MemoryTransportOptions;
      const error = errorOf(() => openShmTransport(options));
      expect(error.code).to.equal('invalid_argument');
      expect(error.message).to.contain(name);
    }
  });

  it('to sessions', () => {
    const [keys] = sessionKeys(0, 1);
    const c = open(0, 3);
    for (const peer of [0, 3, ...ODD_NUMBERS]) {
      if (peer === 1 || peer === 2) continue;
      expect(errorOf(() => c.offer(peer, keys)).code, String(peer)).to.equal('invalid_argument');
      expect(errorOf(() => c.close(peer)).code).to.equal('invalid_argument');
    }
    for (const broken of [
      { ...keys, pairSecret: randomBytes(31) },
      { ...keys, selfIncarnation: '-1' },
      { ...keys, peerIncarnation: String(1n << 64n) },
      { ...keys, peerIncarnation: 12 as unknown as string },
    ]) {
      expect(errorOf(() => c.offer(1, broken)).code).to.equal('invalid_argument');
      expect(c.sessionState(1), 'nothing is left of it').to.equal('closed');
    }
    c.destroy();
  });

  it('to writes and waits', () => {
    const cell = { kind: 'vote', slot: 0, view: 0, flags: 0, body: Buffer.alloc(24) } as const;
    const calls: (() => unknown)[] = [
      () => a.writeCell({ ...cell, kind: 'veto' as 'vote' }),
      () => a.writeCell({ ...cell, slot: -1 }),
      () => a.writeCell({ ...cell, view: 2 ** 32 }),
      () => a.writeCell({ ...cell, flags: 256 }),
      () => a.writeCell({ ...cell, body: Buffer.alloc(25) }),
      () => a.writeCell({ ...cell, body: new Uint16Array(4) as unknown as Uint8Array }),
      () => a.writeLane('text' as unknown as Uint8Array),
      () => a.writeLane(Buffer.alloc(LIMITS.payloadBytesMaxDefault + 1)),
      () => a.send(1, new DataView(new ArrayBuffer(8)) as unknown as Uint8Array),
      () => a.send(0, Buffer.alloc(1)),
      () => a.wait(LIMITS.waitTimeoutUsMax + 1),
      () => a.poll({ fromSlot: -1, toSlot: 0 }, new Inbox()),
      () => wakeTransport(-1),
    ];
    for (const call of calls) expect(errorOf(call).code, String(call)).to.equal('invalid_argument');
    expect(b.poll(ALL, new Inbox()), 'nothing was written').to.equal(0);
  });

  it('of detached and resized buffers', () => {
    const body = new Uint8Array(24);
    structuredClone(body.buffer, { transfer: [body.buffer] });
    a.writeCell({ kind: 'vote', slot: 0, view: 0, flags: 0, body });
    const inbox = new Inbox();
    b.poll(ALL, inbox);
    expect(inbox.cells[0]?.body).to.deep.equal(Buffer.alloc(24));
  });

  const anything = fc.oneof(
    { depthSize: 'small' },
    fc.anything({ withBigInt: true, withTypedArray: true, withNullPrototype: true }),
    fc.constantFrom(...ODD_NUMBERS),
    fc.integer({ min: -3, max: 5 }),
    fc.bigInt({ min: -1n, max: 1n << 64n }),
    fc.uint8Array({ maxLength: 64 }),
    fc.constantFrom('/sluice-', `/sluice-${'0'.repeat(32)}`, '/sluice-../../etc/passwd'),
    fc.constant(new SharedArrayBuffer(8)),
    fc.constant(() => {}),
  );

  it('of any kind to any native function throw typed errors and never crash (property)', () => {
    const addon = loadNative();
    const native = nativeTransport(0);
    native.offer(1);
    const methods = Object.getOwnPropertyNames(addon.NativeTransport.prototype).filter(
      (name) => name !== 'constructor' && name !== 'destroy',
    );
    expect(methods).to.have.length(20);
    const target = { ...addon, create: (options: never) => new addon.NativeTransport(options) };
    const functions = ['create', 'wake', 'sha256', 'aesCmac', 'regionLayout'];
    fc.assert(
      fc.property(
        fc.constantFrom(...methods, ...functions),
        fc.array(anything, { maxLength: 6 }),
        (name, args) => {
          // A wait with a valid timeout would only cost time.
          if (name === 'wait' && typeof args[0] === 'number' && args[0] > 5) return;
          try {
            const on = (functions.includes(name) ? target : native) as unknown as Record<
              string,
              (...args: unknown[]) => unknown
            >;
            on[name]?.(...args);
          } catch (error) {
            expect(error).to.be.instanceOf(TransportError);
          }
        },
      ),
      { numRuns: 5000 },
    );
    native.destroy();
  });

  it('that call back into the transport as a poll ends find it whole', () => {
    const [reader, writer] = [nativeTransport(0), nativeTransport(1)];
    const keys = randomBytes(48);
    const names = [reader.offer(1), writer.offer(0)] as const;
    reader.setInboundKeys(1, keys, 1n);
    writer.setInboundKeys(0, keys, 1n);
    reader.map(1, names[1], keys, 1n, undefined);
    writer.map(0, names[0], keys, 1n, undefined);
    reader.confirm(1);
    writer.confirm(0);
    // Long enough for a buffer of its own.
    for (let i = 0; i < 3; i++) writer.send(0, Buffer.alloc(4_096));
    const payloads: ArrayBuffer[] = [];
    Object.defineProperty(payloads, 0, { set: () => reader.destroy() });
    expect(reader.poll(0, 0, payloads)).to.equal(3);
    expect(payloads).to.have.length(3);
    expect(errorOf(() => reader.wait(0)).code).to.equal('transport_destroyed');
    writer.destroy();
  });

  it('to memory that was taken away do no harm', () => {
    const native = nativeTransport(0);
    structuredClone(native.memory(), { transfer: [native.memory()] });
    native.writeCell(2, 0, 0, 0, 24, false);
    expect(native.poll(0, 0, [])).to.equal(0);
    native.destroy();
  });

  it('of another receiver throw', () => {
    const { NativeTransport } = loadNative();
    const { poll } = NativeTransport.prototype as NativeTransport;
    for (const receiver of [
      {},
      null,
      1,
      NativeTransport.prototype,
      Object.create(NativeTransport.prototype),
    ]) {
      expect(() => poll.call(receiver as NativeTransport, 0, 0, [])).to.throw();
    }
    expect(() => (NativeTransport as unknown as () => void)()).to.throw();
  });
});

describe('the steps of a session', () => {
  let a: Transport;
  let b: Transport;
  beforeEach(() => {
    a = open(0, 2);
    b = open(1, 2);
  });
  afterEach(() => {
    a.destroy();
    b.destroy();
  });

  it('have one order, and each is refused out of it', () => {
    const [keysA, keysB] = sessionKeys(0, 1);
    const offerB = b.offer(0, keysB);
    expect(errorOf(() => a.accept(1, offerB)).code).to.equal('invalid_state');
    expect(errorOf(() => a.confirm(1)).code).to.equal('invalid_state');
    const states = [a.sessionState(1)];
    a.offer(1, keysA);
    states.push(a.sessionState(1));
    expect(errorOf(() => a.offer(1, keysA)).code).to.equal('invalid_state');
    a.accept(1, offerB);
    states.push(a.sessionState(1));
    expect(errorOf(() => a.accept(1, offerB)).code).to.equal('invalid_state');
    a.confirm(1);
    a.confirm(1);
    states.push(a.sessionState(1));
    a.close(1);
    a.close(1);
    states.push(a.sessionState(1));
    expect(states).to.deep.equal(['closed', 'offered', 'mapped', 'open', 'closed']);
  });

  it('may confirm before they accept', () => {
    const [keysA, keysB] = sessionKeys(0, 1);
    const offerB = b.offer(0, keysB);
    a.offer(1, keysA);
    a.confirm(1);
    expect(a.sessionState(1)).to.equal('offered');
    a.accept(1, offerB);
    expect(a.sessionState(1)).to.equal('open');
  });

  it('write nothing before the session is open', () => {
    a.offer(1, sessionKeys(0, 1)[0]);
    a.writeCell({ kind: 'vote', slot: 0, view: 0, flags: 0, body: Buffer.alloc(24) });
    a.rewriteCells(1);
    expect(a.writeLane(Buffer.alloc(1))).to.deep.equal(['queued', 'skipped']);
    expect(a.send(1, Buffer.alloc(1))).to.equal('skipped');
    expect(a.poll(ALL, new Inbox())).to.equal(0);
    expect(a.counters(1)).to.include({ cellsWritten: 0, payloadsSkipped: 2 });
  });

  it('refuse offers that are not what was agreed', () => {
    const [keysA, keysB] = sessionKeys(0, 1);
    a.offer(1, keysA);
    const good = b.offer(0, keysB);
    const c = open(1, 2, { windowSlots: 16 });
    const other = c.offer(0, keysB);
    const bad: unknown[] = [
      undefined,
      null,
      'offer',
      {},
      other,
      { ...good, provider: 'tcp' },
      { ...good, regionBytes: good.regionBytes + 1 },
      { ...good, layoutDigest: '00' },
      { ...good, name: 7 },
      { ...good, name: good.name.slice(0, -1) },
      { ...good, name: `${good.name}0` },
      { ...good, name: `/sluice-${'/'.repeat(32)}` },
      { ...good, name: good.name.replace('/sluice-', '/slvice-') },
    ];
    for (const offer of bad) {
      const { code } = errorOf(() => a.accept(1, offer as RegionOffer));
      expect(code, JSON.stringify(offer)).to.be.oneOf(['offer_mismatch', 'invalid_argument']);
      expect(a.sessionState(1)).to.equal('offered');
    }
    const gone = { ...good, name: `/sluice-${'0'.repeat(32)}` };
    expect(errorOf(() => a.accept(1, gone)).code).to.equal('map_failed');
    a.accept(1, good);
    expect(a.sessionState(1)).to.equal('mapped');
    c.destroy();
  });

  it('refuse a region of another size, mode or layout than its offer says', () => {
    const changes: [string, (path: string, bytes: number) => void][] = [
      ['shorter', (path) => truncateSync(path, 4096)],
      ['longer', (path, bytes) => truncateSync(path, bytes + 1)],
      ['readable by others', (path) => chmodSync(path, 0o644)],
      ['without header', (path, bytes) => writeFileSync(path, Buffer.alloc(bytes))],
    ];
    for (const [what, change] of changes) {
      const [keysA, keysB] = sessionKeys(0, 1);
      a.offer(1, keysA);
      const offer = b.offer(0, keysB);
      change(`/dev/shm${offer.name}`, offer.regionBytes);
      expect(errorOf(() => a.accept(1, offer)).code, what).to.equal('offer_mismatch');
      a.close(1);
      b.close(0);
    }
  });

  it('do not follow a link that somebody puts in the place of a region', () => {
    const [keysA, keysB] = sessionKeys(0, 1);
    a.offer(1, keysA);
    const offer = b.offer(0, keysB);
    const path = `/dev/shm${offer.name}`;
    const elsewhere = `${path}-elsewhere`;
    copyFileSync(path, elsewhere);
    rmSync(path);
    symlinkSync(elsewhere, path);
    expect(errorOf(() => a.accept(1, offer)).code).to.equal('map_failed');
    rmSync(elsewhere);
    rmSync(path);
  });
});
