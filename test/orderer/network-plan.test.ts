import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createNetwork, loadReplica, NetworkError } from '../../orderer/network/index.ts';
import { readNetworkFile } from '../../orderer/settings/network.ts';

describe('orderer/network: several machines, several channels', () => {
  let root: string;

  before(() => {
    root = mkdtempSync(join(tmpdir(), 'sluice-plan-'));
  });
  after(() => {
    rmSync(root, { recursive: true, force: true });
  });

  it('puts replicas on the machines that are named, with ports that count up on each', async () => {
    const hosts = ['10.0.0.1', '10.0.0.2', '10.0.0.1', '10.0.0.3'];
    const directory = join(root, 'spread');
    const { networkFile } = await createNetwork({ directory, hosts, provider: 'tcp' });
    const network = readNetworkFile(networkFile);
    expect(network.transport).to.eql({ provider: 'tcp' });
    expect(network.replicas.map(({ host, port, api }) => [host, port, api])).to.eql([
      ['10.0.0.1', 7151, 'http://10.0.0.1:7051'],
      ['10.0.0.2', 7151, 'http://10.0.0.2:7051'],
      ['10.0.0.1', 7152, 'http://10.0.0.1:7052'],
      ['10.0.0.3', 7151, 'http://10.0.0.3:7051'],
    ]);
  });

  it('makes several channels of the same replicas, each with a genesis block and an empty record', async () => {
    const directory = join(root, 'channels');
    const { replicas } = await createNetwork({
      directory,
      channel: 'trade',
      moreChannels: ['notes'],
    });
    for (const { number, configFile } of replicas) {
      const names = loadReplica(configFile).channels.map(({ name }) => name);
      expect(names).to.deep.equal(['trade', 'notes']);
      for (const name of names) {
        expect(existsSync(join(directory, `replica-${number}`, 'ledger', name))).to.equal(true);
      }
    }
  });

  it('refuses channels of one name, and names that are none', async () => {
    for (const moreChannels of [['trade'], ['Not a name']]) {
      const options = { directory: join(root, 'refused'), channel: 'trade', moreChannels };
      const error = await createNetwork(options).catch((caught: unknown) => caught);
      expect(error).to.be.instanceOf(NetworkError).with.property('code', 'bad_option');
    }
  });
});
