import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createNetwork } from '../../orderer/network/index.ts';
import { readNetworkFile } from '../../orderer/settings/network.ts';

describe('orderer/network: several machines', () => {
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
});
