import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { readTrustRoot } from '../../api/client/index.ts';
import { dataHash, encodeBlock, encodeEnvelope, encodePayload } from '../../ledger/format/index.ts';
import { consenterKeys, readChannelConfig } from '../../orderer/channel-config/index.ts';
import { createTestChain, mustDecode, type TestChain } from '../support/chain.ts';
import { sha256 } from '../support/hash.ts';

const VECTORS =
  process.env.SLUICE_VECTORS ?? join(process.cwd(), '..', 'shared', 'vectors', 'fabric-bft');

function reasonOf(bytes: Uint8Array): string {
  const root = readTrustRoot(bytes);
  return root.kind === 'malformed' ? root.reason : '';
}

describe('trust root read from a genesis block', () => {
  let chain: TestChain;
  let genesis: Uint8Array;
  before(async () => {
    chain = await createTestChain({ consenters: 7 });
    genesis = chain.blocks[0] as Uint8Array;
  });

  it('is what the replicas read in it', () => {
    const root = readTrustRoot(genesis);
    if (root.kind === 'malformed') throw new Error(root.reason);
    const config = readChannelConfig(genesis);
    expect(root.value.channel).to.equal(config.channel);
    const plain = (keys: readonly { number: number; algorithm: string; publicKey: Uint8Array }[]) =>
      keys.map(({ number, algorithm, publicKey }) => [
        number,
        algorithm,
        Buffer.from(publicKey).toString('hex'),
      ]);
    expect(plain(root.value.consenters)).to.deep.equal(plain(consenterKeys(config)));
    const authorities = root.value.organizations.map(({ mspId, rootCertificates }) => [
      mspId,
      rootCertificates.map((pem) => Buffer.from(pem).toString()),
    ]);
    expect(authorities).to.have.deep.members(
      config.msps.map(({ mspId, rootCertsPem }) => [mspId, rootCertsPem]),
    );
  });

  it("reads the genesis block of Fabric's own orderer", function () {
    if (!existsSync(VECTORS)) this.skip();
    const root = readTrustRoot(new Uint8Array(readFileSync(join(VECTORS, '0000.block'))));
    if (root.kind === 'malformed') throw new Error(root.reason);
    const { channel, consenters, organizations } = root.value;
    expect(channel).to.equal('ch1');
    expect(consenters.map(({ number, algorithm }) => [number, algorithm])).to.deep.equal([
      [1, 'p256'],
      [2, 'p256'],
      [3, 'p256'],
      [4, 'p256'],
    ]);
    expect(organizations.map(({ mspId }) => mspId)).to.have.members(['OrdererMSP', 'Org1MSP']);
  });

  it('refuses what is no genesis block, saying why', () => {
    const block = mustDecode(genesis);
    expect(reasonOf(new Uint8Array(0))).to.include('not a genesis block');
    expect(reasonOf(encodeBlock({ ...block, header: { ...block.header, number: 1 } }))).to.include(
      'block 1, not block 0',
    );
    const flipped = (block.data[0] as Uint8Array).slice();
    flipped[flipped.length - 20] = (flipped[flipped.length - 20] ?? 0) ^ 1;
    expect(reasonOf(encodeBlock({ ...block, data: [flipped] }))).to.include('data hash');
  });

  it('notices any changed byte that the header or the data hash protects, and never throws', () => {
    const whole = readTrustRoot(genesis);
    if (whole.kind === 'malformed') throw new Error(whole.reason);
    fc.assert(
      fc.property(
        fc.nat({ max: genesis.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, mask) => {
          const bytes = genesis.slice();
          bytes[at] = (bytes[at] ?? 0) ^ mask;
          const root = readTrustRoot(bytes);
          if (root.kind === 'ok')
            expect(root.value.genesisHash).not.to.equal(whole.value.genesisHash);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('refuses a data section that is no configuration', () => {
    const header = {
      type: 1,
      version: 0,
      timestampMs: 1,
      channelId: 'main',
      txId: '',
      epoch: 0,
      extension: new Uint8Array(0),
      tlsCertHash: new Uint8Array(0),
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (data) => {
        const creator = new Uint8Array(0);
        const payload = encodePayload(header, { creator, nonce: creator }, data);
        const envelope = encodeEnvelope(payload, new Uint8Array(0));
        const block = mustDecode(genesis);
        const blockHeader = { ...block.header, dataHash: dataHash([envelope], sha256) };
        const reason = reasonOf(encodeBlock({ ...block, header: blockHeader, data: [envelope] }));
        expect(reason).not.to.equal('').and.not.to.include('data hash');
      }),
    );
  });
});
