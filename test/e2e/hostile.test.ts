/** One replica that lies about its ledger while the others start, and a stop with work under way. */
import { expect } from 'chai';
import type { LedgerReport } from '../../orderer/startup/decide.ts';
import { runScenario } from '../load/scenario.ts';
import { playStart } from '../support/link-player.ts';
import { TestNetwork } from '../support/network.ts';
import { infoOf, submitText } from '../support/replica-api.ts';

/** pino's number for `error`. */
const ERROR_LEVEL = 50;

const FAR_AHEAD: LedgerReport = {
  storedHeight: 1e15,
  certifiedHeight: 1e15 - 1,
  tipHash: 'ab'.repeat(32),
  tail: [{ number: 1, hash: 'cd'.repeat(32) }],
  base: undefined,
  ready: 1e15,
};

const A_RUN = { height: 7, tipHash: 'ef'.repeat(32), generation: 1e15, mute: false };

function errorLines(network: TestNetwork, number: number): string[] {
  return network
    .log(number)
    .split('\n')
    .filter((line) => {
      if (!line.startsWith('{')) return line.includes('Error');
      return (JSON.parse(line) as { level: number }).level >= ERROR_LEVEL;
    });
}

describe('a hostile replica', function () {
  this.timeout(60_000);
  let network: TestNetwork;

  beforeEach(async () => {
    network = await TestNetwork.create();
  });

  afterEach(async () => {
    await network.destroy();
  });

  it('cannot hold up the start of the other three, whatever it claims to have', async () => {
    let base: LedgerReport['base'];
    const liar = await playStart(network, 4, (message, send) => {
      if (message?.kind === 'report' && !message.wantsReply) return;
      // It flips between stories, answers one fetch with nothing, the next with garbage, then never.
      base = base === undefined ? A_RUN : undefined;
      if (message?.kind !== 'fetch') {
        send({ kind: 'report', report: { ...FAR_AHEAD, base }, wantsReply: false });
        return;
      }
      const { fromNumber } = message;
      if (base !== undefined) send({ kind: 'blocks', fromNumber, blocks: [] });
      else send({ kind: 'blocks', fromNumber, blocks: [new Uint8Array([1, 2, 3])] });
    });
    try {
      network.spawn(1, 2, 3);
      await network.ready(network.urls.slice(0, 3));
      await submitText(network.url(2), 'in spite of it');
    } finally {
      await liar.close();
    }
  });

  it('leaves nothing to complain about when all stop with work under way', async () => {
    await network.start();
    const load = { transactions: 600, payloadBytes: 256, clients: 4, inFlight: 16 };
    const loading = runScenario(network, load).catch((error: unknown) => error);
    const endMs = Date.now() + 10_000;
    for (let height = 0; height < 5 && Date.now() < endMs; ) {
      ({ height } = await infoOf(network.url(1)));
    }
    await network.stop();
    for (const { number } of network.created.replicas) {
      expect(errorLines(network, number), `replica ${number}`).to.deep.equal([]);
      expect(network.process(number).exitCode, `replica ${number}`).to.equal(0);
    }
    await network.start();
    const result = await loading;
    expect(result).to.have.property('txIds').with.length(load.transactions);
  });
});
