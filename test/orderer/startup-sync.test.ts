/** The start-up exchange among real ledgers, with replicas that lie (docs/protocol.md, "Start"). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  type Block,
  encodeBlock,
  encodeCertificate,
  headerHash,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import { Ledger } from '../../ledger/store/index.ts';
import { BlockBuilder } from '../../orderer/chain/block-builder.ts';
import { consenterKeys } from '../../orderer/channel-config/index.ts';
import type { LedgerReport } from '../../orderer/startup/decide.ts';
import { tailHash } from '../../orderer/startup/intake.ts';
import { StartupSync } from '../../orderer/startup/sync.ts';
import {
  BLOCKS_PER_FRAME_MAX,
  decodeStartMessage,
  encodeStartMessage,
  type StartMessage,
} from '../../orderer/startup/wire.ts';
import { createTestChain, type TestChain } from '../support/chain.ts';
import { sha256 } from '../support/hash.ts';

const RETRY_MS = 10;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

interface Node {
  readonly sync: StartupSync;
  readonly ledger: Ledger;
  started: boolean;
  fatal: Error | undefined;
}

type Liar = (message: StartMessage, answer: (message: StartMessage) => void) => void;

const txIdsOf = (block: Block): (string | undefined)[] =>
  block.data.map((envelope) => {
    const parsed = parseEnvelope(envelope);
    return parsed.kind === 'ok' ? parsed.value.channelHeader.txId : undefined;
  });

/** The block as it is stored before its certificate. */
function uncertified(chain: TestChain, envelopes: Uint8Array[], slot = 7): Block {
  const { header } = chain.decoded(chain.blocks.length - 1);
  const hash = headerHash(chain.decoded(chain.blocks.length - 1).header, sha256);
  return new BlockBuilder({ header, hash }, sha256).build(envelopes, { slot, timeMs: 1 }).block;
}

describe('the start-up exchange', function () {
  this.timeout(20_000);
  let folder: string;
  let chain: TestChain;
  const nodes = new Map<number, Node>();
  const liars = new Map<number, Liar>();
  const sent: { from: number; to: number; message: StartMessage }[] = [];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-startup-'));
    chain = await createTestChain({ blocks: 3 });
  });

  afterEach(async () => {
    for (const { sync, ledger } of nodes.values()) {
      await sync.close();
      await ledger.close();
    }
    nodes.clear();
    liars.clear();
    sent.length = 0;
    rmSync(folder, { recursive: true, force: true });
  });

  function post(from: number, to: number, body: Uint8Array): void {
    const decoded = decodeStartMessage(body);
    if (decoded.kind === 'ok') sent.push({ from, to, message: decoded.value });
    setImmediate(() => {
      nodes.get(to)?.sync.onFrame(from, body);
      const liar = liars.get(to);
      if (liar === undefined || decoded.kind === 'malformed') return;
      liar(decoded.value, (answer) => post(to, from, encodeStartMessage(answer)));
    });
  }

  /** A replica with `height` certified blocks and these uncertified ones on top. */
  async function addNode(index: number, height: number, tail: Block[] = []): Promise<Node> {
    const ledger = await Ledger.open(
      {
        directory: join(folder, String(index)),
        channel: 'main',
        genesisBlock: chain.blocks[0] ?? new Uint8Array(),
      },
      { sha256 },
    );
    for (let number = 1; number < height; number++) {
      const block = chain.decoded(number);
      await ledger.appendCertified([{ block, txIds: txIdsOf(block) }]);
    }
    for (const block of tail) await ledger.appendBlocks([{ block, txIds: txIdsOf(block) }]);
    return openNode(index, ledger);
  }

  function openNode(index: number, ledger: Ledger): Node {
    const sync = new StartupSync(
      {
        self: index,
        consenters: consenterKeys(chain.config),
        graceMs: 100,
        retryMs: RETRY_MS,
        runRecordFile: join(folder, `${index}.last-run`),
      },
      {
        ledger,
        sha256,
        send: (peer, body) => post(index, peer, body),
        onGrown: async () => {},
        onStart: () => {
          node.started = true;
        },
        onFatal: (error) => {
          node.fatal = error;
        },
        log: silent,
      },
    );
    const node: Node = { sync, ledger, started: false, fatal: undefined };
    nodes.set(index, node);
    return node;
  }

  function begin(): void {
    const present = [...nodes.keys(), ...liars.keys()];
    for (const [index, { sync }] of nodes) {
      sync.begin();
      for (const peer of present) if (peer !== index) sync.onLink(peer, true);
    }
  }

  async function until(what: string, condition: () => boolean): Promise<void> {
    const endMs = Date.now() + 5_000;
    while (!condition()) {
      for (const { fatal } of nodes.values()) if (fatal !== undefined) throw fatal;
      const why = [...nodes.values()].map(({ sync }) => sync.reason).join('; ');
      if (Date.now() > endMs) throw new Error(`not in 5 s: ${what} (${why})`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  const allStarted = (): boolean => [...nodes.values()].every(({ started }) => started);

  function honestReport(height: number): LedgerReport {
    const tipHash = Buffer.from(headerHash(chain.decoded(height - 1).header, sha256)).toString(
      'hex',
    );
    return { storedHeight: height, certifiedHeight: height, tipHash, tail: [], base: undefined };
  }

  const farAhead: LedgerReport = {
    storedHeight: 1e15,
    certifiedHeight: 1e15,
    tipHash: 'ab'.repeat(32),
    tail: [],
    base: undefined,
  };

  const reportOnly =
    (report: LedgerReport): Liar =>
    (message, answer) => {
      if (message.kind !== 'report' || !message.wantsReply) return;
      answer({ kind: 'report', report, wantsReply: false });
    };

  it('brings all to the newest certified block and starts', async () => {
    for (const [index, height] of [4, 2, 1, 3].entries()) await addNode(index, height);
    begin();
    await until('all four have started', allStarted);
    for (const { ledger } of nodes.values()) expect(ledger.certifiedHeight()).to.equal(4);
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

  it('follows the honest replicas of a running network, not the liar', async () => {
    await addNode(3, 1);
    const height = honestReport(1).tipHash;
    const running = { ...honestReport(4), base: { height: 2, tipHash: height } };
    const honest: Liar = (message, answer) => {
      reportOnly(running)(message, answer);
      if (message.kind !== 'fetch') return;
      // One block at a time, so that the liar gets its chance again and again.
      const { fromNumber } = message;
      answer({
        kind: 'blocks',
        fromNumber,
        blocks: chain.blocks.slice(fromNumber, fromNumber + 1),
      });
    };
    liars.set(0, reportOnly({ ...farAhead, base: running.base }));
    liars.set(1, honest);
    liars.set(2, honest);
    begin();
    await until('it has followed', () => nodes.get(3)?.ledger.certifiedHeight() === 4);
    expect(nodes.get(3)?.started).to.equal(false);
  });

  it('takes an uncertified block with the value that was vouched for, and no other', async () => {
    const block = uncertified(chain, [chain.envelope('tail').envelope]);
    const forged: Block = {
      ...block,
      metadata: [
        encodeCertificate({ value: new Uint8Array([9]), signatures: [] }),
        ...block.metadata.slice(1),
      ],
    };
    await addNode(0, 4);
    await addNode(2, 4, [block]);
    await addNode(3, 4, [block]);
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
    const own = uncertified(chain, [chain.envelope('mine alone').envelope]);
    await addNode(3, 4, [own]);
    chain.append([chain.envelope('theirs').envelope]);
    const running = { ...honestReport(5), base: { height: 4, tipHash: honestReport(4).tipHash } };
    for (const peer of [0, 1, 2]) {
      liars.set(peer, (message, answer) => {
        reportOnly(running)(message, answer);
        if (message.kind !== 'fetch') return;
        const { fromNumber } = message;
        answer({ kind: 'blocks', fromNumber, blocks: chain.blocks.slice(fromNumber) });
      });
    }
    begin();
    await until('it has their block', () => nodes.get(3)?.ledger.certifiedHeight() === 5);
    const tip = Buffer.from(nodes.get(3)?.ledger.tip().hash ?? []).toString('hex');
    expect(tip).to.equal(running.tipHash);
  });

  it('joins a run from its own block once, and never again after a restart', async () => {
    const running = { ...honestReport(4), base: { height: 4, tipHash: honestReport(4).tipHash } };
    for (const peer of [0, 1, 2]) liars.set(peer, reportOnly(running));
    const { sync, ledger } = await addNode(3, 4);
    begin();
    await until('it has joined', allStarted);
    await sync.close();
    const again = openNode(3, ledger);
    begin();
    await until('it follows', () => again.sync.reason.includes('follows their chain'));
    expect(again.started).to.equal(false);
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
