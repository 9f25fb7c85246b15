import net from 'node:net';
import { expect } from 'chai';
import fc from 'fast-check';
import { Admission, type PendingConnection } from '../../rdma/links/admission.ts';
import { backoffMs } from '../../rdma/links/backoff.ts';
import { REFUSAL_CODES } from '../../rdma/links/errors.ts';
import {
  decodeLinkControl,
  encodeFrame,
  encodeHello,
  encodeRefused,
  FrameReader,
} from '../../rdma/links/frames.ts';
import { issueTestNetwork, type TestNetwork } from '../support/certificates.ts';
import { until } from '../support/until.ts';
import { closeAll, connect, hello, rawPeer, type TestLinks, testLinks } from './links-harness.ts';

function readAll(chunks: readonly Uint8Array[], bytesMax: number) {
  const reader = new FrameReader(bytesMax);
  const frames: { topic: number; body: string }[] = [];
  for (const chunk of chunks) {
    const fault = reader.push(Buffer.from(chunk), (topic, body) => {
      frames.push({ topic, body: body.toString('hex') });
      return true;
    });
    if (fault !== undefined) return { frames, fault };
  }
  return { frames, fault: undefined };
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const sorted = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length];
  sorted.sort((x, y) => x - y);
  return sorted.slice(1).map((end, i) => bytes.subarray(sorted[i], end));
}

describe('links: frames', () => {
  it('come out as they went in, however the stream is cut', () => {
    const frame = fc.record({
      topic: fc.integer({ min: 0, max: 0xffff }),
      body: fc.uint8Array({ maxLength: 300 }),
    });
    const cuts = fc.array(fc.nat({ max: 5_000 }), { maxLength: 40 });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), cuts, (frames, at) => {
        const stream = Buffer.concat(frames.map(({ topic, body }) => encodeFrame(topic, body)));
        const expected = frames.map(({ topic, body }) => ({
          topic,
          body: Buffer.from(body).toString('hex'),
        }));
        expect(readAll(split(stream, at), 300).frames).to.deep.equal(expected);
        const bytewise = Array.from(stream, (byte) => Uint8Array.of(byte));
        expect(readAll(bytewise, 300).frames).to.deep.equal(expected);
      }),
    );
  });

  it('that are too large are a fault at their header, whatever the cut', () => {
    const stream = encodeFrame(16, Buffer.alloc(301)).subarray(0, 6);
    for (const chunks of [[stream], Array.from(stream, (byte) => Uint8Array.of(byte))]) {
      const { frames, fault } = readAll(chunks, 300);
      expect(frames).to.deep.equal([]);
      expect(fault).to.deep.equal({ kind: 'too-large', lengthBytes: 303 });
    }
  });

  it('garbage never throws, and hands up no body over the bound', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }), (chunks) => {
        const { frames } = readAll(chunks, 32);
        for (const { body } of frames) expect(body.length / 2).to.be.at.most(32);
      }),
      { numRuns: 500 },
    );
  });

  it('bodies are the receiver own: later pushes do not change them', () => {
    const reader = new FrameReader(1000);
    const kept: Buffer[] = [];
    const keep = (_: number, body: Buffer) => kept.push(body) > 0;
    const stream = Buffer.concat([1, 2, 3].map((n) => encodeFrame(n, Buffer.alloc(200, n))));
    for (let i = 0; i < stream.length; i += 150) {
      reader.push(Buffer.from(stream.subarray(i, i + 150)), keep);
    }
    expect(kept.map((body) => body.every((byte) => byte === body[0]))).to.deep.equal(
      Array(3).fill(true),
    );
  });

  it('control bodies decode totally, and what encodes decodes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const { kind } = decodeLinkControl(bytes);
        expect(kind).to.be.oneOf(['hello', 'other-version', 'ping', 'refused', 'malformed']);
      }),
      { numRuns: 500 },
    );
    const id = fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' });
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffff }),
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        id.filter((text) => Buffer.byteLength(text) <= 256),
        (index, incarnation, networkId) => {
          const said = { index, incarnation: incarnation.toString(), networkId };
          const decoded = decodeLinkControl(encodeHello(said).subarray(6));
          expect(decoded).to.deep.equal({ kind: 'hello', hello: said });
        },
      ),
    );
    for (const code of REFUSAL_CODES) {
      const decoded = decodeLinkControl(
        encodeRefused({ code, message: `\u001b[31m${'x'.repeat(400)}` }).subarray(6),
      );
      expect(decoded).to.have.nested.property('refusal.code', code);
      expect(decoded)
        .to.have.nested.property('refusal.message')
        .that.matches(/^\?\[31mx+$/);
    }
  });

  it('truncated or changed HELLOs never decode to the same claim', () => {
    const said = { index: 3, incarnation: '12345678901234567890', networkId: 'net' };
    const body = encodeHello(said).subarray(6);
    for (let i = 0; i < body.length; i += 1) {
      expect(decodeLinkControl(body.subarray(0, i)).kind).to.equal('malformed');
      const changed = Buffer.from(body);
      changed[i] = (changed[i] as number) ^ 1;
      expect(decodeLinkControl(changed)).to.not.deep.equal({ kind: 'hello', hello: said });
    }
  });
});

describe('links: back-off', () => {
  it('doubles up to its ceiling and always leaves jitter', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 5_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (k, r) => {
          const waitMs = backoffMs(k, 50, 2_000, r);
          const ceiling = Math.min(2_000, 50 * 2 ** Math.min(k, 30));
          expect(waitMs).to.be.within(ceiling / 2, ceiling);
        },
      ),
    );
  });
});

describe('links: admission', () => {
  const limits = { pendingConnectionsMax: 4, pendingPerHostMax: 2, pendingGraceMs: 100 };

  function pending(host: string, sinceMs: number, evicted: string[]): PendingConnection {
    return { host, sinceMs, evict: () => evicted.push(`${host}@${sinceMs}`) };
  }

  it('refuses the excess of one host while its connections are young', () => {
    const evicted: string[] = [];
    const admission = new Admission(limits);
    expect(admission.admit(pending('x', 0, evicted))).to.equal(true);
    expect(admission.admit(pending('x', 1, evicted))).to.equal(true);
    expect(admission.admit(pending('x', 50, evicted))).to.equal(false);
    expect(admission.admit(pending('y', 50, evicted))).to.equal(true);
    expect(admission.admit(pending('x', 100, evicted))).to.equal(true);
    expect(evicted).to.deep.equal(['x@0']);
    expect(admission.size).to.equal(3);
  });

  it('makes room at the cost of the host that holds most', () => {
    const evicted: string[] = [];
    const admission = new Admission(limits);
    for (const host of ['x', 'x', 'y', 'z']) admission.admit(pending(host, 0, evicted));
    expect(admission.admit(pending('peer', 99, evicted))).to.equal(false);
    expect(admission.admit(pending('peer', 150, evicted))).to.equal(true);
    expect(evicted).to.deep.equal(['x@0']);
  });

  it('never holds more than its bounds', () => {
    const host = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    fc.assert(
      fc.property(fc.array(fc.tuple(host, fc.nat({ max: 60 })), { maxLength: 60 }), (arrivals) => {
        const admission = new Admission(limits);
        let nowMs = 0;
        for (const [from, afterMs] of arrivals) {
          nowMs += afterMs;
          admission.admit(pending(from, nowMs, []));
          expect(admission.size).to.be.at.most(limits.pendingConnectionsMax);
        }
      }),
    );
  });
});

describe('links: hostile connections', () => {
  let network: TestNetwork;
  let nodes: TestLinks[] = [];
  const sockets: net.Socket[] = [];

  before(async () => {
    network = await issueTestNetwork(2);
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await closeAll(nodes);
    nodes = [];
  });

  async function acceptor(limits: Parameters<typeof testLinks>[2] = {}): Promise<TestLinks> {
    const node = testLinks(network, 0, limits);
    nodes.push(node);
    node.port = (await node.links.listen()).port;
    return node;
  }

  function tcp(port: number): net.Socket {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    sockets.push(socket);
    return socket;
  }

  it('garbage instead of TLS is dropped; the peer still gets through', async () => {
    const node = await acceptor();
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 400 }), async (bytes) => {
        const socket = tcp(node.port);
        const closed = new Promise((resolve) => socket.once('close', resolve));
        socket.end(bytes);
        await closed;
      }),
      { numRuns: 30 },
    );
    const dialer = testLinks(network, 1);
    nodes.push(dialer);
    await dialer.links.listen();
    connect(dialer, [node]);
    await until('the link is up', () => node.links.state(1) === 'up');
  });

  it('garbage of an authenticated peer costs it the link, nothing else', async () => {
    const node = await acceptor();
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.uint8Array({ minLength: 6, maxLength: 400 }),
        async (afterHello, bytes) => {
          const raw = await rawPeer(node.port, network.tlsCa.certPem, network.replicas[1]?.tls);
          if (afterHello) raw.socket.write(hello(1));
          raw.socket.end(bytes);
          await until('it is closed', () => raw.closed);
        },
      ),
      { numRuns: 30 },
    );
    await until('nothing is left', () => node.links.pendingConnections === 0);
    await until('no link is left', () => node.links.state(1) === 'down');
  });

  it('slow connections are dropped before TLS, during TLS and before HELLO', async () => {
    const node = await acceptor({ limits: { helloTimeoutMs: 150 } });
    const mute = tcp(node.port);
    const drip = tcp(node.port);
    // Start of a TLS record that never ends.
    drip.write(Buffer.from([22, 3, 1, 2, 0, 1]));
    const idle = await rawPeer(node.port, network.tlsCa.certPem, network.replicas[1]?.tls);
    const dripper = await rawPeer(node.port, network.tlsCa.certPem, network.replicas[1]?.tls);
    dripper.socket.write(hello(1).subarray(0, 7));
    await until('TCP ones are closed', () => mute.destroyed && drip.destroyed);
    await until('TLS ones are closed', () => idle.closed && dripper.closed);
    expect(idle.refusal()).to.equal('hello_timeout');
    expect(dripper.refusal()).to.equal('hello_timeout');
    await until('nothing is pending', () => node.links.pendingConnections === 0);
  });

  it('a flood of connections is bounded and the peer gets through it', async () => {
    const bounds = { pendingConnectionsMax: 8, pendingPerHostMax: 8, helloTimeoutMs: 60_000 };
    const node = await acceptor({ limits: bounds });
    let worst = 0;
    for (let i = 0; i < 60; i += 1) tcp(node.port);
    const watch = setInterval(() => {
      worst = Math.max(worst, node.links.pendingConnections);
      // Whoever was dropped comes back at once.
      for (const [i, socket] of sockets.entries()) {
        if (!socket.destroyed) continue;
        sockets.splice(i, 1);
        tcp(node.port);
        break;
      }
    }, 10);
    const dialer = testLinks(network, 1);
    nodes.push(dialer);
    await dialer.links.listen();
    await until('the places are taken', () => worst === 8);
    connect(dialer, [node]);
    await until('the link is up', () => node.links.state(1) === 'up');
    clearInterval(watch);
    expect(worst).to.equal(8);
    const lines = node.log.filter(({ level }) => level === 'warn').length;
    expect(lines, 'the flood fills the log').to.be.at.most(11);
  });

  it('a dialed host that accepts and says nothing is given up and dialed again', async () => {
    let accepted = 0;
    const server = net.createServer((socket) => {
      accepted += 1;
      sockets.push(socket);
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const dialer = testLinks(network, 1, { limits: { helloTimeoutMs: 100 } });
    nodes.push(dialer);
    await dialer.links.listen();
    dialer.links.setPeerAddress(0, '127.0.0.1', (server.address() as net.AddressInfo).port);
    dialer.links.dial();
    await until('three dials', () => accepted >= 3);
    await dialer.links.close();
    server.close();
  });
});
