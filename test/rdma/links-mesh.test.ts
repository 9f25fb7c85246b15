import { expect } from 'chai';
import { LinkError } from '../../rdma/links/errors.ts';
import { PeerLinks } from '../../rdma/links/links.ts';
import { issueTestNetwork, type TestNetwork } from '../support/certificates.ts';
import { until } from '../support/until.ts';
import {
  closeAll,
  connect,
  hello,
  linkOptions,
  rawPeer,
  silentProxy,
  startMesh,
  type TestLinks,
  testLinks,
} from './links-harness.ts';

describe('links: the mesh', () => {
  let network: TestNetwork;
  let nodes: TestLinks[] = [];

  before(async () => {
    network = await issueTestNetwork(4);
  });
  afterEach(async () => {
    await closeAll(nodes);
    nodes = [];
  });

  const [a, b] = [0, 1] as const;
  const at = (index: number): TestLinks => nodes[index] as TestLinks;
  const secretOf = (index: number, peer: number): string | undefined =>
    at(index).ups.findLast((up) => up.peer === peer)?.secret;

  it('brings four replicas together with one secret per pair', async () => {
    nodes = await startMesh(network);
    await until('all links up', () => nodes.every(({ ups }) => ups.length === 3));
    const secrets = new Set<string>();
    for (let i = 0; i < 4; i += 1) {
      for (let j = 0; j < i; j += 1) {
        expect(secretOf(i, j)).to.match(/^[0-9a-f]{64}$/);
        expect(secretOf(i, j)).to.equal(secretOf(j, i));
        secrets.add(secretOf(i, j) as string);
        expect(at(i).links.state(j)).to.equal('up');
        expect(at(i).ups.find(({ peer }) => peer === j)?.incarnation).to.equal(String(1000 + j));
      }
    }
    expect(secrets.size).to.equal(6);
    expect(nodes.flatMap(({ downs }) => downs)).to.deep.equal([]);
  });

  it('carries frames of all sizes in order', async () => {
    nodes = await startMesh(network, { limits: { frameBytesMax: 200_000 } });
    await until('the link is up', () => at(b).links.state(a) === 'up');
    await until('the link is up', () => at(a).links.state(b) === 'up');
    const sizes = [0, 1, 63, 64, 65, 16_383, 16_384, 100_000, 200_000];
    for (const size of sizes) {
      expect(at(a).links.send(b, 16, Buffer.alloc(size, size % 251))).to.equal(true);
    }
    await until('all frames arrived', () => at(b).frames.length === sizes.length);
    expect(at(b).frames.map(({ body }) => body.length)).to.deep.equal(sizes);
    for (const { peer, topic, body } of at(b).frames) {
      expect([peer, topic]).to.deep.equal([a, 16]);
      expect(body.every((byte) => byte === body.length % 251)).to.equal(true);
    }
  });

  it('has a new secret after each reconnect', async () => {
    nodes = await startMesh(network);
    await until('the link is up', () => at(a).links.state(b) === 'up');
    const first = secretOf(a, b);
    at(a).links.disconnect(b, 'test');
    await until('it is up again', () => at(a).ups.filter(({ peer }) => peer === b).length === 2);
    await until('at both ends', () => at(b).ups.filter(({ peer }) => peer === a).length === 2);
    expect(secretOf(a, b)).to.not.equal(first);
    expect(secretOf(a, b)).to.equal(secretOf(b, a));
    expect(at(a).downs).to.deep.equal([{ peer: b, reason: 'disconnected' }]);
    expect(at(b).downs).to.deep.equal([{ peer: a, reason: 'disconnected' }]);
  });

  it('takes a restarted peer with a new incarnation', async () => {
    nodes = await startMesh(network);
    await until('all links up', () => nodes.every(({ ups }) => ups.length === 3));
    const old = at(2);
    await old.links.close();
    expect(old.downs.map(({ reason }) => reason)).to.deep.equal(Array(3).fill('shutting_down'));
    await until('the others saw it', () => [0, 1, 3].every((i) => at(i).downs.length === 1));
    const fresh = testLinks(network, 2, { incarnation: '18446744073709551615' });
    fresh.port = (await fresh.links.listen()).port;
    nodes[2] = fresh;
    at(3).links.setPeerAddress(2, '127.0.0.1', fresh.port);
    connect(fresh, nodes);
    await until('it is back', () => fresh.ups.length === 3);
    for (const index of [0, 1, 3]) {
      await until('the peer sees it', () => at(index).links.state(2) === 'up');
      expect(at(index).ups.at(-1)?.incarnation).to.equal('18446744073709551615');
    }
  });

  it('replaces the link of an old incarnation at once', async () => {
    const acceptor = testLinks(network, a, { limits: { silenceMaxMs: 60_000, suspectMs: 60_000 } });
    nodes = [acceptor];
    acceptor.port = (await acceptor.links.listen()).port;
    const tls = network.replicas[b]?.tls;
    const first = await rawPeer(acceptor.port, network.tlsCa.certPem, tls);
    first.socket.write(hello(b, '1'));
    await until('the first is up', () => acceptor.ups.length === 1);
    const second = await rawPeer(acceptor.port, network.tlsCa.certPem, tls);
    second.socket.write(hello(b, '2'));
    await until('the second is up', () => acceptor.ups.length === 2);
    expect(acceptor.downs).to.deep.equal([{ peer: b, reason: 'replaced' }]);
    await until('the first is told', () => first.refusal() === 'replaced');
    await until('the first is closed', () => first.closed);
    second.socket.destroy();
  });

  it('refuses a second link of a process whose first is lively', async () => {
    nodes = await startMesh(network);
    await until('the link is up', () => at(a).links.state(b) === 'up');
    const tls = network.replicas[b]?.tls;
    const second = await rawPeer(at(a).port, network.tlsCa.certPem, tls);
    second.socket.write(hello(b, String(1000 + b)));
    await until('it is refused', () => second.refusal() === 'link_exists' && second.closed);
    expect(at(a).links.state(b)).to.equal('up');
    expect(at(a).downs).to.deep.equal([]);
  });

  it('gives a peer that dials in a loop one link per interval', async () => {
    const acceptor = testLinks(network, a, { limits: { linkIntervalMinMs: 60_000 } });
    nodes = [acceptor];
    acceptor.port = (await acceptor.links.listen()).port;
    const tls = network.replicas[b]?.tls;
    const first = await rawPeer(acceptor.port, network.tlsCa.certPem, tls);
    first.socket.write(hello(b, '1'));
    await until('the first is up', () => acceptor.ups.length === 1);
    for (const incarnation of ['2', '3']) {
      const next = await rawPeer(acceptor.port, network.tlsCa.certPem, tls);
      next.socket.write(hello(b, incarnation));
      await until('the next is refused', () => next.refusal() === 'too_often' && next.closed);
    }
    expect(acceptor.links.state(b)).to.equal('up');
    first.socket.destroy();
  });

  it('notices half-open sockets at both ends and dials again', async () => {
    const acceptor = testLinks(network, a);
    const dialer = testLinks(network, b);
    nodes = [acceptor, dialer];
    acceptor.port = (await acceptor.links.listen()).port;
    await dialer.links.listen();
    const proxy = await silentProxy(acceptor.port);
    dialer.links.setPeerAddress(a, '127.0.0.1', proxy.port);
    dialer.links.dial();
    await until('the link is up', () => acceptor.ups.length === 1 && dialer.ups.length === 1);
    proxy.cut();
    await until('a new link is up', () => acceptor.ups.length === 2 && dialer.ups.length === 2);
    expect(dialer.downs).to.deep.equal([{ peer: a, reason: 'silent' }]);
    expect(acceptor.downs).to.have.length(1);
    expect(acceptor.downs[0]?.reason).to.be.oneOf(['silent', 'replaced']);
    await closeAll(nodes);
    await proxy.close();
  });

  it('lets a suspect link give way to a new connection of the same process', async () => {
    const acceptor = testLinks(network, a, { limits: { suspectMs: 80, silenceMaxMs: 60_000 } });
    nodes = [acceptor];
    acceptor.port = (await acceptor.links.listen()).port;
    const tls = network.replicas[b]?.tls;
    const mute = await rawPeer(acceptor.port, network.tlsCa.certPem, tls);
    mute.socket.write(hello(b, '1'));
    await until('the first is up', () => acceptor.ups.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const second = await rawPeer(acceptor.port, network.tlsCa.certPem, tls);
    second.socket.write(hello(b, '1'));
    await until('the second is up', () => acceptor.ups.length === 2);
    expect(acceptor.downs).to.deep.equal([{ peer: b, reason: 'replaced' }]);
    for (const { socket } of [mute, second]) socket.destroy();
  });

  it('keeps an idle link up for many times the silence limit', async () => {
    nodes = await startMesh(network);
    await until('all links up', () => nodes.every(({ ups }) => ups.length === 3));
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(nodes.flatMap(({ downs }) => downs)).to.deep.equal([]);
  });

  it('dials on with back-off until the peer is there, and logs it once', async () => {
    const dialer = testLinks(network, b);
    nodes = [dialer];
    await dialer.links.listen();
    const probe = testLinks(network, a);
    const { port } = await probe.links.listen();
    await probe.links.close();
    dialer.links.setPeerAddress(a, '127.0.0.1', port);
    dialer.links.dial();
    const trouble = () => dialer.log.filter(({ data }) => data.code === 'connection_lost');
    await until('some dials failed', () => trouble().length >= 4);
    expect(trouble().filter(({ level }) => level === 'warn')).to.have.length(1);
    const acceptor = testLinks(network, a);
    nodes.push(acceptor);
    acceptor.port = (await acceptor.links.listen()).port;
    dialer.links.setPeerAddress(a, '127.0.0.1', acceptor.port);
    await until('it is up', () => dialer.links.state(a) === 'up');
  });

  it('says false when there is no link or the peer does not read, and keeps its memory', async () => {
    const outputBytesMax = 512 * 1024;
    const acceptor = testLinks(network, a, {
      limits: { outputBytesMax, frameBytesMax: 64 * 1024, silenceMaxMs: 60_000 },
    });
    nodes = [acceptor];
    acceptor.port = (await acceptor.links.listen()).port;
    expect(acceptor.links.send(b, 16, Buffer.alloc(1))).to.equal(false);
    const deaf = await rawPeer(acceptor.port, network.tlsCa.certPem, network.replicas[b]?.tls);
    deaf.socket.write(hello(b));
    await until('it is up', () => acceptor.ups.length === 1);
    deaf.socket.pause();
    const body = Buffer.alloc(64 * 1024);
    let sent = 0;
    let refused = 0;
    while (refused < 3) {
      if (acceptor.links.send(b, 16, body)) sent += 1;
      else refused += 1;
      await new Promise((resolve) => setTimeout(resolve, 1));
      expect(sent, 'the buffer is not bounded').to.be.lessThan(1_000);
    }
    deaf.socket.resume();
    await until('it drains', () => acceptor.links.send(b, 16, body));
    await until('nothing is lost', () => deaf.frames.filter((f) => f.topic === 16).length > sent);
    deaf.socket.destroy();
  });

  it('survives a handler that throws: only that link is dropped', async () => {
    nodes = await startMesh(network);
    await until('all links up', () => nodes.every(({ ups }) => ups.length === 3));
    at(a).onFrame = () => {
      throw new Error('bug');
    };
    at(b).links.send(a, 16, Buffer.from('x'));
    await until('the link is dropped', () => at(b).downs.length === 1);
    expect(at(b).downs).to.deep.equal([{ peer: a, reason: 'handler_failed' }]);
    expect(at(a).log.some(({ level }) => level === 'error')).to.equal(true);
    await until('it is up again', () => at(b).links.state(a) === 'up');
    expect(at(2).downs).to.deep.equal([]);
  });

  it('names what is wrong with its options', () => {
    const good = linkOptions(network, a, a, {});
    const peer = good.peers[0];
    if (peer === undefined) throw new Error('no peer');
    const other = network.replicas[b]?.tls.keyPem ?? '';
    const handlers = { onUp: () => {}, onDown: () => {}, onFrame: () => {} };
    const quiet = () => {};
    const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
    const cases: [Partial<typeof good>, RegExp][] = [
      [{ caPem: [] }, /caPem/],
      [{ tlsKeyPem: other }, /tlsKeyPem/],
      [{ tlsCertPem: 'nonsense' }, /tlsCertPem/],
      [{ incarnation: '-1' }, /incarnation/],
      [{ incarnation: '18446744073709551616' }, /incarnation/],
      [{ networkId: '' }, /networkId/],
      [{ self: 70_000 }, /index 70000/],
      [{ self: peer.index }, /different indices/],
      [{ listenPort: 65_536 }, /port 65536/],
      [{ limits: { helloTimeoutMs: 0 } }, /helloTimeoutMs/],
      [{ limits: { suspectMs: 10, pingIntervalMs: 10 } }, /suspectMs/],
      [{ peers: [{ ...peer, clientTlsPem: 'x' }] }, /peer 1 is not readable/],
      [{ peers: [peer, { ...peer, index: 2 }] }, /same TLS certificate/],
    ];
    for (const [change, message] of cases) {
      expect(() => new PeerLinks({ ...good, ...change }, { log, handlers }))
        .to.throw(LinkError, message)
        .with.property('code', 'bad_options');
    }
    const links = new PeerLinks(good, { log, handlers });
    expect(() => links.dial()).to.throw(LinkError, /listen/);
    expect(() => links.send(b, 0, Buffer.alloc(1))).to.throw(LinkError, /topic 0/);
    expect(() => links.send(b, 16, Buffer.alloc((1 << 20) + 1))).to.throw(LinkError, /too large/);
  });
});
