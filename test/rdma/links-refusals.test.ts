import { expect } from 'chai';
import { encodeFrame } from '../../rdma/links/frames.ts';
import {
  createTestAuthority,
  issueTestNetwork,
  type KeyAndCertificate,
  type TestNetwork,
} from '../support/certificates.ts';
import { until } from '../support/until.ts';
import {
  closeAll,
  connect,
  hello,
  NETWORK_ID,
  rawPeer,
  type TestLinks,
  type TestLinksOptions,
  testLinks,
} from './links-harness.ts';

/** Replica 1 accepts, replica 2 dials; replica 0 is away. */
const ACCEPTOR = 1;
const DIALER = 2;

describe('links: who is refused, and why', () => {
  let network: TestNetwork;
  let nodes: TestLinks[] = [];

  before(async () => {
    network = await issueTestNetwork(3);
  });
  afterEach(async () => {
    await closeAll(nodes);
    nodes = [];
  });

  async function pair(acceptor: TestLinksOptions, dialer: TestLinksOptions, using = network) {
    const left = testLinks(using, ACCEPTOR, acceptor);
    const right = testLinks(using, DIALER, dialer);
    nodes = [left, right];
    left.port = (await left.links.listen()).port;
    await right.links.listen();
    connect(right, [left]);
    return { left, right };
  }

  /** Both ends know the code, and no link was ever up. */
  async function refusedBoth(code: string, acceptor: TestLinksOptions, dialer: TestLinksOptions) {
    const { left, right } = await pair(acceptor, dialer);
    await until(`the acceptor logged ${code}`, () => left.codes().includes(code));
    await until(`the dialer logged ${code}`, () => right.codes().includes(code));
    expect(left.ups).to.deep.equal([]);
    expect(right.ups).to.deep.equal([]);
  }

  async function tlsOf(options: { notBefore?: Date; notAfter?: Date }): Promise<KeyAndCertificate> {
    return network.tlsCa.issue({ commonName: 'replica3.sluice.test', usage: 'tls', ...options });
  }

  /** The same network with another certificate pinned for one replica. */
  function pinned(index: number, tls: KeyAndCertificate): TestNetwork {
    const replicas = network.replicas.map((r) => (r.index === index ? { ...r, tls } : r));
    return { ...network, replicas };
  }

  it('a dialer with a valid certificate that is not pinned', async () => {
    await refusedBoth('certificate_not_pinned', {}, { tls: await tlsOf({}) });
  });

  it('an acceptor with a valid certificate that is not pinned', async () => {
    await refusedBoth('certificate_not_pinned', { tls: await tlsOf({}) }, {});
  });

  it('a certificate of another CA, even when it is pinned', async () => {
    const other = await createTestAuthority('other');
    const tls = await other.issue({ commonName: 'replica3.sluice.test', usage: 'tls' });
    const { left, right } = await pair({}, { caPem: [network.tlsCa.certPem] }, pinned(DIALER, tls));
    await until('acceptor', () => left.codes().includes('certificate_untrusted'));
    await until('dialer', () => right.codes().includes('certificate_untrusted'));
    expect([...left.ups, ...right.ups]).to.deep.equal([]);
  });

  it('an expired certificate, even when it is pinned', async () => {
    const hourAgo = Date.now() - 3_600_000;
    const tls = await tlsOf({ notBefore: new Date(hourAgo - 1000), notAfter: new Date(hourAgo) });
    for (const index of [ACCEPTOR, DIALER]) {
      const { left, right } = await pair({}, {}, pinned(index, tls));
      await until('acceptor', () => left.codes().includes('certificate_expired'));
      await until('dialer', () => right.codes().includes('certificate_expired'));
      expect([...left.ups, ...right.ups]).to.deep.equal([]);
      await closeAll(nodes);
    }
  });

  it('a certificate that is not valid yet', async () => {
    const tls = await tlsOf({ notBefore: new Date(Date.now() + 3_600_000) });
    const { left } = await pair({}, {}, pinned(DIALER, tls));
    await until('acceptor', () => left.codes().includes('certificate_not_yet_valid'));
  });

  it('a right certificate that claims another index', async () => {
    const { left } = await pair({}, {});
    const tls = network.replicas[DIALER]?.tls;
    const liar = await rawPeer(left.port, network.tlsCa.certPem, tls);
    liar.socket.write(hello(0, '5'));
    await until('it is told', () => liar.refusal() === 'wrong_index');
    await until('it is closed', () => liar.closed);
    await until('it is logged', () => left.codes().includes('wrong_index'));
  });

  it('a right certificate in the wrong place: another replica answers at the address', async () => {
    const imposter = testLinks(network, 0);
    const dialer = testLinks(network, DIALER);
    nodes = [imposter, dialer];
    const { port } = await imposter.links.listen();
    await dialer.links.listen();
    dialer.links.setPeerAddress(ACCEPTOR, '127.0.0.1', port);
    dialer.links.dial();
    await until('the dialer refuses', () => dialer.codes().includes('wrong_index'));
    expect(dialer.links.state(ACCEPTOR)).to.equal('down');
    await until('the other logs it', () => imposter.codes().includes('wrong_index'));
  });

  it('another network', async () => {
    await refusedBoth('wrong_network', {}, { networkId: `${NETWORK_ID}2` });
  });

  it('a lower index that dials', async () => {
    const { left } = await pair({}, {});
    const lower = await rawPeer(left.port, network.tlsCa.certPem, network.replicas[0]?.tls);
    lower.socket.write(hello(0));
    await until('it is told', () => lower.refusal() === 'wrong_direction');
  });

  const lies: [string, string, (index: number) => Buffer][] = [
    ['another protocol version', 'protocol_version', (i) => withVersion(hello(i), 2)],
    ['a shorter HELLO of another version', 'protocol_version', () => shortHello(9)],
    ['a frame before HELLO', 'malformed_frame', () => encodeFrame(16, Buffer.from('early'))],
    ['a ping before HELLO', 'malformed_frame', () => encodeFrame(0, Buffer.of(2))],
    ['a HELLO that is too large', 'frame_too_large', () => encodeFrame(0, Buffer.alloc(1100, 1))],
    ['a HELLO with bytes behind it', 'malformed_frame', (i) => padded(hello(i))],
    ['a frame without topic', 'malformed_frame', () => Buffer.from([0, 0, 0, 1, 7, 7])],
    ['HELLO twice', 'malformed_frame', (i) => Buffer.concat([hello(i), hello(i)])],
    [
      'an oversize frame after HELLO',
      'frame_too_large',
      (i) => Buffer.concat([hello(i), Buffer.from([0x00, 0x10, 0x00, 0x03, 0, 16])]),
    ],
    [
      'an unknown link frame',
      'malformed_frame',
      (i) => Buffer.concat([hello(i), encodeFrame(0, Buffer.of(9))]),
    ],
  ];
  for (const [name, code, bytes] of lies) {
    it(name, async () => {
      const node = testLinks(network, ACCEPTOR);
      nodes = [node];
      node.port = (await node.links.listen()).port;
      const tls = network.replicas[DIALER]?.tls;
      const raw = await rawPeer(node.port, network.tlsCa.certPem, tls);
      raw.socket.write(bytes(DIALER));
      await until('it is told why', () => raw.refusal() === code);
      await until('it is closed', () => raw.closed);
      await until('it is logged', () => node.codes().includes(code));
      await until('no link is left', () => node.links.state(DIALER) === 'down');
      await until('nothing is pending', () => node.links.pendingConnections === 0);
    });
  }

  it('a client without a certificate', async () => {
    const { left } = await pair({}, {});
    const nobody = await rawPeer(left.port, network.tlsCa.certPem, undefined);
    nobody.socket.write(hello(DIALER));
    await until('it is told', () => nobody.refusal() === 'certificate_missing');
    await until('it is closed', () => nobody.closed);
  });

  it('a client that speaks TLS 1.2 only', async () => {
    const { left } = await pair({}, {});
    const { connect: tlsConnect } = await import('node:tls');
    const old = tlsConnect({
      host: '127.0.0.1',
      port: left.port,
      maxVersion: 'TLSv1.2',
      rejectUnauthorized: false,
    });
    const failure = await new Promise<Error>((resolve) => old.once('error', resolve));
    expect(failure.message).to.match(/protocol version|wrong version|alert/i);
  });
});

function withVersion(frame: Buffer, version: number): Buffer {
  const changed = Buffer.from(frame);
  changed.writeUInt16BE(version, 6 + 5);
  return changed;
}

function shortHello(version: number): Buffer {
  const body = Buffer.alloc(7);
  body.writeUInt8(1, 0);
  body.write('SLNK', 1, 'ascii');
  body.writeUInt16BE(version, 5);
  return encodeFrame(0, body);
}

function padded(frame: Buffer): Buffer {
  return encodeFrame(0, Buffer.concat([frame.subarray(6), Buffer.alloc(1)]));
}
