import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  readNetworkFile,
  readReplicaFile,
  SETTINGS_DEFAULTS,
  SettingsError,
} from '../../orderer/settings/index.ts';
import { suggest } from '../../orderer/settings/suggest.ts';

const REPLICA = `version: 1
number: 3
keys:
  identity:
    certificate: keys/identity-cert.pem
    key: keys/identity-key.pem
  tls:
    certificate: keys/tls-cert.pem
    key: keys/tls-key.pem
api:
  port: 7051
`;

const NETWORK = `version: 1
channels:
  - name: main
    genesis: genesis/main.block
    batch:
      maxMessageCount: 500
      absoluteMaxBytes: 10485760
      preferredMaxBytes: 2097152
      timeout: 2s
replicas:
  - { number: 2, host: 127.0.0.1, port: 7152, api: "http://127.0.0.1:7052" }
  - { number: 1, host: 127.0.0.1, port: 7151, api: "http://127.0.0.1:7051" }
`;

describe('orderer/settings', () => {
  let directory: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-settings-'));
  });

  after(() => rmSync(directory, { recursive: true }));

  function write(text: string): string {
    const file = join(directory, 'settings.yaml');
    writeFileSync(file, text);
    return file;
  }

  /** The lines of the error, without the directory. */
  function problems(read: (file: string) => unknown, text: string): string[] {
    const file = write(text);
    try {
      read(file);
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      return error.message.split('\n').map((line) => line.replace(`${directory}/`, ''));
    }
    return [];
  }

  it('fills what a replica leaves out from the defaults, paths relative to the file', () => {
    const settings = readReplicaFile(write(REPLICA));
    expect(settings).to.deep.equal({
      file: join(directory, 'settings.yaml'),
      number: 3,
      networkFile: join(directory, '..', 'network.yaml'),
      dataDirectory: join(directory, 'ledger'),
      keys: {
        identity: {
          certificateFile: join(directory, 'keys/identity-cert.pem'),
          keyFile: join(directory, 'keys/identity-key.pem'),
        },
        tls: {
          certificateFile: join(directory, 'keys/tls-cert.pem'),
          keyFile: join(directory, 'keys/tls-key.pem'),
        },
      },
      api: { host: '127.0.0.1', port: 7051 },
      gateway: undefined,
      log: { level: SETTINGS_DEFAULTS.logLevel },
      rdma: {},
      verifyThreads: SETTINGS_DEFAULTS.verifyThreads,
      waitMode: undefined,
      spinUs: 100,
      priorities: SETTINGS_DEFAULTS.priorities,
      durability: 'wal',
      diskReserveBytes: 64 * 1024 * 1024,
    });
  });

  it('reads what a replica says', () => {
    const more = `${REPLICA}  host: "::"
gateway: { mspId: Org1MSP, certificate: g-cert.pem, key: /keys/g-key.pem }
log: { level: debug }
verifyThreads: 2
waitMode: spin
spinUs: 50
priorities: equal
durability: memory
diskReserveBytes: 1048576
rdma: { device: mlx5_1, gidIndex: 3, memoryWindows: off }
`;
    const settings = readReplicaFile(write(more));
    expect(settings.api).to.deep.equal({ host: '::', port: 7051 });
    expect(settings.gateway).to.deep.equal({
      mspId: 'Org1MSP',
      certificateFile: join(directory, 'g-cert.pem'),
      keyFile: '/keys/g-key.pem',
    });
    expect([settings.log.level, settings.verifyThreads, settings.waitMode]).to.deep.equal([
      'debug',
      2,
      'spin',
    ]);
    expect([settings.spinUs, settings.priorities]).to.deep.equal([50, 'equal']);
    expect([settings.durability, settings.diskReserveBytes]).to.deep.equal(['memory', 1_048_576]);
    expect(settings.rdma).to.deep.equal({
      device: 'mlx5_1',
      gidIndex: 3,
      memoryWindows: 'off',
    });
  });

  it('reads a network, replicas sorted by number', () => {
    const network = readNetworkFile(write(`${NETWORK}limits: { deliverStreamsMax: 7 }\n`));
    expect(network.replicas.map((replica) => replica.number)).to.deep.equal([1, 2]);
    expect(network.transport).to.deep.equal({ provider: 'shm' });
    expect(network.limits).to.deep.equal({ deliverStreamsMax: 7 });
    expect(network.channels).to.deep.equal([
      {
        name: 'main',
        genesisFile: join(directory, 'genesis/main.block'),
        batch: {
          maxMessageCount: 500,
          absoluteMaxBytes: 10_485_760,
          preferredMaxBytes: 2_097_152,
          timeoutMs: 2000,
          line: 6,
        },
      },
    ]);
  });

  it('names file, line and key of everything that is wrong, at once', () => {
    const text = REPLICA.replace('number: 3', 'number: three')
      .replace('port: 7051', "port: 'abc'\n  hots: x")
      .replace('key: keys/tls-key.pem', '')
      .concat('verify_threads: 2\nlog: [debug]\nwaitMode: lazy\ndurability: disk\nzebra: 1\n');
    expect(problems(readReplicaFile, text)).to.deep.equal([
      "settings.yaml:2: number: must be 1..65535, found 'three'",
      'settings.yaml:8: keys.tls.key: is missing; must be a text',
      "settings.yaml:11: api.port: must be 0..65535, found 'abc'",
      'settings.yaml:12: api.hots: unknown key; did you mean host?',
      'settings.yaml:13: verify_threads: unknown key; did you mean verifyThreads?',
      'settings.yaml:14: log: must be a mapping of keys to values, found a list',
      "settings.yaml:15: waitMode: must be one of spin, adaptive, block, found 'lazy'",
      "settings.yaml:16: durability: must be one of wal, memory, found 'disk'",
      'settings.yaml:17: zebra: unknown key; known here: api, dataDirectory, diskReserveBytes, durability, gateway, keys, log, network, number, priorities, rdma, spinUs, verifyThreads, version, waitMode',
    ]);
  });

  it('names what is wrong in a network', () => {
    const cases: [string, string, string][] = [
      [
        'name: main',
        'name: Main',
        'settings.yaml:3: channels[0].name: must be lower-case letters, digits, dots and dashes, starting with a letter',
      ],
      [
        'timeout: 2s',
        'timeout: soon',
        "settings.yaml:9: channels[0].batch.timeout: must be a duration like 2s, found 'soon'",
      ],
      [
        'preferredMaxBytes: 2097152',
        'preferredMaxBytes: 90000000',
        'settings.yaml:8: channels[0].batch.preferredMaxBytes: must not be above absoluteMaxBytes',
      ],
      ['number: 2', 'number: 1', 'settings.yaml:11: replicas: two entries have the number 1'],
      [
        'port: 7152',
        'port: 7151',
        'settings.yaml:11: replicas: two entries have the host and port 127.0.0.1:7151',
      ],
      [
        '"http://127.0.0.1:7052"',
        'ftp://x',
        "settings.yaml:11: replicas[0].api: must be a URL like http://127.0.0.1:7051, found 'ftp://x'",
      ],
      [
        'host: 127.0.0.1',
        'host: a b',
        "settings.yaml:11: replicas[0].host: must be a host name or IP address, found 'a b'",
      ],
      ['version: 1', 'version: 2', 'settings.yaml:1: version: must be 1..1, found 2'],
      [
        'version: 1',
        'version: 1\nlimits: { waitersMax: 0 }',
        'settings.yaml:2: limits.waitersMax: must be 1..1000000, found 0',
      ],
      [
        'version: 1',
        'version: 1\ntransport: { provider: carrier-pigeon }',
        "settings.yaml:2: transport.provider: must be one of shm, tcp, verbs, found 'carrier-pigeon'",
      ],
    ];
    for (const [from, to, expected] of cases) {
      const found = problems(readNetworkFile, NETWORK.replace(from, to));
      expect(found, to).to.have.lengthOf(1);
      expect(found[0]?.startsWith(expected), `${found[0]} / ${expected}`).to.equal(true);
    }
  });

  it('refuses what is no mapping, no YAML, not there, or far too large', () => {
    expect(problems(readReplicaFile, '- 1\n')[0]).to.match(/^settings.yaml:1: must be a mapping/);
    expect(problems(readReplicaFile, '')[0]).to.match(/^settings.yaml:1: must be a mapping/);
    expect(problems(readReplicaFile, 'a: [1,\nb: 2')[0]).to.match(/^settings.yaml:\d: /);
    expect(problems(readReplicaFile, 'version: 1\nversion: 1\n')[0]).to.match(
      /^settings.yaml:2: .*unique/,
    );
    expect(problems(readReplicaFile, `# ${'x'.repeat(2 ** 20)}`)[0]).to.match(/at most 1048576/);
    expect(() => readReplicaFile(join(directory, 'nowhere.yaml'))).to.throw(
      SettingsError,
      /nowhere\.yaml:1: there is no such file; sluice init writes one/,
    );
  });

  it('does not follow aliases', () => {
    const text = REPLICA.replace('port: 7051', 'port: &p 7051').concat('verifyThreads: *p\n');
    expect(problems(readReplicaFile, text)).to.deep.equal([
      'settings.yaml:12: verifyThreads: must be 1..64, found an alias, which is not supported',
    ]);
  });
});

describe('orderer/settings: did you mean', () => {
  it('finds the near word and nothing far', () => {
    const known = ['verifyThreads', 'waitMode', 'api', 'log'];
    const cases: [string, string | undefined][] = [
      ['verifyTreads', 'verifyThreads'],
      ['verify_threads', 'verifyThreads'],
      ['wait-mode', 'waitMode'],
      ['apis', 'api'],
      ['lgo', 'log'],
      ['x', undefined],
      ['network', undefined],
      ['v'.repeat(1000), undefined],
    ];
    for (const [word, expected] of cases) expect(suggest(word, known), word).to.equal(expected);
  });
});
