/** A network for the tests of one `describe`. */
import { TestNetwork, type TestNetworkOptions } from './network.ts';

/**
 * Started before the first test of the enclosing `describe`, stopped and removed after the last. What is answered is that
 * network, inside of hooks and tests: before, there is none. When a test fails, its replicas' logs are printed.
 */
export function useNetwork(options: TestNetworkOptions = {}): TestNetwork {
  let network: TestNetwork | undefined;

  before(async () => {
    network = await TestNetwork.create(options);
    await network.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(network?.logs());
  });
  after(async () => {
    await network?.destroy();
  });

  return new Proxy({} as TestNetwork, {
    get(_none, name) {
      if (network === undefined) throw new Error('useNetwork() works inside a test only');
      const value: unknown = Reflect.get(network, name, network);
      return typeof value === 'function' ? value.bind(network) : value;
    },
  });
}
