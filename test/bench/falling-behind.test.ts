/** Measured replicas that the machine lets starve, and such that die. */
import { expect } from 'chai';
import { Instruments, type JobResult } from '../../bench/consensus/instruments.ts';
import { ReplicaProcesses } from '../../bench/consensus/processes.ts';
import type { Order, Report } from '../../bench/consensus/replica.ts';
import { passedOver, retaken, type Take, takeFigures } from '../../bench/retake.ts';
import type { WorkerEvent } from '../../consensus/runtime/protocol.ts';

const REPLICA = new URL('../../bench/consensus/replica.js', import.meta.url);
const BROKEN_REPLICA = new URL('./broken-replica.js', import.meta.url);
const WINDOW_SLOTS = 32;
/** Of each replica, one after the other: so many slots at least, and several windows. */
const BATCHES = 3 * WINDOW_SLOTS;
const JOB = { batches: BATCHES, batchBytes: 64, inFlight: 1 };

async function start(program: URL) {
  return await ReplicaProcesses.start<Order, Report>(program, {
    durability: 'memory',
    provider: 'shm',
    sluice: { windowSlots: WINDOW_SLOTS },
  });
}

describe('measured replicas', function () {
  this.timeout(60_000);
  let processes: Awaited<ReturnType<typeof start>> | undefined;

  afterEach(async () => {
    await processes?.stop();
  });

  it('go on when one has been stopped while the others left it windows behind, and count what it passed over', async () => {
    const started = await start(REPLICA);
    processes = started;
    const order = { kind: 'job', job: JOB } as const;
    const { done, usage } = await started.usageOf(async () => {
      const behind = started.ask(3, order, 'result');
      // It answers in turn: now it has something under way.
      await started.ask(3, { kind: 'usage' }, 'usage');
      started.signal(3, 'SIGSTOP');
      const others = [1, 2, 4].map((number) => started.ask(number, order, 'result'));
      const before = await Promise.all(others);
      started.signal(3, 'SIGCONT');
      return [...before, await behind, ...(await started.askAll(order, 'result'))];
    });
    expect(done.map(({ result }) => result.latenciesUs.length)).to.eql(new Array(8).fill(BATCHES));
    for (const { result } of done) expect(Math.min(...result.latenciesUs)).to.be.above(0);
    expect(usage.slotsPassedOver).to.be.above(WINDOW_SLOTS);
  });

  it('end a measurement when one of them is killed, whoever is asked, at that time or later', async () => {
    const started = await start(REPLICA);
    processes = started;
    const forever = { ...JOB, batches: 1_000_000 };
    const running = started.ask(1, { kind: 'job', job: forever }, 'result');
    started.signal(2, 'SIGKILL');
    const reason = 'measured replica 2: it ended by SIGKILL';
    for (const asked of [running, started.askAll({ kind: 'job', job: JOB }, 'result')]) {
      expect(await asked.then(String, ({ message }) => message)).to.equal(reason);
    }
    expect(await started.usageOf(async () => {}).then(String, ({ message }) => message)).to.equal(
      reason,
    );
  });

  it('say what they have failed with', async () => {
    const started = await start(BROKEN_REPLICA);
    processes = started;
    const asked = started.askAll({ kind: 'job', job: JOB }, 'result');
    expect(await asked.then(String, ({ message }) => message)).to.match(
      /^measured replica [1-4]: it met a full disk$/,
    );
  });
});

describe('instruments around consensus', () => {
  const ref = (seq: number) => ({ seq, digest: new Uint8Array(32) });
  const deliveryOf = (slot: number, lane: number): WorkerEvent => ({
    kind: 'deliver',
    slot,
    timeMs: 0,
    cut: true,
    batches: [{ lane, ref: ref(1) }],
    path: 'fast',
    checkpoint: false,
  });
  const transferTo = (slot: number): WorkerEvent => ({
    kind: 'transfer',
    state: { slot, timeMs: 0, height: slot, tipHash: new Uint8Array(32), frontier: [] },
  });

  it('take what a transfer has passed for ordered, own batches, and go on from there', () => {
    const passed: number[] = [];
    const instruments = new Instruments(1, {
      outer: { receive: () => undefined, post: () => expect.fail('nobody else is concerned') },
      wake: () => {},
      onPassedOver: (slots) => passed.push(slots),
    });
    const answers = (): string[] => {
      const kinds: string[] = [];
      for (let next = instruments.receive(); next !== undefined; next = instruments.receive()) {
        kinds.push('slot' in next ? `${next.kind} ${next.slot}` : next.kind);
      }
      return kinds;
    };
    let result: JobResult | undefined;
    instruments.start({ batches: 4, batchBytes: 8, inFlight: 2 }, (done) => {
      result = done;
    });
    expect(answers()).to.eql(['submit', 'submit']);
    instruments.post([deliveryOf(5, 1), transferTo(40)], []);
    expect(answers()).to.eql(['applied 5', 'submit', 'transferred 40']);
    const dropped = (lane: number, seq: number) =>
      ({ kind: 'drop-batch', lane, ref: ref(seq) }) as const;
    instruments.post([dropped(0, 1), dropped(1, 2), dropped(1, 3)], []);
    expect(answers()).to.eql(['submit']);
    expect(result).to.equal(undefined);
    instruments.post([deliveryOf(41, 1)], []);
    expect(result).to.include({ slots: 2 });
    expect(result?.latenciesUs).to.have.length(4);
    expect(passed).to.eql([35]);
  });
});

describe('a figure during which a replica fell behind', () => {
  const said: string[] = [];
  beforeEach(() => {
    said.length = 0;
  });

  /** Each take is named by what was passed over in it. */
  async function take(...slots: number[]): Promise<Take<{ slotsPassedOver: number }>> {
    const left = slots.map((slotsPassedOver) => ({ slotsPassedOver }));
    const taken = await takeFigures(
      async () => left.shift() ?? expect.fail('it was taken too often'),
      (line) => said.push(line),
    );
    expect(left).to.eql([]);
    return taken;
  }

  it('is taken once more, and the better one stands', async () => {
    expect(await take(7, 0)).to.eql({ figures: { slotsPassedOver: 0 }, again: true });
    expect(await take(7, 9)).to.eql({ figures: { slotsPassedOver: 7 }, again: true });
    expect(said).to.have.length(2);
    expect(said[0]).to.contain('passed over 7 slots');
  });

  it('says so in its series, and others do not', async () => {
    const takes = [await take(0), await take(5, 3), await take(5, 0)];
    expect(retaken(takes)).to.eql({ 'taken again': '2 of 3, a replica fell behind' });
    expect(passedOver(takes)).to.eql({ 'slots passed over': 3 });
    expect(said).to.have.length(2);
    expect(retaken([await take(0)])).to.eql({});
  });
});
