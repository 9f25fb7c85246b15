/** How replicas bring their ledgers to one block (docs/protocol.md, B2 to B6). */
import { expect } from 'chai';
import {
  type Block,
  encodeBlock,
  encodeCertificate,
  headerHash,
} from '../../ledger/format/index.ts';
import { tailHash } from '../../orderer/startup/intake.ts';
import {
  BLOCKS_PER_FRAME_MAX,
  decodeStartMessage,
  encodeStartMessage,
} from '../../orderer/startup/wire.ts';
import { sha256 } from '../support/hash.ts';
import {
  farAhead,
  type Liar,
  type Node,
  RETRY_MS,
  reportOnly,
  uncertified,
  useStartExchange,
} from './fixtures/start-exchange.ts';

describe('the start-up exchange', function () {
  this.timeout(20_000);
  const t = useStartExchange();
  const { addNode, begin, until, allStarted, honestReport, runFrom, nodes, liars, sent } = t;

  it('brings all to the newest certified block and starts', async () => {
    for (const [index, height] of [4, 2, 1, 3].entries()) await addNode(index, height);
    begin();
    await until('all four have started', allStarted);
    for (const { ledger } of nodes.values()) expect(ledger.certifiedHeight()).to.equal(4);
    const runs = [...nodes.values()].map(({ entered }) => entered);
    for (const run of runs) expect(run).to.deep.equal([{ run: runFrom(4, 1), entry: 'begin' }]);
  });

  it('does not wait for a liar that claims blocks without end and never answers', async () => {
    for (const [index, height] of [4, 2, 3].entries()) await addNode(index, height);
    liars.set(3, reportOnly(farAhead));
    begin();
    await until('the other three have started', allStarted);
    for (const { ledger } of nodes.values()) expect(ledger.certifiedHeight()).to.equal(4);
  });

  it('does not go round in circles with a liar that answers with nothing, or with garbage', async () => {
    for (const [index, height] of [4, 2, 3].entries()) await addNode(index, height);
    let fetches = 0;
    const report = reportOnly(farAhead);
    liars.set(3, (message, answer) => {
      report(message, answer);
      if (message.kind !== 'fetch') return;
      const { fromNumber } = message;
      const garbage = fetches++ % 2 === 0 ? [] : [new Uint8Array([1, 2, 3])];
      answer({ kind: 'blocks', fromNumber, blocks: garbage });
    });
    begin();
    await until('the other three have started', allStarted);
    expect(fetches).to.be.at.most(6);
  });

  it('starts although one replica reports an uncertified block that nobody else has', async () => {
    for (const index of [0, 1, 2]) await addNode(index, 3);
    const tail = [{ number: 3, hash: 'cd'.repeat(32) }];
    const storedHeight = 4;
    liars.set(3, reportOnly({ ...honestReport(3), storedHeight, tipHash: 'cd'.repeat(32), tail }));
    begin();
    await until('the other three have started', allStarted);
  });

  it('follows the honest replicas into their run, not the liar', async () => {
    await addNode(3, 1);
    const running = { ...honestReport(4), base: { ...runFrom(2, 1), mute: false } };
    const honest: Liar = (message, answer) => {
      reportOnly(running)(message, answer);
      if (message.kind !== 'fetch') return;
      // One block at a time, so that the liar gets its chance again and again.
      const { fromNumber } = message;
      answer({
        kind: 'blocks',
        fromNumber,
        blocks: t.chain.blocks.slice(fromNumber, fromNumber + 1),
      });
    };
    liars.set(0, reportOnly({ ...farAhead, base: { ...runFrom(2, 9), mute: false } }));
    liars.set(1, honest);
    liars.set(2, honest);
    begin();
    await until('it has entered the run', allStarted);
    expect(nodes.get(3)?.entered).to.deep.equal([{ run: runFrom(2, 1), entry: 'begin' }]);
    expect(nodes.get(3)?.ledger.storedHeight()).to.be.within(2, 4);
  });

  it('takes an uncertified block with the value that was vouched for, and no other', async () => {
    const block = uncertified(t.chain, [t.chain.envelope('tail').envelope]);
    const forged: Block = {
      ...block,
      metadata: [
        encodeCertificate({ value: new Uint8Array([9]), signatures: [] }),
        ...block.metadata.slice(1),
      ],
    };
    await addNode(0, 4);
    await addNode(2, 4, { tail: [block] });
    await addNode(3, 4, { tail: [block] });
    const hash = tailHash(block, sha256) ?? '';
    const tipHash = Buffer.from(headerHash(block.header, sha256)).toString('hex');
    const tail = [{ number: 4, hash }];
    let asked = 0;
    const report = { ...honestReport(4), storedHeight: 5, tipHash, tail };
    // The lowest index: it is asked first.
    liars.set(1, (message, answer) => {
      reportOnly(report)(message, answer);
      if (message.kind !== 'fetch') return;
      asked++;
      answer({ kind: 'blocks', fromNumber: message.fromNumber, blocks: [encodeBlock(forged)] });
    });
    begin();
    await until('the three have started', allStarted);
    expect(asked).to.equal(1);
    for (const { ledger } of nodes.values()) {
      const stored = await ledger.storedBlock(4);
      expect(stored?.metadata[0]).to.deep.equal(block.metadata[0]);
    }
  });

  it('gives up an own block when the others have certified another one', async () => {
    const own = uncertified(t.chain, [t.chain.envelope('mine alone').envelope]);
    await addNode(3, 4, { tail: [own] });
    t.chain.append([t.chain.envelope('theirs').envelope]);
    const running = { ...honestReport(5), base: { ...runFrom(4, 1), mute: false } };
    for (const peer of [0, 1, 2]) {
      liars.set(peer, (message, answer) => {
        reportOnly(running)(message, answer);
        if (message.kind !== 'fetch') return;
        const { fromNumber } = message;
        answer({ kind: 'blocks', fromNumber, blocks: t.chain.blocks.slice(fromNumber) });
      });
    }
    begin();
    await until('it has their block', () => nodes.get(3)?.ledger.certifiedHeight() === 5);
    const tip = Buffer.from(nodes.get(3)?.ledger.tip().hash ?? []).toString('hex');
    expect(tip).to.equal(running.tipHash);
  });

  it('keeps one message of a kind for each peer, however many come', async () => {
    await addNode(0, 4);
    begin();
    const { sync } = nodes.get(0) as Node;
    const body = encodeStartMessage({ kind: 'fetch', fromNumber: 1 });
    for (let i = 0; i < 10_000; i++) sync.onFrame(1, body);
    const answers = (): number => sent.filter(({ message }) => message.kind === 'blocks').length;
    await until('it has answered', () => answers() > 0);
    await new Promise((resolve) => setTimeout(resolve, 10 * RETRY_MS));
    expect(answers()).to.equal(1);
  });

  it('refuses frames that would become millions of objects', () => {
    const blocks = Array.from({ length: BLOCKS_PER_FRAME_MAX + 1 }, () => new Uint8Array());
    const frame = encodeStartMessage({ kind: 'blocks', fromNumber: 1, blocks });
    expect(decodeStartMessage(frame).kind).to.equal('malformed');
    const json = new TextEncoder().encode(`{"kind":"report","x":[${'1,'.repeat(200_000)}1]}`);
    expect(decodeStartMessage(json).kind).to.equal('malformed');
  });
});
