/** The worker thread against a peer that plays by other rules: real transport, real thread. */
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { type CoreLimits, checkLimits, DEFAULT_LIMITS } from '../../../consensus/core/limits.ts';
import { MESSAGE_COST_BYTES, PeerBudget } from '../../../consensus/runtime/budget.ts';
import { ed25519KeyPair } from '../../../consensus/runtime/ed25519.ts';
import { ConsensusRuntime, type RuntimeHandlers } from '../../../consensus/runtime/runtime.ts';
import { wrapApplication } from '../../../consensus/wire/index.ts';
import { openShmTransport, type SessionKeys, type Transport } from '../../../rdma/index.ts';

const RUN_ID = new Uint8Array(32).fill(7);

function handlersWith(handlers: Partial<RuntimeHandlers>): RuntimeHandlers {
  return {
    onSession: () => {},
    onOwnBatch: () => {},
    onCheckBatch: () => {},
    onDropBatch: () => {},
    onDeliver: () => {},
    onTransfer: () => {},
    onRestored: () => {},
    onDisk: () => {},
    onView: () => {},
    onApplication: () => {},
    onEvidence: () => {},
    onWrites: () => {},
    onTransportFault: () => {},
    onFatal: (error) => {
      throw error;
    },
    ...handlers,
  };
}

describe('consensus runtime', () => {
  let runtime: ConsensusRuntime;
  let peer: Transport;

  async function start(
    handlers: Partial<RuntimeHandlers>,
    limits: CoreLimits = DEFAULT_LIMITS,
  ): Promise<void> {
    const seeds = [1, 2, 3, 4].map((fill) => new Uint8Array(32).fill(fill));
    runtime = await ConsensusRuntime.start(
      {
        channel: 'main',
        self: 0,
        replicas: 4,
        runId: RUN_ID,
        firstSlot: 1,
        baseTimeMs: 0,
        baseHeight: 1,
        baseHash: new Uint8Array(32),
        entry: 'begin',
        wal: undefined,
        batchTimeoutMs: 2_000,
        limits,
        provider: 'shm',
        rdma: {},
        waitMode: 'block',
        spinUs: 0,
        signingSeed: seeds[0] as Uint8Array,
        consenterKeys: seeds.map((seed) => ed25519KeyPair(seed).publicKey),
        incarnation: '1',
      },
      handlersWith(handlers),
    );
    peer = openShmTransport({
      self: 1,
      replicas: 4,
      windowSlots: DEFAULT_LIMITS.windowSlots,
      channel: `main/${Buffer.from(RUN_ID).toString('hex')}`,
      epoch: 0,
    });
  }

  /** Opens a session of the runtime with peer 1, whose secret is another one when it lies. */
  async function openSession(lies: boolean): Promise<void> {
    const pairSecret = new Uint8Array(randomBytes(32));
    const keys: SessionKeys = { pairSecret, selfIncarnation: '1', peerIncarnation: '2' };
    const peerKeys: SessionKeys = {
      pairSecret: lies ? new Uint8Array(32) : pairSecret,
      selfIncarnation: '2',
      peerIncarnation: '1',
    };
    const theirs = peer.offer(0, peerKeys);
    const ours = await runtime.offer(1, keys);
    await runtime.accept(1, theirs);
    peer.accept(0, ours);
    peer.confirm(0);
    await runtime.confirm(1);
  }

  async function until(what: string, condition: () => boolean): Promise<void> {
    const endMs = Date.now() + 5_000;
    while (!condition()) {
      if (Date.now() > endMs) throw new Error(`not in 5 s: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  afterEach(async () => {
    peer.destroy();
    await runtime.stop();
  });

  it('asks for a new session when a peer has broken its ring, and hears it again then', async () => {
    const faults: number[] = [];
    const heard: number[] = [];
    await start({
      onTransportFault: (from) => faults.push(from),
      onApplication: (from) => heard.push(from),
    });
    await openSession(true);
    peer.send(0, wrapApplication(new Uint8Array([1])));
    await until('the fault is reported', () => faults.length > 0);
    expect(faults).to.deep.equal([1]);
    await runtime.close(1);
    peer.close(0);
    await openSession(false);
    peer.send(0, wrapApplication(new Uint8Array([2])));
    await until('it is heard', () => heard.length > 0);
    expect(faults).to.deep.equal([1]);
  });

  it('carries batches as large as the limits allow, whatever they are', async () => {
    const written: number[] = [];
    const bytes = 20 * 1024 * 1024;
    const limits = checkLimits({
      ...DEFAULT_LIMITS,
      batchBytesMax: bytes,
      laneAdvanceBytesMax: bytes,
      laneBytesHeldMax: bytes,
    });
    await start({ onOwnBatch: (ref) => written.push(ref.seq) }, limits);
    runtime.submit(new Uint8Array(bytes));
    await until('it is written', () => written.length === 1);
  });
});

describe('budget of a peer', () => {
  it('lets a burst through, then a rate, and catches up with time', () => {
    const cost = MESSAGE_COST_BYTES + 44;
    const budget = new PeerBudget({ burstBytes: 10 * cost, bytesPerMs: cost });
    const taken = (nowMs: number): number => {
      let count = 0;
      while (budget.take(44, nowMs)) count++;
      return count;
    };
    expect(taken(1_000)).to.equal(10);
    expect(taken(1_000)).to.equal(0);
    expect(taken(1_003)).to.equal(3);
    expect(taken(9_000)).to.equal(10);
  });
});
