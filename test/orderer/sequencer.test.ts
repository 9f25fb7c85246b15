/** The ordered stream on a real ledger: committed, delivered again after a restart, gone on from a checkpoint. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { toHex, txIdOf } from '../../ledger/format/index.ts';
import { Ledger } from '../../ledger/store/index.ts';
import {
  DeliverySequencer,
  type OrderedSlot,
  type StreamPoint,
} from '../../orderer/chain/sequencer.ts';
import { BlockCutter } from '../../orderer/cutter/index.ts';
import { Deduplicator } from '../../orderer/dedupe/index.ts';
import { type CheckedTransaction, inspectEnvelope } from '../../orderer/envelope/index.ts';
import { OrdererError } from '../../orderer/errors.ts';
import { createTestChain, type TestChain } from '../support/chain.ts';
import { sha256 } from '../support/hash.ts';

interface Stream {
  readonly sequencer: DeliverySequencer;
  readonly stored: number[];
  readonly applied: number[];
  readonly checkpoints: StreamPoint[];
  readonly dropped: string[];
  fatal: Error | undefined;
}

describe('the ordered stream', () => {
  let folder: string;
  let chain: TestChain;
  let ledger: Ledger;
  let genesis: StreamPoint;
  let count = 0;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-sequencer-'));
    chain = await createTestChain({ blocks: 0 });
    ledger = await openLedger('a');
    genesis = { slot: 0, height: 1, tipHash: ledger.genesis.hash };
  });

  afterEach(async () => {
    await ledger.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function openLedger(name: string): Promise<Ledger> {
    const genesisBlock = chain.blocks[0] ?? new Uint8Array();
    return Ledger.open(
      { directory: join(folder, name), channel: chain.channel, genesisBlock },
      { sha256 },
    );
  }

  function transaction(): CheckedTransaction {
    const { envelope } = chain.envelope(`tx ${count++}`);
    const inspected = inspectEnvelope(envelope, {
      channel: chain.channel,
      absoluteMaxBytes: 1_000_000,
      judgeWriter: () => ({
        kind: 'writer',
        mspId: 'Org1MSP',
        key: { algorithm: 'ed25519', bytes: new Uint8Array(32) },
        mayWrite: true,
        validity: { notBeforeMs: 0, notAfterMs: 1e15 },
      }),
    });
    if (inspected.kind === 'refused') throw new Error(inspected.message);
    return inspected.unverified;
  }

  /** Slots 1.. with these numbers of transactions; every fourth is a checkpoint. */
  function slots(...sizes: number[]): OrderedSlot[] {
    return sizes.map((size, index) => {
      const slot = index + 1;
      const checkpoint = slot % 4 === 0;
      const transactions = Array.from({ length: size }, transaction);
      return { slot, timeMs: 1_000 + slot, cut: checkpoint, checkpoint, transactions };
    });
  }

  function createStream(target = ledger): Stream {
    const stream: Stream = {
      stored: [],
      applied: [],
      checkpoints: [],
      dropped: [],
      fatal: undefined,
      sequencer: new DeliverySequencer({
        cutter: new BlockCutter({ maxMessageCount: 3, preferredMaxBytes: 1_000_000 }),
        deduplicator: new Deduplicator(
          {},
          {
            hasTransactions: (txIds) => target.hasTransactions(txIds),
            blocksOf: (txIds) => target.blocksOfTransactions(txIds),
          },
        ),
        ledger: target,
        sha256,
        store: (blocks) =>
          target.appendBlocks(blocks.map(({ block, txIds }) => ({ block, txIds: [...txIds] }))),
        onStored: (blocks) => {
          stream.stored.push(...blocks.map(({ block }) => block.header.number));
        },
        onApplied: (slot) => stream.applied.push(slot),
        onCheckpoint: (point) => stream.checkpoints.push(point),
        onDropped: ({ txId }) => stream.dropped.push(txId),
        onFatal: (error) => {
          stream.fatal = error;
        },
      }),
    };
    return stream;
  }

  async function play(stream: Stream, from: StreamPoint, played: OrderedSlot[]): Promise<void> {
    const resumed = stream.sequencer.resume(from);
    for (const slot of played) stream.sequencer.push(slot);
    await resumed;
    await stream.sequencer.drained();
    if (stream.fatal !== undefined) throw stream.fatal;
  }

  async function refused(promise: Promise<unknown>): Promise<OrdererError> {
    const error = await promise.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error instanceof OrdererError) return error;
    throw new Error(`was not refused: ${String(error)}`);
  }

  it('tells of each checkpoint once, when everything before it is on disk and nothing is pending', async () => {
    const stream = createStream();
    await play(stream, genesis, slots(2, 2, 0, 1, 5, 0, 0, 0));
    expect(stream.applied).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(stream.checkpoints.map(({ slot, height }) => [slot, height])).to.deep.equal([
      [4, 3],
      [8, 5],
    ]);
    const tip = ledger.tip();
    expect(stream.stored).to.deep.equal([1, 2, 3, 4]);
    expect(toHex(stream.checkpoints[1]?.tipHash ?? new Uint8Array())).to.equal(toHex(tip.hash));
  });

  it('cuts the same blocks again from any checkpoint on, and stores what is new', async () => {
    const played = slots(2, 2, 1, 1, 5, 1, 0, 1, 4, 2, 2, 0);
    const first = createStream();
    await play(first, genesis, played.slice(0, 10));
    const height = ledger.storedHeight();
    const points = [genesis, ...first.checkpoints];
    expect(points).to.have.length(3);
    for (const [index, point] of points.entries()) {
      const again = createStream();
      await play(again, point, played.slice(point.slot, 10));
      expect(again.stored, `from checkpoint ${index}`).to.deep.equal([]);
      expect(again.dropped).to.deep.equal([]);
      expect(ledger.storedHeight()).to.equal(height);
      expect(again.applied[0]).to.equal(point.slot + 1);
    }
    // The whole stream on another ledger, and the rest of it here: the same chain.
    const whole = await openLedger('b');
    await play(createStream(whole), genesis, played);
    const rest = createStream();
    await play(rest, points[1] as StreamPoint, played.slice(4));
    expect(rest.stored[0]).to.equal(height);
    expect(toHex(ledger.tip().hash)).to.equal(toHex(whole.tip().hash));
    await whole.close();
  });

  it('knows duplicates while it cuts again, and only those of the stream so far', async () => {
    const played = slots(1, 0, 0, 1);
    const [a, , , d] = played as [OrderedSlot, OrderedSlot, OrderedSlot, OrderedSlot];
    // The transaction of slot 1 comes again in slot 4, and that of slot 4 in slot 6.
    played[3] = { ...d, transactions: [...a.transactions, ...d.transactions] };
    const more = (slot: number): OrderedSlot => ({ ...a, slot, transactions: d.transactions });
    const all = [...played, ...[5, 6].map(more), { ...d, slot: 7, transactions: [transaction()] }];
    const first = createStream();
    await play(first, genesis, all);
    const again = createStream();
    await play(again, genesis, all);
    expect(again.dropped).to.deep.equal(first.dropped);
    expect(first.dropped).to.have.length(3);
    expect(again.stored).to.deep.equal([]);
  });

  it('goes on from a checkpoint of the others with nothing pending and nothing in flight', async () => {
    const played = slots(2, 2, 0, 1, 5, 0, 0, 0, 1, 1, 1, 1);
    await play(createStream(), genesis, played);
    // It had delivered slot 1 and 2 when it fell behind, and the blocks below slot 8 were fetched.
    const late = await openLedger('late');
    const stream = createStream(late);
    await play(stream, genesis, played.slice(0, 2));
    for (let number = late.storedHeight(); number < 5; number++) {
      const block = await ledger.storedBlock(number);
      if (block === undefined) throw new Error(`no block ${number}`);
      await late.appendBlocks([{ block, txIds: block.data.map(txIdOf) }]);
    }
    const tipHash = (await ledger.header(4))?.hash ?? new Uint8Array();
    await play(stream, { slot: 8, height: 5, tipHash }, played.slice(8));
    expect(toHex(late.tip().hash)).to.equal(toHex(ledger.tip().hash));
    expect(stream.applied).to.deep.equal([1, 2, 9, 10, 11, 12]);
    await late.close();
  });

  it('refuses a ledger that ends below the checkpoint, or has another block there', async () => {
    const point = { slot: 8, height: 3, tipHash: ledger.genesis.hash };
    const behind = await refused(createStream().sequencer.resume(point));
    expect(behind.code).to.equal('ledger_behind');
    expect(behind.message).to.match(/the ledger has 1 blocks, .* has 3: .* Move the whole folder/);
    await play(createStream(), genesis, slots(3, 3));
    const other = await refused(createStream().sequencer.resume(point));
    expect(other.code).to.equal('safety_violation');
    expect(other.message).to.match(/^SAFETY VIOLATION: block 2 has hash/);
  });

  it('stops loudly, naming the block, when the stream does not give what is stored', async () => {
    const played = slots(3, 3, 3);
    await play(createStream(), genesis, played);
    const swapped = played.map((slot) => ({ ...slot, transactions: [...slot.transactions] }));
    swapped[1]?.transactions.reverse();
    const error = await refused(play(createStream(), genesis, swapped));
    expect(error.code).to.equal('safety_violation');
    expect(error.message).to.contain('block 2 has hash');
    const later = played.map((slot) => ({ ...slot, timeMs: slot.timeMs + 1 }));
    const time = await refused(play(createStream(), genesis, later));
    expect(time.message).to.contain('block 1 names another slot or time');
    expect(ledger.storedHeight()).to.equal(4);
  });

  it('takes no slot twice, none before the first, and leaves none out', async () => {
    const [one, two, three] = slots(1, 1, 1) as [OrderedSlot, OrderedSlot, OrderedSlot];
    for (const wrong of [[two], [one, one], [one, three]]) {
      const error = await refused(play(createStream(), genesis, wrong));
      expect(error.code).to.equal('misuse');
    }
    const early = createStream();
    early.sequencer.push(one);
    await early.sequencer.drained();
    expect(early.fatal?.message).to.equal('slot 1 was delivered after 0');
  });
});
