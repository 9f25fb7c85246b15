import { verify } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import common from '@hyperledger/fabric-protos/lib/common/common_pb.js';
import configtx from '@hyperledger/fabric-protos/lib/common/configtx_pb.js';
import orderer from '@hyperledger/fabric-protos/lib/orderer/configuration_pb.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  checkBlockLinks,
  checkCertificate,
  dataHash,
  decodeBlock,
  encodeBlock,
  encodeEnvelope,
  encodePayload,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import {
  type ChannelConfig,
  CONFIG_LIMITS,
  ConfigError,
  consenterKeys,
  DEFAULT_SLUICE_OPTIONS,
  decodeSluiceOptions,
  defaultSluiceOptions,
  encodeGenesisBlock,
  encodeSluiceOptions,
  formatDuration,
  parseDuration,
  readChannelConfig,
  requireSluiceOptions,
  type SluiceOptions,
  sluiceOptionsProblem,
} from '../../orderer/channel-config/index.ts';
import { findPolicy, standardPolicies } from '../../orderer/policy/index.ts';
import { issue, mspConfig, NOW_MS, roleUnits } from './msp-fixtures.ts';

async function sampleConfig(): Promise<ChannelConfig> {
  const ca = await issue(undefined, 'ca');
  const orgCa = await issue(undefined, 'org-ca');
  const consenters = await Promise.all(
    [1, 2, 3, 4].map(async (number) => {
      const identity = await issue(ca, `replica-${number}`, { units: ['orderer'] });
      const tls = await issue(ca, `tls-${number}`);
      return {
        number,
        host: '127.0.0.1',
        port: 7150 + number,
        mspId: 'OrdererMSP',
        identityPem: identity.pem,
        clientTlsPem: tls.pem,
        serverTlsPem: tls.pem,
      };
    }),
  );
  const msps = [
    mspConfig('OrdererMSP', [ca], { kind: 'orderer', nodeOus: roleUnits(ca.pem) }),
    mspConfig('Org1MSP', [orgCa], { group: 'Org1', nodeOus: roleUnits(orgCa.pem) }),
    mspConfig('Org2MSP', [orgCa], {
      group: 'Org2',
      adminsPem: [orgCa.pem],
      organizationalUnits: [{ unit: 'trade', certificatePem: undefined }],
    }),
  ];
  return {
    channel: 'main',
    sequence: 0,
    createdAtMs: NOW_MS,
    batchSize: { maxMessageCount: 500, absoluteMaxBytes: 10_485_760, preferredMaxBytes: 2_097_152 },
    batchTimeoutMs: 2000,
    consenters,
    msps,
    policies: standardPolicies(msps, consenters),
    sluice: DEFAULT_SLUICE_OPTIONS,
    ordererAddresses: ['127.0.0.1:7051', '127.0.0.1:7052'],
  };
}

/**
 * A valid block around changed configuration bytes: what is wrong shows in the configuration only.
 */
function withData(genesis: Uint8Array, change: (data: Uint8Array) => Uint8Array): Uint8Array {
  const block = decodeBlock(genesis);
  if (block.kind !== 'ok') throw new Error(block.reason);
  const envelope = parseEnvelope(block.value.data[0] ?? new Uint8Array());
  if (envelope.kind !== 'ok') throw new Error(envelope.reason);
  const { channelHeader, signatureHeader, data } = envelope.value;
  const payload = encodePayload(channelHeader, signatureHeader, change(data));
  const transactions = [encodeEnvelope(payload, new Uint8Array())];
  const header = { ...block.value.header, dataHash: dataHash(transactions, sha256) };
  return encodeBlock({ ...block.value, header, data: transactions });
}

type Group = InstanceType<typeof configtx.ConfigGroup>;

function withGroup(genesis: Uint8Array, change: (root: Group) => void): Uint8Array {
  return withData(genesis, (data) => {
    const envelope = configtx.ConfigEnvelope.deserializeBinary(data);
    const root = envelope.getConfig()?.getChannelGroup();
    if (root === undefined) throw new Error('no channel group');
    change(root);
    return envelope.serializeBinary();
  });
}

const vectors =
  process.env.SLUICE_VECTORS ?? join(process.cwd(), '..', 'shared', 'vectors', 'fabric-bft');

function vectorBlock(context: Mocha.Context, number: number): Uint8Array {
  const file = join(vectors, `${String(number).padStart(4, '0')}.block`);
  if (!existsSync(file)) {
    process.stderr.write(`    (skipped: no Fabric chain at ${vectors}; set SLUICE_VECTORS)\n`);
    context.skip();
  }
  return new Uint8Array(readFileSync(file));
}

describe('orderer/channel-config', () => {
  let config: ChannelConfig;
  let genesis: Uint8Array;

  before(async () => {
    config = await sampleConfig();
    genesis = encodeGenesisBlock(config);
  });

  it('reads back everything that it wrote', () => {
    expect(readChannelConfig(genesis)).to.deep.equal(config);
    expect(encodeGenesisBlock(readChannelConfig(genesis))).to.deep.equal(genesis);
  });

  it('writes a block that the chain checks accept', () => {
    const block = decodeBlock(genesis);
    if (block.kind !== 'ok') throw new Error(block.reason);
    expect(checkBlockLinks(block.value, undefined, sha256)).to.deep.equal({ kind: 'ok' });
    const envelope = parseEnvelope(block.value.data[0] ?? new Uint8Array());
    expect(envelope).to.have.nested.property('value.channelHeader.timestampMs', NOW_MS);
  });

  it('writes the same bytes whatever the order in which things are listed', () => {
    const turned = (tree: ChannelConfig['policies']): ChannelConfig['policies'] => ({
      policies: new Map([...tree.policies].reverse()),
      groups: new Map([...tree.groups].reverse().map(([name, inner]) => [name, turned(inner)])),
    });
    const shuffled = {
      ...config,
      consenters: [...config.consenters].reverse(),
      msps: [...config.msps].reverse(),
      policies: turned(config.policies),
    };
    expect(encodeGenesisBlock(shuffled)).to.deep.equal(genesis);
  });

  it('gives the keys of the consenters in their order', () => {
    const keys = consenterKeys(config);
    expect(keys.map((key) => key.number)).to.deep.equal([1, 2, 3, 4]);
    expect(keys.every((key) => key.algorithm === 'ed25519')).to.equal(true);
    expect(keys.every((key) => key.publicKey.length === 32)).to.equal(true);
  });

  it('names the place of what is wrong', () => {
    const { batchSize } = config;
    const changed = (change: Partial<ChannelConfig>) =>
      encodeGenesisBlock({ ...config, ...change });
    const consenters = (change: object) =>
      changed({
        consenters: config.consenters.map((item, index) =>
          index === 1 ? { ...item, ...change } : item,
        ),
      });
    const [first] = config.consenters;
    const cases: [Uint8Array, RegExp][] = [
      [
        changed({ batchSize: { ...batchSize, maxMessageCount: 0 } }),
        /^Channel\/Orderer\/BatchSize: max_message_count must be 1\.\.1000000, found 0$/,
      ],
      [
        changed({ batchSize: { ...batchSize, preferredMaxBytes: 99_999_999 } }),
        /^Channel\/Orderer\/BatchSize: preferred_max_bytes must be 1\.\.absolute_max_bytes/,
      ],
      [changed({ batchTimeoutMs: 0 }), /^Channel\/Orderer\/BatchTimeout: must be a duration/],
      [changed({ channel: 'Main!' }), /^genesis block: channel name "Main!" must be lower-case/],
      [changed({ consenters: [] }), /^Channel\/Orderer\/Orderers: must list 1\.\.64 consenters/],
      [consenters({ number: 1 }), /^Channel\/Orderer\/Orderers: id 1 appears twice$/],
      [consenters({ number: 0 }), /id must be 1\.\.65535, found 0$/],
      [consenters({ port: 0 }), /consenter 2: port must be/],
      [consenters({ host: '' }), /consenter 2: host is empty/],
      [consenters({ mspId: 'Org1MSP' }), /consenter 2: msp_id "Org1MSP" is not an ordering org/],
      [consenters({ identityPem: 'x' }), /consenter 2: identity is not a certificate/],
      [consenters({ serverTlsPem: 'x' }), /consenter 2: serverTlsPem: does not start/],
      [consenters({ identityPem: first?.identityPem }), /consenters 1 and 2 have the same key/],
      [
        changed({ msps: config.msps.map((msp) => ({ ...msp, mspId: 'OrdererMSP' })) }),
        /^Channel: two organizations are called OrdererMSP$/,
      ],
      [
        changed({ msps: config.msps.map((msp) => ({ ...msp, rootCertsPem: [] })) }),
        /^Channel\/Orderer\/OrdererMSP\/MSP\/root_certs: must not be empty$/,
      ],
    ];
    for (const [bytes, message] of cases) {
      expect(() => readChannelConfig(bytes)).to.throw(ConfigError, message);
    }
  });

  it('names what is missing or of the wrong kind', () => {
    const values = (root: Group, name: string) => {
      const group = root.getGroupsMap().get('Orderer');
      return { map: group.getValuesMap(), value: group.getValuesMap().get(name) };
    };
    const cases: [(root: Group) => void, RegExp][] = [
      [(root) => root.getGroupsMap().del('Orderer'), /^Channel\/Orderer: is missing$/],
      [
        (root) => values(root, '').map.del('BatchSize'),
        /^Channel\/Orderer\/BatchSize: is missing$/,
      ],
      [
        (root) => values(root, 'BatchSize').value.setValue(Uint8Array.of(0x0f)),
        /^Channel\/Orderer\/BatchSize: is not the protobuf message that belongs here/,
      ],
      [
        (root) => {
          const raft = new orderer.ConsensusType();
          raft.setType('etcdraft');
          values(root, 'ConsensusType').value.setValue(raft.serializeBinary());
        },
        /^Channel\/Orderer\/ConsensusType: type must be BFT, found "etcdraft"$/,
      ],
      [
        (root) => root.getPoliciesMap().get('Writers').clearPolicy(),
        /^Channel\/Writers: policy is empty$/,
      ],
      [
        (root) => root.getPoliciesMap().get('Writers').getPolicy().setType(9),
        /^Channel\/Writers: policy type 9 is not supported$/,
      ],
      [(root) => root.getValuesMap().del('HashingAlgorithm'), /^Channel\/HashingAlgorithm/],
    ];
    for (const [change, message] of cases) {
      const bytes = withGroup(genesis, change);
      expect(() => readChannelConfig(bytes)).to.throw(ConfigError, message);
    }
  });

  it('refuses groups nested without end', () => {
    const nested = (levels: number) =>
      withGroup(genesis, (root) => {
        let at = root;
        for (let level = 0; level < levels; level++) {
          const inner = new configtx.ConfigGroup();
          at.getGroupsMap().set('x', inner);
          at = inner;
        }
      });
    expect(() => readChannelConfig(nested(12))).to.throw(ConfigError, /nested deeper than 8/);
    expect(() => readChannelConfig(nested(500))).to.throw(ConfigError, /nested deeper than 48/);
  });

  it('is total: whatever the configuration bytes are, it answers with a ConfigError or a config', () => {
    const check = (bytes: Uint8Array): void => {
      try {
        readChannelConfig(bytes);
      } catch (error) {
        expect(error).to.be.instanceOf(ConfigError);
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), check), { numRuns: 300 });
    const damaged = (position: number, value: number, length: number): void => {
      check(
        withData(genesis, (data) => {
          const copy = data.slice(0, data.length - (length % 3 === 0 ? length : 0));
          copy[position % copy.length] = value;
          return copy;
        }),
      );
    };
    fc.assert(fc.property(fc.nat(), fc.nat(255), fc.nat(64), damaged), { numRuns: 400 });
  });

  it('refuses any change to the block around the configuration', () => {
    for (const at of [0, 5, 40, genesis.length - 1]) {
      const copy = genesis.slice();
      copy[at] = (copy[at] ?? 0) ^ 1;
      expect(() => readChannelConfig(copy)).to.throw(ConfigError, /^genesis block: /);
    }
  });

  it("reads a channel that Fabric's own BFT orderer made, for auditing", function () {
    const fabric = readChannelConfig(vectorBlock(this, 0));
    expect(fabric.channel).to.equal('ch1');
    expect(fabric.batchSize.maxMessageCount).to.equal(500);
    expect(fabric.batchTimeoutMs).to.equal(2000);
    expect(fabric.consenters.map((item) => item.number)).to.deep.equal([1, 2, 3, 4]);
    expect(consenterKeys(fabric).every((key) => key.algorithm === 'p256')).to.equal(true);
    expect(fabric.msps.map((msp) => msp.mspId)).to.deep.equal(['OrdererMSP', 'Org1MSP']);
    expect(fabric.ordererAddresses).to.have.lengthOf(4);
    const validation = findPolicy(fabric.policies, '/Channel/Orderer/BlockValidation')?.policy;
    expect(validation).to.have.nested.property('rule.n', 3);
    expect(fabric.sluice).to.equal(undefined);
    expect(() => requireSluiceOptions(fabric))
      .to.throw(ConfigError, /ch1 is not a Sluice channel/)
      .with.property('code', 'not_a_sluice_channel');
  });

  it("has the keys that check Fabric's own blocks", async function () {
    const keys = consenterKeys(readChannelConfig(vectorBlock(this, 0)));
    const block = decodeBlock(vectorBlock(this, 1));
    if (block.kind !== 'ok') throw new Error(block.reason);
    const result = await checkCertificate(block.value, keys, (key, message, signature) => {
      const prefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');
      const spki = Buffer.concat([prefix, key.publicKey]);
      return verify('sha256', message, { key: spki, format: 'der', type: 'spki' }, signature);
    });
    expect(result).to.have.property('kind', 'ok');
  });

  it("writes Fabric's configuration as Fabric wrote it, byte for byte", function () {
    const bytes = vectorBlock(this, 0);
    const fabric = readChannelConfig(bytes);
    const groupOf = (block: Uint8Array): Group => {
      const data = common.Block.deserializeBinary(block).getData()?.getDataList_asU8()[0];
      const envelope = common.Envelope.deserializeBinary(data ?? new Uint8Array());
      const payload = common.Payload.deserializeBinary(envelope.getPayload_asU8());
      const config = configtx.ConfigEnvelope.deserializeBinary(payload.getData_asU8()).getConfig();
      const root = config?.getChannelGroup();
      if (root === undefined) throw new Error('no channel group');
      return root;
    };
    const root = groupOf(bytes);
    // SmartBFT's options are the one value that is not ours to write.
    const value = root.getGroupsMap().get('Orderer').getValuesMap().get('ConsensusType');
    const consensus = orderer.ConsensusType.deserializeBinary(value.getValue_asU8());
    consensus.setMetadata('');
    value.setValue(consensus.serializeBinary());
    const written = groupOf(encodeGenesisBlock(fabric));
    expect(written.serializeBinary()).to.deep.equal(root.serializeBinary());
  });
});

describe('orderer/channel-config: options of Sluice', () => {
  it('read back, and have one encoding', () => {
    const options = fc.record<SluiceOptions>({
      windowSlots: fc.integer({ min: 3, max: 12 }).map((bits) => 2 ** bits),
      laneAdvanceBatchesMax: fc.integer({ min: 1, max: 65_536 }),
      laneAdvanceBytesMax: fc.integer({ min: 1024, max: 2 ** 30 }),
      batchBytesMax: fc.integer({ min: 1024, max: 2 ** 30 }),
      clockSkewMsMax: fc.integer({ min: 1, max: 600_000 }),
      slowPathAfterMsMin: fc.integer({ min: 1, max: 500 }),
      slowPathAfterMsMax: fc.integer({ min: 500, max: 60_000 }),
      waitMode: fc.constantFrom('spin', 'adaptive', 'block'),
      viewTimeoutMs: fc.integer({ min: 20, max: 60_000 }),
      signatureChecks: fc.constantFrom('shared', 'all'),
    });
    fc.assert(
      fc.property(options, (value) => {
        const bytes = encodeSluiceOptions(value);
        expect(decodeSluiceOptions(bytes)).to.deep.equal({ kind: 'ok', value });
        const all = { ...value, signatureChecks: 'all' } as const;
        const optional = encodeSluiceOptions(all).length;
        for (let length = 0; length < bytes.length; length++) {
          const cut = decodeSluiceOptions(bytes.subarray(0, length));
          if (length === optional) expect(cut).to.deep.equal({ kind: 'ok', value: all });
          else expect(cut.kind).not.to.equal('ok');
        }
        expect(decodeSluiceOptions(Uint8Array.of(...bytes, 0)).kind).to.equal('malformed');
      }),
      { numRuns: 50 },
    );
  });

  it('of channels from before there were shared checks read as: all check all', () => {
    const before = 'c03e02c83e8002d03e10d83e80808006e03e808010e83ed00ff03e04f83e32803f02883fac02';
    const value = { ...DEFAULT_SLUICE_OPTIONS, signatureChecks: 'all' } as const;
    expect(decodeSluiceOptions(Buffer.from(before, 'hex'))).to.deep.equal({ kind: 'ok', value });
    expect(Buffer.from(encodeSluiceOptions(value)).toString('hex')).to.equal(before);
    const unknown = Buffer.from(`${before}903f02`, 'hex');
    expect(decodeSluiceOptions(unknown)).to.deep.equal({
      kind: 'malformed',
      reason: 'signatureChecks are unknown',
    });
  });

  it('are one-to-one with their bytes', () => {
    const bytes = encodeSluiceOptions(DEFAULT_SLUICE_OPTIONS);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const copy = bytes.slice();
        copy[at] = value;
        const read = decodeSluiceOptions(copy);
        if (read.kind === 'ok') expect(encodeSluiceOptions(read.value)).to.deep.equal(copy);
      }),
      { numRuns: 2_000 },
    );
  });

  it("are told from SmartBFT's and from other versions", () => {
    const smartBft = Buffer.from('GgQxMG1zIMgBKKCNBjICNXM6AzIwc0IEM20wc1ICNXNaAzIwc2IE', 'base64');
    expect(decodeSluiceOptions(smartBft)).to.deep.equal({ kind: 'foreign' });
    expect(decodeSluiceOptions(new Uint8Array())).to.deep.equal({ kind: 'foreign' });
    const next = encodeSluiceOptions(DEFAULT_SLUICE_OPTIONS);
    next[2] = 3;
    expect(decodeSluiceOptions(next))
      .to.have.property('reason')
      .that.matches(/version 3 .* this program reads 2: create the network with this version/);
  });

  it('are refused when they contradict each other', () => {
    const encode = (change: Partial<SluiceOptions>) => () =>
      encodeSluiceOptions({ ...DEFAULT_SLUICE_OPTIONS, ...change });
    expect(encode({ windowSlots: 100 })).to.throw(RangeError, /power of two/);
    expect(encode({ windowSlots: 8192 })).to.throw(RangeError, /windowSlots must be/);
    expect(encode({ viewTimeoutMs: 19 })).to.throw(RangeError, /viewTimeoutMs must be .* 20\.\./);
    expect(encode({ slowPathAfterMsMin: 300 })).to.throw(RangeError, /must not be above/);
    expect(encode({ clockSkewMsMax: 0.5 })).to.throw(RangeError, /clockSkewMsMax/);
    const none = 'none' as 'all';
    expect(encode({ signatureChecks: none })).to.throw(RangeError, /signatureChecks must be one/);
  });

  it('have a window that a change of view of so many replicas can carry', () => {
    const large = { ...DEFAULT_SLUICE_OPTIONS, windowSlots: 4096 };
    expect(sluiceOptionsProblem(large, 10)).to.equal(undefined);
    expect(sluiceOptionsProblem(large, 31)).to.match(/windowSlots must be 512 or less for 31/);
    for (let replicas = 2; replicas <= CONFIG_LIMITS.consentersMax; replicas++) {
      expect(sluiceOptionsProblem(defaultSluiceOptions(replicas), replicas)).to.equal(undefined);
    }
    expect(defaultSluiceOptions(4)).to.eql(DEFAULT_SLUICE_OPTIONS);
  });
});

describe('orderer/channel-config: durations', () => {
  it('are read as Go reads them, and written as Go writes them', () => {
    const cases: [string, number | undefined][] = [
      ['2s', 2000],
      ['500ms', 500],
      ['1.5s', 1500],
      ['1m30s', 90_000],
      ['1h0m0s', 3_600_000],
      ['100us', 0.1],
      ['0', 0],
      ['-1s', -1000],
      ['.5s', 500],
      ['', undefined],
      ['2', undefined],
      ['2 s', undefined],
      ['s', undefined],
      ['2d', undefined],
      ['1e3s', undefined],
    ];
    for (const [text, ms] of cases) expect(parseDuration(text), text).to.equal(ms);
    const written: [number, string][] = [
      [500, '500ms'],
      [2000, '2s'],
      [1500, '1.5s'],
      [90_000, '1m30s'],
      [3_600_000, '1h0m0s'],
      [0, '0s'],
    ];
    for (const [ms, text] of written) expect(formatDuration(ms)).to.equal(text);
    fc.assert(
      fc.property(fc.nat(10_000_000), (ms) => {
        expect(parseDuration(formatDuration(ms))).to.be.closeTo(ms, 1e-6);
      }),
    );
  });
});
