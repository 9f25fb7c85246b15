/** How long nobody gets a receipt after the leader's process is killed. */
import { ChaosNetwork } from '../../test/chaos/chaos-network.ts';
import { latencyPlot, type Series } from '../result.ts';
import { amount, type Scenario } from '../scenario.ts';
import { distributionOf } from '../statistics.ts';

const KILLS = 20;
const BETWEEN = 20;
const TITLE = 'The leader is killed';

export const leaderKilled: Scenario = {
  name: 'leader-killed',
  title: TITLE,
  async run(options) {
    const chaos = await ChaosNetwork.start();
    const timesMs: number[] = [];
    try {
      chaos.startLoad();
      for (let kill = 1; kill <= amount(options, KILLS); kill++) {
        await chaos.committed(BETWEEN);
        const ms = await chaos.replaceLeader();
        timesMs.push(ms);
        options.say(`kill ${kill}: ${ms.toFixed(0)} ms`);
      }
      await chaos.stopLoad();
      await chaos.verify('after all kills');
    } finally {
      await chaos.destroy();
    }
    const series: Series[] = [
      {
        name: 'kill -9 of the leader',
        parameters: {
          replicas: 4,
          durability: 'wal',
          'view time-out': '300 ms',
          load: 'some 80 tx/s',
        },
        distribution: distributionOf(timesMs),
      },
    ];
    return {
      name: 'leader-killed',
      title: TITLE,
      text: 'kill -9 of the leader under load, then one transaction to the others until it has its receipt: the time from the kill to that. The killed replica is started again before the next kill. At the end the four chains are audited and hold every acknowledged transaction once.',
      unit: 'ms',
      series,
      ratios: [],
      plots: [latencyPlot('Kill to the next receipt', 'ms', series)],
    };
  },
};
