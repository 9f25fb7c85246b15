/** All four killed at the same moment under load, as when the power fails, and started again. */
import {
  type ChaosNetwork,
  describeStarts,
  onNewNetworks,
  type StartCost,
} from './chaos-network.ts';
import { fill } from './fill.ts';

const CUTS = Number(process.env.SLUICE_CHAOS_ROUNDS ?? 20);
const LARGE_TRANSACTIONS = Number(process.env.SLUICE_CHAOS_TRANSACTIONS ?? 100_000);
const LARGE_CUTS = 3;

describe('a power cut', function () {
  this.timeout(1_800_000);
  let chaos: ChaosNetwork;

  onNewNetworks((started) => {
    chaos = started;
  });

  it(`${CUTS} times: nothing that a client has a receipt for is lost`, async () => {
    chaos.startLoad();
    const starts: StartCost[] = [];
    for (let round = 0; round < CUTS; round++) {
      await chaos.committed(20 + 7 * round);
      starts.push(await chaos.cutPower());
    }
    await chaos.committed(50);
    await chaos.stopLoad();
    console.log(`power cut: start to next receipt ${describeStarts(starts)}`);
    await chaos.takePart();
    await chaos.verify('power cut');
  });

  it(`with ${LARGE_TRANSACTIONS} transactions in the ledger`, async () => {
    await fill(chaos, LARGE_TRANSACTIONS);
    const starts: StartCost[] = [];
    for (let round = 0; round < LARGE_CUTS; round++) {
      chaos.startLoad();
      await chaos.committed(50);
      starts.push(await chaos.cutPower());
      await chaos.stopLoad();
    }
    console.log(
      `power cut, ${LARGE_TRANSACTIONS} transactions: start to next receipt ${describeStarts(starts)}`,
    );
    await chaos.takePart();
    await chaos.verify('power cut, large ledger');
  });
});
