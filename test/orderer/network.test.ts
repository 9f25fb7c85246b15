import { createPrivateKey, sign, verify, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { cp } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tls from 'node:tls';
import { expect } from 'chai';
import {
  ConfigError,
  consenterKeys,
  encodeGenesisBlock,
  readChannelConfig,
} from '../../orderer/channel-config/index.ts';
import { IdentityResolver } from '../../orderer/msp/index.ts';
import {
  type CreatedNetwork,
  createNetwork,
  issueWriter,
  loadReplica,
  loadWriter,
  NetworkError,
} from '../../orderer/network/index.ts';

function filesUnder(directory: string, prefix = ''): string[] {
  return readdirSync(join(directory, prefix), { withFileTypes: true }).flatMap((entry) => {
    const name = join(prefix, entry.name);
    return entry.isDirectory() ? filesUnder(directory, name) : [name];
  });
}

async function refusal(promise: Promise<unknown>): Promise<NetworkError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof NetworkError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

describe('orderer/network: creation', () => {
  let root: string;
  let created: CreatedNetwork;

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'sluice-network-'));
    created = await createNetwork({ directory: join(root, 'data') });
  });

  after(() => rmSync(root, { recursive: true }));

  it('writes what its layout says, keys for their owner only', () => {
    const files = filesUnder(created.directory);
    const replica = [1, 2, 3, 4].flatMap((number) =>
      [
        'keys/gateway-cert.pem',
        'keys/gateway-key.pem',
        'keys/identity-cert.pem',
        'keys/identity-key.pem',
        'keys/tls-cert.pem',
        'keys/tls-key.pem',
        'ledger/main/last-run',
        'replica.yaml',
      ].map((name) => `replica-${number}/${name}`),
    );
    const orgs = ['OrdererMSP/ca', 'OrdererMSP/tlsca', 'Org1MSP/ca'].flatMap((name) => [
      `orgs/${name}/cert.pem`,
      `orgs/${name}/key.pem`,
    ]);
    const users = ['admin', 'user'].flatMap((name) => [
      `orgs/Org1MSP/users/${name}/cert.pem`,
      `orgs/Org1MSP/users/${name}/key.pem`,
    ]);
    expect(files.sort()).to.deep.equal(
      ['genesis/main.block', 'network.yaml', ...orgs, ...users, ...replica].sort(),
    );
    for (const name of files.filter((file) => file.endsWith('key.pem'))) {
      expect(statSync(join(created.directory, name)).mode & 0o777, name).to.equal(0o600);
    }
    for (const name of ['', 'orgs', 'orgs/Org1MSP/ca', 'replica-1', 'replica-1/keys']) {
      expect(statSync(join(created.directory, name)).mode & 0o777, name).to.equal(0o700);
    }
    expect(readdirSync(root)).to.deep.equal(['data']);
  });

  it('loads every replica without a complaint', () => {
    for (const { number, configFile } of created.replicas) {
      const loaded = loadReplica(configFile);
      expect(loaded.number).to.equal(number);
      expect(loaded.warnings).to.deep.equal([]);
      const [channel] = loaded.channels;
      expect(channel?.self).to.equal(number - 1);
      expect(channel?.config).to.deep.equal(created.config);
      expect(channel?.waitMode).to.equal('adaptive');
      const [key] = consenterKeys({ consenters: [created.config.consenters[number - 1]!] });
      const signature = sign(null, Buffer.from('block'), loaded.identity.privateKey);
      const spki = loaded.identity.privateKey.export({ format: 'jwk' }).x;
      expect(Buffer.from(key?.publicKey ?? []).toString('base64url')).to.equal(spki);
      const { publicKey } = new X509Certificate(loaded.identity.certificatePem);
      expect(verify(null, Buffer.from('block'), publicKey, signature)).to.equal(true);
    }
  });

  it('gives certificates long serial numbers, five years, and a start five minutes ago', () => {
    const [consenter] = created.config.consenters;
    const certificate = new X509Certificate(consenter?.identityPem ?? '');
    expect(certificate.serialNumber).to.match(/^[4-7][0-9A-F]{31}$/);
    const from = Date.parse(certificate.validFrom);
    expect(created.config.createdAtMs - from).to.be.within(300_000, 301_000);
    const years = (Date.parse(certificate.validTo) - from) / (365.25 * 86_400_000);
    expect(years).to.be.closeTo(5, 0.01);
  });

  it('lets user, admin and gateways write; a replica may too, its TLS end may not', () => {
    const resolver = new IdentityResolver(created.config, { cacheEntriesMax: 16 });
    const roles = (certificateFile: string, keyFile: string, mspId: string) => {
      const { creator } = loadWriter({ mspId, certificateFile, keyFile });
      const resolved = resolver.resolve(creator, Date.now());
      if (resolved.kind === 'refused') return resolved.code;
      return resolved.identity.mayWrite ? [...resolved.identity.roles].at(-1) : 'reader';
    };
    const at = (name: string, mspId: string) =>
      roles(
        join(created.directory, `${name}cert.pem`),
        join(created.directory, `${name}key.pem`),
        mspId,
      );
    expect(at('orgs/Org1MSP/users/user/', 'Org1MSP')).to.equal('client');
    expect(at('orgs/Org1MSP/users/admin/', 'Org1MSP')).to.equal('admin');
    expect(at('replica-2/keys/gateway-', 'Org1MSP')).to.equal('client');
    expect(at('replica-2/keys/identity-', 'OrdererMSP')).to.equal('orderer');
    expect(at('replica-2/keys/tls-', 'OrdererMSP')).to.equal('unknown_writer');
    expect(at('orgs/Org1MSP/users/user/', 'OrdererMSP')).to.equal('unknown_writer');
  });

  it('makes TLS certificates with which replicas meet, both ends checked', async () => {
    const [one, two] = created.replicas.slice(0, 2).map((item) => loadReplica(item.configFile));
    if (one === undefined || two === undefined) throw new Error('two replicas');
    const options = (loaded: typeof one) => ({
      cert: loaded.tls.certificatePem,
      key: loaded.tls.keyPem,
      ca: [...loaded.tls.rootsPem],
      minVersion: 'TLSv1.3' as const,
    });
    const server = tls.createServer({
      ...options(one),
      requestCert: true,
      rejectUnauthorized: true,
    });
    const accepted = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = tls.connect({ ...options(two), host: '127.0.0.1', port });
    await once(socket, 'secureConnect');
    const [peer] = await accepted;
    expect(socket.authorized).to.equal(true);
    expect(peer.authorized).to.equal(true);
    const subjects = [socket, peer].map((end) => end.getPeerCertificate().subject.CN);
    expect(subjects).to.deep.equal(['replica-1', 'replica-2']);
    socket.destroy();
    peer.destroy();
    server.close();
    await once(server, 'close');
  });

  it('leaves a network that is there as it is', async () => {
    const before = readFileSync(created.genesisFile);
    const error = await refusal(createNetwork({ directory: created.directory }));
    expect(error.code).to.equal('network_exists');
    expect(error.message).to.match(/it is left as it is. Start it with sluice start/);
    expect(readFileSync(created.genesisFile).equals(before)).to.equal(true);
    expect(readdirSync(root)).to.deep.equal(['data']);
  });

  it('fills an empty directory, and refuses one with other things in it, or a file', async () => {
    const empty = join(root, 'empty');
    mkdirSync(empty);
    await createNetwork({ directory: empty, replicas: 2, gateway: false });
    expect(readdirSync(empty)).to.include('network.yaml');
    expect(readdirSync(join(empty, 'replica-1/keys'))).to.have.lengthOf(4);
    expect(loadReplica(join(empty, 'replica-1/replica.yaml')).gateway).to.equal(undefined);
    const full = join(root, 'full');
    mkdirSync(full);
    writeFileSync(join(full, 'thesis.txt'), 'x');
    for (const directory of [full, join(full, 'thesis.txt')]) {
      const { code } = await refusal(createNetwork({ directory }));
      expect(code).to.equal('directory_not_empty');
    }
    const target = join(root, 'target');
    mkdirSync(target);
    symlinkSync(target, join(root, 'link'));
    const error = await refusal(createNetwork({ directory: join(root, 'link'), replicas: 2 }));
    expect(error.message).to.match(/is a mount point or a link .* like .*link.network$/);
    expect(readdirSync(target)).to.deep.equal([]);
  });

  it('two creations at once: one wins, whole', async () => {
    const directory = join(root, 'race');
    const results = await Promise.allSettled(
      [1, 2, 3].map(() => createNetwork({ directory, replicas: 2 })),
    );
    const lost = results.filter((result) => result.status === 'rejected');
    expect(lost).to.have.lengthOf(2);
    for (const { reason } of lost) expect(reason).to.have.property('code', 'network_exists');
    expect(loadReplica(join(directory, 'replica-1/replica.yaml')).number).to.equal(1);
    expect(readdirSync(root).filter((name) => name.endsWith('.creating'))).to.deep.equal([]);
  });

  it('refuses options out of range, and leaves nothing behind', async () => {
    const directory = join(root, 'bad');
    const cases: [object, RegExp][] = [
      [{ replicas: 1 }, /replicas: must be 2\.\.64, found 1/],
      [{ replicas: 4.5 }, /replicas: must be/],
      [{ channel: 'Main' }, /channel: "Main" is no channel name/],
      [{ apiPortBase: 65_535 }, /apiPortBase: must be 0\.\.65532/],
      [{ linkHost: 'a b' }, /linkHost: "a b" is no host name/],
      [{ apiPortBase: 7150 }, /overlap; move one of them/],
      [{ batchTimeoutMs: 0 }, /batchTimeoutMs/],
      [{ batchSize: { maxMessageCount: 0 } }, /max_message_count must be/],
      [{ sluice: { windowSlots: 7 } }, /windowSlots/],
      [{ hosts: ['10.0.0.1'], provider: 'tcp' }, /hosts: 1 are named for 4 replicas/],
      [{ hosts: ['a', 'b', 'a', 'c'] }, /shm reaches one machine only/],
      [{ hosts: ['a', 'a', 'a', 'b c'] }, /"b c" is no host name/],
    ];
    for (const [options, message] of cases) {
      const error = await refusal(createNetwork({ directory, ...options }));
      expect(error.code).to.equal('bad_option');
      expect(error.message).to.match(message);
    }
    expect(readdirSync(root)).not.to.include('bad');
  });

  it('writes IPv6 addresses in brackets, and none that only a start decides', async () => {
    const at = (name: string, options: object) =>
      createNetwork({ directory: join(root, name), replicas: 2, ...options });
    const six = await at('six', { apiHost: '::1' });
    expect(six.replicas[0]?.api).to.equal('http://[::1]:7051');
    expect(six.config.ordererAddresses[0]).to.equal('[::1]:7051');
    const loaded = loadReplica(six.replicas[0]?.configFile ?? '');
    expect(loaded.settings.api).to.deep.equal({ host: '::1', port: 7051 });
    const free = await at('free', { apiPortBase: 0 });
    expect(free.config.ordererAddresses).to.deep.equal([]);
    expect(loadReplica(free.replicas[0]?.configFile ?? '').settings.api.port).to.equal(0);
  });

  it('reports its steps', async () => {
    const steps: string[] = [];
    await createNetwork({
      directory: join(root, 'steps'),
      replicas: 2,
      channel: 'trade',
      onProgress: ({ done, total, step }) => steps.push(`${done}/${total} ${step}`),
    });
    expect(steps).to.deep.equal([
      '1/5 organization OrdererMSP',
      '2/5 organization Org1MSP',
      '3/5 replica 1',
      '4/5 replica 2',
      '5/5 genesis block of channel trade',
    ]);
  });
});

describe('orderer/network: writers', () => {
  let root: string;
  let created: CreatedNetwork;

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'sluice-writers-'));
    created = await createNetwork({ directory: join(root, 'data'), replicas: 2 });
  });

  after(() => rmSync(root, { recursive: true }));

  it('are issued with either kind of key, and may write at once', async () => {
    const resolver = new IdentityResolver(created.config, { cacheEntriesMax: 16 });
    for (const algorithm of ['ed25519', 'p256'] as const) {
      const name = `alice-${algorithm}`;
      const issued = await issueWriter({ directory: created.directory, name, algorithm });
      const writer = loadWriter(issued);
      expect(writer.algorithm).to.equal(algorithm);
      expect(writer.secretKey).to.have.lengthOf(32);
      const resolved = resolver.resolve(writer.creator, Date.now());
      expect(resolved).to.have.nested.property('identity.mayWrite', true);
      expect(statSync(issued.keyFile).mode & 0o777).to.equal(0o600);
    }
  });

  it('keep their secret key in the form that @noble signs with', async () => {
    const { ed25519 } = await import('@noble/curves/ed25519.js');
    const writer = loadWriter(created.user);
    const publicKey = ed25519.getPublicKey(writer.secretKey);
    expect(publicKey).to.deep.equal(writer.certificate.publicKey?.bytes);
  });

  it('are refused when the name, the organization or the place is wrong', async () => {
    const { directory } = created;
    await issueWriter({ directory, name: 'bob' });
    const cases: [Parameters<typeof issueWriter>[0], string][] = [
      [{ directory, name: 'bob' }, 'writer_exists'],
      [{ directory, name: '../bob' }, 'bad_option'],
      [{ directory, name: '' }, 'bad_option'],
      [{ directory, name: 'x', mspId: '../Org1MSP' }, 'bad_option'],
      [{ directory, name: 'x', mspId: 'Org9MSP' }, 'bad_option'],
      [{ directory: join(root, 'nowhere'), name: 'x' }, 'bad_option'],
    ];
    for (const [options, code] of cases) {
      expect((await refusal(issueWriter(options))).code).to.equal(code);
    }
    rmSync(join(directory, 'orgs/OrdererMSP/ca/key.pem'));
    const error = await refusal(issueWriter({ directory, name: 'x', mspId: 'OrdererMSP' }));
    expect(error.code).to.equal('file_missing');
  });
});

describe('orderer/network: loading', () => {
  let root: string;
  let template: string;
  let count = 0;

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'sluice-load-'));
    template = join(root, 'template');
    await createNetwork({ directory: template });
  });

  after(() => rmSync(root, { recursive: true }));

  /** Loads replica 1 of a copy after `change`; the error, with the copy's path taken out. */
  async function loadAfter(change: (directory: string) => void): Promise<Error> {
    const directory = join(root, `copy-${++count}`);
    await cp(template, directory, { recursive: true });
    change(directory);
    try {
      loadReplica(join(directory, 'replica-1/replica.yaml'));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      error.message = error.message.replaceAll(`${directory}/`, '');
      return error;
    }
    throw new Error('was loaded');
  }

  function edit(directory: string, name: string, from: string, to: string): void {
    const file = join(directory, name);
    writeFileSync(file, readFileSync(file, 'utf8').replace(from, to));
  }

  it('names a missing file', async () => {
    for (const name of ['identity-cert.pem', 'identity-key.pem', 'tls-key.pem']) {
      const error = await loadAfter((directory) => rmSync(join(directory, 'replica-1/keys', name)));
      expect(error).to.have.property('code', 'file_missing');
      expect(error.message).to.contain(`replica-1/keys/${name}: there is no such file`);
    }
    const error = await loadAfter((directory) => rmSync(join(directory, 'genesis/main.block')));
    expect(error.message).to.equal('genesis block: genesis/main.block: there is no such file');
  });

  it('names what is not what it should be', async () => {
    const nonsense = (name: string) => (directory: string) =>
      writeFileSync(join(directory, name), 'nonsense');
    const certificate = await loadAfter(nonsense('replica-1/keys/tls-cert.pem'));
    expect(certificate.message).to.match(/^replica-1\/keys\/tls-cert.pem is not a PEM cert/);
    const key = await loadAfter(nonsense('replica-1/keys/tls-key.pem'));
    expect(key.message).to.match(/^replica-1\/keys\/tls-key.pem is not a PEM private key/);
    const genesis = await loadAfter(nonsense('genesis/main.block'));
    expect(genesis).to.be.instanceOf(ConfigError);
    expect(genesis.message).to.match(/^genesis\/main.block: genesis block: /);
  });

  it('refuses keys that others may read', async function () {
    if (process.platform === 'win32') this.skip();
    const error = await loadAfter((directory) =>
      chmodSync(join(directory, 'replica-1/keys/identity-key.pem'), 0o640),
    );
    expect(error).to.have.property('code', 'key_file_exposed');
    expect(error.message).to.match(/chmod 600/);
  });

  it('refuses files that contradict each other', async () => {
    const swap = (from: string, to: string) => (directory: string) =>
      copyFileSync(join(directory, from), join(directory, to));
    const cases: [(directory: string) => void, RegExp][] = [
      [
        swap('replica-2/keys/identity-key.pem', 'replica-1/keys/identity-key.pem'),
        /the private key in replica-1\/keys\/identity-key.pem does not belong to the certificate/,
      ],
      [
        (directory) => {
          for (const end of ['cert', 'key']) {
            const name = `keys/identity-${end}.pem`;
            swap(`replica-2/${name}`, `replica-1/${name}`)(directory);
          }
        },
        /is not the identity certificate that channel main knows consenter 1 by/,
      ],
      [
        (directory) => {
          for (const end of ['cert', 'key']) {
            const name = `keys/tls-${end}.pem`;
            swap(`replica-2/${name}`, `replica-1/${name}`)(directory);
          }
        },
        /is not the TLS server certificate that channel main knows consenter 1 by/,
      ],
      [
        (directory) => edit(directory, 'replica-1/replica.yaml', 'number: 1', 'number: 9'),
        /number: 9 is not among the consenters of channel main \(1, 2, 3, 4\)/,
      ],
      [
        (directory) => edit(directory, 'network.yaml', 'number: 4', 'number: 5'),
        /network.yaml: replicas: number 4 is missing/,
      ],
      [
        (directory) => edit(directory, 'network.yaml', 'name: main', 'name: other'),
        /genesis block of channel other, but it is that of main/,
      ],
      [
        (directory) =>
          edit(directory, 'network.yaml', 'maxMessageCount: 500', 'maxMessageCount: 600'),
        /network.yaml:9: batch of channel main: maxMessageCount is 600 here and 500 in the genesis/,
      ],
      [
        (directory) => edit(directory, 'network.yaml', 'timeout: 2s', 'timeout: 1s'),
        /timeoutMs is 1000 here and 2000 in the genesis block, which decides/,
      ],
      [
        (directory) => edit(directory, 'replica-1/replica.yaml', 'Org1MSP', 'OrdererMSP'),
        /gateway: its identity may not write to channel main: the certificate was not issued/,
      ],
    ];
    for (const [change, message] of cases) {
      const error = await loadAfter(change);
      expect(error, String(message)).to.have.property('code', 'mismatch');
      expect(error.message).to.match(message);
    }
  });

  it('refuses a channel that is not for Sluice', async () => {
    const error = await loadAfter((directory) => {
      const file = join(directory, 'genesis/main.block');
      const config = readChannelConfig(new Uint8Array(readFileSync(file)));
      writeFileSync(file, encodeGenesisBlock({ ...config, sluice: undefined }));
    });
    expect(error).to.have.property('code', 'not_a_sluice_channel');
    expect(error.message).to.match(/^genesis\/main.block: Channel\/Orderer\/ConsensusType: /);
  });

  it('warns of certificates that end soon, and of clocks', () => {
    const file = join(template, 'replica-1/replica.yaml');
    const day = 86_400_000;
    const later = loadReplica(file, Date.now() + (5 * 365 - 8) * day).warnings;
    expect(later).to.have.lengthOf(3);
    expect(later[0]).to.match(/^the certificate of the identity of replica 1 expires in \d+ days/);
    expect(loadReplica(file, Date.now() + 6 * 365 * day).warnings[1]).to.match(/expired on/);
    expect(loadReplica(file, Date.now() - day).warnings[2]).to.match(/check the clock/);
  });

  it('takes the replica’s own wait mode before the channel’s', () => {
    const file = join(template, 'replica-2/replica.yaml');
    writeFileSync(file, `${readFileSync(file, 'utf8')}waitMode: block\n`);
    const [channel] = loadReplica(file).channels;
    expect(channel?.waitMode).to.equal('block');
    expect(channel?.sluice.waitMode).to.equal('adaptive');
  });

  it('keeps keys out of reach of JSON', () => {
    const { identity } = loadReplica(join(template, 'replica-1/replica.yaml'));
    const seed = createPrivateKey(identity.keyPem).export({ format: 'jwk' }).d ?? '';
    expect(JSON.stringify(identity.privateKey)).not.to.contain(seed);
  });
});
