import 'reflect-metadata';
import { hash } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { expect } from 'chai';
import fc from 'fast-check';
import { encodeSerializedIdentity } from '../../ledger/format/index.ts';
import {
  type ChannelConfig,
  ConfigError,
  type MspConfig,
} from '../../orderer/channel-config/index.ts';
import { IdentityResolver, parseCertificatePem, type Resolved } from '../../orderer/msp/index.ts';
import { anyRole } from '../../orderer/policy/index.ts';
import {
  creatorOf,
  type Issued,
  issue,
  mspConfig,
  NOW_MS,
  revocationList,
  roleUnits,
} from './msp-fixtures.ts';

const YEAR_MS = 365 * 86_400_000;

function channelOf(...msps: MspConfig[]): Pick<ChannelConfig, 'channel' | 'policies' | 'msps'> {
  const policies = {
    policies: new Map([['Writers', anyRole('Org1MSP', 'client', 'admin')]]),
    groups: new Map(),
  };
  return { channel: 'main', policies, msps };
}

function resolverOf(...msps: MspConfig[]): IdentityResolver {
  return new IdentityResolver(channelOf(...msps), { cacheEntriesMax: 8, refusedEntriesMax: 4 });
}

/** 'identity', or the code and message of the refusal. */
function outcome(resolved: Resolved): string {
  return resolved.kind === 'identity' ? 'identity' : `${resolved.code}: ${resolved.message}`;
}

describe('orderer/msp: identities', () => {
  let root: Issued;
  let client: Issued;

  before(async () => {
    root = await issue(undefined, 'root');
    client = await issue(root, 'alice', { units: ['client'] });
  });

  it('knows a member by its certificate, with key, roles and the right to write', () => {
    const resolver = resolverOf(mspConfig('Org1MSP', [root], { nodeOus: roleUnits(root.pem) }));
    const resolved = resolver.resolve(creatorOf('Org1MSP', client), NOW_MS);
    if (resolved.kind !== 'identity') throw new Error(outcome(resolved));
    const { identity } = resolved;
    expect([...identity.roles]).to.deep.equal(['member', 'client']);
    expect(identity.publicKey.algorithm).to.equal('ed25519');
    expect(identity.publicKey.bytes).to.deep.equal(client.spki.slice(-32));
    expect(identity.mayWrite).to.equal(true);
    expect(resolver.mayWrite(identity)).to.equal(true);
    expect(identity.units).to.deep.equal(['client']);
    const rootDer = new x509.X509Certificate(root.pem).rawData;
    expect(identity.certifiersDigest).to.equal(hash('sha256', new Uint8Array(rootDer)));
    expect(identity.notAfterMs).to.equal(NOW_MS + YEAR_MS);
  });

  it('takes P-256 keys as uncompressed points, under an Ed25519 or a P-256 CA', async () => {
    const ecRoot = await issue(undefined, 'ec-root', { algorithm: 'p256' });
    const resolver = resolverOf(mspConfig('Org1MSP', [root, ecRoot]));
    for (const issuer of [root, ecRoot]) {
      const writer = await issue(issuer, 'ec', { algorithm: 'p256' });
      const resolved = resolver.resolve(creatorOf('Org1MSP', writer), NOW_MS);
      if (resolved.kind !== 'identity') throw new Error(outcome(resolved));
      expect(resolved.identity.publicKey.algorithm).to.equal('p256');
      expect(resolved.identity.publicKey.bytes).to.deep.equal(writer.spki.slice(-65));
    }
  });

  it('judges the period of validity of the whole chain at each call, cached or not', async () => {
    const short = await issue(undefined, 'short', { notAfterMs: NOW_MS + 1_000 });
    const long = await issue(short, 'bob', { notAfterMs: NOW_MS + YEAR_MS });
    const resolver = resolverOf(mspConfig('Org1MSP', [short]));
    const creator = creatorOf('Org1MSP', long);
    expect(outcome(resolver.resolve(creator, NOW_MS + 2_000))).to.match(
      /^expired_certificate: it expired on 2026-06-01T00:00:01/,
    );
    expect(outcome(resolver.resolve(creator, NOW_MS))).to.equal('identity');
    expect(outcome(resolver.resolve(creator, NOW_MS - 2 * 86_400_000))).to.match(
      /^expired_certificate: it is valid from 2026-05-31/,
    );
    const [first, second] = [resolver.resolve(creator, undefined), resolver.resolve(creator, 0)];
    expect(first).to.have.nested.property('identity.notAfterMs', NOW_MS + 1_000);
    expect(outcome(second)).to.match(/^expired_certificate/);
  });

  it('refuses strangers: other organizations, other CAs, CAs of the same name, self-signed', async () => {
    const twin = await issue(undefined, 'root');
    const resolver = resolverOf(mspConfig('Org1MSP', [root]));
    const cases: [string, Uint8Array, RegExp][] = [
      ['other organization', creatorOf('Org9MSP', client), /"Org9MSP" is not an organization of/],
      ['twin', creatorOf('Org1MSP', await issue(twin, 'eve')), /was not issued by a CA of Org1MSP/],
      [
        'twin without key identifier',
        creatorOf('Org1MSP', await issue(twin, 'eve', { anonymousIssuer: true })),
        /was not issued by a CA of Org1MSP/,
      ],
      [
        'self-signed',
        creatorOf('Org1MSP', await issue(undefined, 'eve', { ca: false })),
        /was not issued by/,
      ],
      ['the CA itself', creatorOf('Org1MSP', root), /a CA certificate cannot be used/],
    ];
    for (const [name, creator, message] of cases) {
      const text = outcome(resolver.resolve(creator, NOW_MS));
      expect(text, name).to.match(/^unknown_writer: /);
      expect(text, name).to.match(message);
    }
  });

  it('refuses a certificate that another member issued', async () => {
    const resolver = resolverOf(mspConfig('Org1MSP', [root]));
    const child = await issue(client, 'mallory');
    expect(outcome(resolver.resolve(creatorOf('Org1MSP', child), NOW_MS))).to.match(
      /^unknown_writer: the certificate was not issued/,
    );
  });

  it('refuses keys and critical extensions that it does not know', async () => {
    const resolver = resolverOf(mspConfig('Org1MSP', [root]));
    const odd = await issue(root, 'odd', {
      extensions: [new x509.Extension('1.2.3.4', true, Uint8Array.of(5, 0))],
    });
    const p384 = await issue(root, 'p384', { algorithm: 'p384' });
    expect(outcome(resolver.resolve(creatorOf('Org1MSP', odd), NOW_MS))).to.match(/1\.2\.3\.4/);
    expect(outcome(resolver.resolve(creatorOf('Org1MSP', p384), NOW_MS))).to.match(
      /neither Ed25519 nor P-256/,
    );
    const harmless = await issue(root, 'fine', {
      extensions: [new x509.Extension('1.2.3.4', false, Uint8Array.of(5, 0))],
    });
    expect(outcome(resolver.resolve(creatorOf('Org1MSP', harmless), NOW_MS))).to.equal('identity');
  });

  it('refuses a certificate in which any bit is flipped', async () => {
    const { pem } = await issue(root, 'bits');
    const parsed = parseCertificatePem(pem);
    if (parsed.kind !== 'ok') throw new Error(parsed.reason);
    const { der } = parsed.value;
    const resolver = resolverOf(mspConfig('Org1MSP', [root]));
    for (let bit = 0; bit < der.length * 8; bit++) {
      const flipped = der.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const body = Buffer.from(flipped).toString('base64');
      const wrong = `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
      const resolved = resolver.resolve(creatorOf('Org1MSP', { pem: wrong }), NOW_MS);
      expect(resolved.kind, `bit ${bit}`).to.equal('refused');
    }
  });

  it('is total: arbitrary bytes are refused, never thrown on', () => {
    const resolver = resolverOf(mspConfig('Org1MSP', [root]));
    const refused = (creator: Uint8Array): void => {
      expect(resolver.resolve(creator, NOW_MS)).to.include({ kind: 'refused' });
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), refused), { numRuns: 200 });
    const asIdentity = (idBytes: Uint8Array) =>
      refused(encodeSerializedIdentity({ mspId: 'Org1MSP', idBytes }));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), asIdentity), { numRuns: 200 });
    const asPem = (der: Uint8Array) =>
      asIdentity(
        Buffer.from(
          `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----`,
        ),
      );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), asPem), { numRuns: 500 });
    for (const text of ['', client.pem + client.pem, `x${client.pem}`, `${client.pem}x`]) {
      asIdentity(Buffer.from(text));
    }
  });

  it('remembers good and refused creators apart, and no more than it may', () => {
    const resolver = resolverOf(mspConfig('Org1MSP', [root]));
    const creator = creatorOf('Org1MSP', client);
    const first = resolver.resolve(creator, NOW_MS);
    for (let index = 0; index < 100; index++) {
      resolver.resolve(Uint8Array.of(index), NOW_MS);
      resolver.resolve(creatorOf(`Org${index}`, client), NOW_MS);
    }
    expect(resolver.resolve(creator, NOW_MS)).to.equal(first);
    const refused = resolver.resolve(Uint8Array.of(7), NOW_MS);
    expect(resolver.resolve(Uint8Array.of(7), NOW_MS)).to.equal(refused);
  });
});

describe('orderer/msp: chains', () => {
  it('follows intermediate CAs, which then are the only ones to issue identities', async () => {
    const root = await issue(undefined, 'root', { pathLength: 2 });
    const middle = await issue(root, 'middle', { ca: true });
    const low = await issue(middle, 'low', { ca: true, pathLength: 0 });
    const intermediateCertsPem = [low.pem, middle.pem];
    const resolver = resolverOf(mspConfig('Org1MSP', [root], { intermediateCertsPem }));
    const from = async (issuer: Issued) =>
      outcome(resolver.resolve(creatorOf('Org1MSP', await issue(issuer, 'x')), NOW_MS));
    expect(await from(low)).to.equal('identity');
    expect(await from(middle)).to.match(/^unknown_writer/);
    expect(await from(root)).to.match(/^unknown_writer/);
  });

  it('refuses a configuration whose CAs do not hold together', async () => {
    const root = await issue(undefined, 'root', { pathLength: 0 });
    const stranger = await issue(undefined, 'stranger');
    const below = await issue(root, 'below', { ca: true });
    const orphan = await issue(stranger, 'orphan', { ca: true });
    const leaf = await issue(root, 'leaf');
    const signer = await issue(undefined, 'signer', { usages: x509.KeyUsageFlags.cRLSign });
    const cases: [MspConfig, RegExp][] = [
      [mspConfig('M', [root], { intermediateCertsPem: [below.pem] }), /allows 0 CAs below it/],
      [
        mspConfig('M', [stranger], { intermediateCertsPem: [orphan.pem, below.pem] }),
        /MSP M\/intermediate_certs\[1\]: does not lead to a root CA of M/,
      ],
      [mspConfig('M', [leaf]), /MSP M\/root_certs\[0\]: is not a CA/],
      [mspConfig('M', [signer]), /keyCertSign/],
      [mspConfig('M', [root], { rootCertsPem: ['nonsense'] }), /root_certs\[0\]: is not a cert/],
      [mspConfig('M', [root], { adminsPem: ['nonsense'] }), /MSP M\/admins\[0\]/],
      [mspConfig('M', [root], { nodeOus: roleUnits(stranger.pem) }), /is none of its CAs/],
      [mspConfig('M', [root], { revokedPem: ['nonsense'] }), /is not a revocation list/],
      [
        mspConfig('M', [root], { revokedPem: [await revocationList(stranger, ['01'])] }),
        /is not signed by a CA of M/,
      ],
    ];
    for (const [config, message] of cases) {
      expect(() => resolverOf(config)).to.throw(ConfigError, message);
    }
  });

  it('accepts two CAs of one name, as after a renewal', async () => {
    const [old, renewed] = [await issue(undefined, 'ca'), await issue(undefined, 'ca')];
    const resolver = resolverOf(mspConfig('Org1MSP', [old, renewed]));
    for (const issuer of [old, renewed]) {
      for (const anonymousIssuer of [true, false]) {
        const writer = await issue(issuer, 'x', { anonymousIssuer });
        const resolved = resolver.resolve(creatorOf('Org1MSP', writer), NOW_MS);
        expect(outcome(resolved)).to.equal('identity');
      }
    }
  });

  it('refuses revoked certificates, and everything below a revoked CA', async () => {
    const root = await issue(undefined, 'root');
    const middle = await issue(root, 'middle', { ca: true });
    const other = await issue(root, 'other', { ca: true });
    const [good, bad] = [await issue(other, 'good'), await issue(other, 'bad')];
    const below = await issue(middle, 'below');
    const sameSerial = await issue(middle, 'same', { serial: bad.serial });
    const config = mspConfig('Org1MSP', [root], {
      intermediateCertsPem: [middle.pem, other.pem],
      revokedPem: [
        await revocationList(other, [bad.serial]),
        await revocationList(root, [middle.serial]),
      ],
    });
    const resolver = resolverOf(config);
    const of = (issued: Issued) => outcome(resolver.resolve(creatorOf('Org1MSP', issued), NOW_MS));
    expect(of(good)).to.equal('identity');
    expect(of(bad)).to.match(/^revoked_certificate: certificate \w+ is on a revocation list/);
    expect(of(below)).to.match(/^revoked_certificate: the CA that issued/);
    const onlyOther = resolverOf({ ...config, revokedPem: config.revokedPem.slice(0, 1) });
    expect(outcome(onlyOther.resolve(creatorOf('Org1MSP', sameSerial), NOW_MS))).to.equal(
      'identity',
    );
  });
});

describe('orderer/msp: roles', () => {
  it('come from one organizational unit, vouched for by the right CA', async () => {
    const [root, second] = [await issue(undefined, 'root'), await issue(undefined, 'second')];
    const config = mspConfig('Org1MSP', [root, second], { nodeOus: roleUnits(root.pem) });
    const resolver = resolverOf(config);
    const of = async (issuer: Issued, ...units: string[]) => {
      const resolved = resolver.resolve(
        creatorOf('Org1MSP', await issue(issuer, 'x', { units })),
        NOW_MS,
      );
      return resolved.kind === 'identity' ? [...resolved.identity.roles] : resolved.message;
    };
    expect(await of(root, 'peer', 'sales')).to.deep.equal(['member', 'peer']);
    expect(await of(root, 'orderer')).to.deep.equal(['member', 'orderer']);
    expect(await of(root, 'admin')).to.deep.equal(['member', 'admin']);
    expect(await of(root)).to.match(/none of the role units \(OU\) of Org1MSP: client, peer/);
    expect(await of(root, 'client', 'peer')).to.match(/more than one role unit/);
    expect(await of(second, 'client')).to.match(/may not vouch for unit "client"/);
  });

  it('admins may be listed, with or without units', async () => {
    const root = await issue(undefined, 'root');
    const boss = await issue(root, 'boss');
    for (const nodeOus of [undefined, roleUnits(root.pem)]) {
      const resolver = resolverOf(mspConfig('Org1MSP', [root], { nodeOus, adminsPem: [boss.pem] }));
      const resolved = resolver.resolve(creatorOf('Org1MSP', boss), NOW_MS);
      if (resolved.kind !== 'identity') throw new Error(outcome(resolved));
      expect([...resolved.identity.roles]).to.deep.equal(['member', 'admin']);
      expect(resolved.identity.mayWrite).to.equal(true);
    }
  });

  it('a member without a writing role is known and may not write', async () => {
    const root = await issue(undefined, 'root');
    const peer = await issue(root, 'peer', { units: ['peer'] });
    const resolver = resolverOf(mspConfig('Org1MSP', [root], { nodeOus: roleUnits() }));
    const resolved = resolver.resolve(creatorOf('Org1MSP', peer), NOW_MS);
    expect(resolved).to.have.nested.property('identity.mayWrite', false);
  });

  it('an organization may ask for units of its own', async () => {
    const root = await issue(undefined, 'root');
    const organizationalUnits = [{ unit: 'trade', certificatePem: root.pem }];
    const resolver = resolverOf(mspConfig('Org1MSP', [root], { organizationalUnits }));
    const of = async (...units: string[]) =>
      outcome(resolver.resolve(creatorOf('Org1MSP', await issue(root, 'x', { units })), NOW_MS));
    expect(await of('trade')).to.equal('identity');
    expect(await of('sales')).to.match(/none of the organizational units that Org1MSP asks for/);
  });
});
