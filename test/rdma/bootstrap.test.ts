import { expect } from 'chai';
import fc from 'fast-check';
import {
  Bootstrap,
  type BootstrapDependencies,
  bootstrapChannel,
  type TransportPort,
} from '../../rdma/bootstrap.ts';
import {
  BOOTSTRAP_FRAME_BYTES_MAX,
  BOOTSTRAP_REFUSALS,
  type BootstrapFrame,
  decodeBootstrapFrame,
  encodeBootstrapFrame,
} from '../../rdma/bootstrap-frames.ts';
import type { RegionOffer, SessionKeys } from '../../rdma/contract.ts';
import { PeerLinks } from '../../rdma/links/links.ts';
import { LINK_TOPICS } from '../../rdma/links/topics.ts';
import { issueTestNetwork, type TestNetwork } from '../support/certificates.ts';
import { until } from '../support/until.ts';
import { linkOptions } from './links-harness.ts';

const OFFER: RegionOffer = {
  provider: 'shm',
  name: '/sluice-0123456789abcdef0123456789abcdef',
  regionBytes: 1 << 20,
  layoutDigest: '0123456789abcdef',
};
const PEER = 1;
const LINK = { pairSecret: new Uint8Array(32).fill(7), peerIncarnation: '22' };
const QUIET = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/**
 * The far side of the thread border, with a memory of what it was asked and a gate on each answer.
 */
class GatedPort implements TransportPort {
  readonly calls: string[] = [];
  readonly keys: SessionKeys[] = [];
  readonly gates: { readonly call: string; open(error?: Error): void }[] = [];
  gated = false;

  async offer(peer: number, keys: SessionKeys): Promise<RegionOffer> {
    this.keys.push(keys);
    await this.#call(`offer ${peer}`);
    return OFFER;
  }
  async accept(peer: number): Promise<void> {
    await this.#call(`accept ${peer}`);
  }
  async confirm(peer: number): Promise<void> {
    await this.#call(`confirm ${peer}`);
  }
  async close(peer: number): Promise<void> {
    await this.#call(`close ${peer}`);
  }

  #call(call: string): Promise<void> {
    this.calls.push(call);
    if (!this.gated) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const open = (error?: Error) => (error === undefined ? resolve() : reject(error));
      this.gates.push({ call, open });
    });
  }
}

function subject(overrides: Partial<BootstrapDependencies> = {}, mapTimeoutMs = 5_000) {
  const port = new GatedPort();
  const sent: BootstrapFrame[] = [];
  const dropped: string[] = [];
  const events: string[] = [];
  const bootstrap = new Bootstrap(
    { channel: 'main', self: 0, incarnation: '11', mapTimeoutMs },
    {
      transport: port,
      sendLink: (_, body) => {
        const frame = decodeBootstrapFrame(body);
        if (frame.kind === 'malformed') throw new Error(`we sent nonsense: ${frame.reason}`);
        sent.push(frame);
        return true;
      },
      dropLink: (_, reason) => dropped.push(reason),
      log: QUIET,
      onOpen: (peer) => events.push(`open ${peer}`),
      onClosed: (peer, reason) => events.push(`closed ${peer} ${reason}`),
      ...overrides,
    },
  );
  const say = (frame: BootstrapFrame) => bootstrap.onFrame(PEER, encodeBootstrapFrame(frame));
  const ourToken = () => sent.findLast((frame) => frame.kind === 'offer')?.token ?? '';
  return { port, sent, dropped, events, bootstrap, say, ourToken };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));
const theirToken = 'ab'.repeat(16);
const theirOffer: BootstrapFrame = {
  kind: 'offer',
  channel: 'main',
  token: theirToken,
  offer: OFFER,
};
const mapped = (token: string): BootstrapFrame => ({ kind: 'mapped', channel: 'main', token });

describe('bootstrap: one end', () => {
  it('opens when both regions are mapped, in either order', async () => {
    for (const order of ['offer first', 'mapped first'] as const) {
      const { port, sent, events, bootstrap, say, ourToken } = subject();
      bootstrap.onLinkUp(PEER, LINK);
      await settle();
      say(theirOffer);
      if (order === 'offer first') await settle();
      say(mapped(ourToken()));
      await settle();
      expect(events).to.deep.equal([`open ${PEER}`]);
      expect(bootstrap.state(PEER)).to.equal('open');
      expect(port.calls).to.deep.equal(['offer 1', 'accept 1', 'confirm 1']);
      expect(sent.map(({ kind }) => kind)).to.deep.equal(['offer', 'mapped']);
      expect(sent[1]).to.deep.equal(mapped(theirToken));
      await bootstrap.close();
      expect(port.calls.at(-1)).to.equal('close 1');
    }
  });

  it('keeps an offer that comes before its own is ready', async () => {
    const { port, events, bootstrap, say, ourToken } = subject();
    port.gated = true;
    bootstrap.onLinkUp(PEER, LINK);
    say(theirOffer);
    await settle();
    expect(port.calls).to.deep.equal(['offer 1']);
    port.gated = false;
    port.gates[0]?.open();
    await settle();
    expect(port.calls).to.deep.equal(['offer 1', 'accept 1']);
    say(mapped(ourToken()));
    await settle();
    expect(events).to.deep.equal(['open 1']);
    await bootstrap.close();
  });

  it('hands the transport the secret of the link and both incarnations', async () => {
    const { port, bootstrap } = subject();
    bootstrap.onLinkUp(PEER, LINK);
    await settle();
    const { pairSecret, peerIncarnation } = LINK;
    expect(port.keys).to.deep.equal([{ pairSecret, peerIncarnation, selfIncarnation: '11' }]);
    await bootstrap.close();
  });

  const faults: [string, string, (s: ReturnType<typeof subject>) => void][] = [
    ['OFFER twice', 'repeated_frame', ({ say }) => [say(theirOffer), say(theirOffer)]],
    [
      'OFFER again once the session is open',
      'repeated_frame',
      ({ say, ourToken }) => [say(theirOffer), say(mapped(ourToken())), say(theirOffer)],
    ],
    [
      'MAPPED twice',
      'repeated_frame',
      ({ say, ourToken }) => [say(theirOffer), say(mapped(ourToken())), say(mapped(ourToken()))],
    ],
    ['MAPPED before OFFER', 'out_of_order', ({ say, ourToken }) => say(mapped(ourToken()))],
    [
      'MAPPED with another token',
      'wrong_token',
      ({ say }) => [say(theirOffer), say(mapped('00'.repeat(16)))],
    ],
    [
      'our frames sent back',
      'wrong_token',
      ({ say }) => [say(theirOffer), say(mapped(theirToken))],
    ],
    ['garbage', 'malformed_frame', ({ bootstrap }) => bootstrap.onFrame(PEER, Buffer.from('{'))],
  ];
  for (const [name, code, attack] of faults) {
    it(`refuses ${name}, closes the session and drops the link`, async () => {
      const s = subject();
      s.bootstrap.onLinkUp(PEER, LINK);
      await settle();
      attack(s);
      await settle();
      expect(s.dropped).to.deep.equal([code]);
      expect(s.sent.at(-1)).to.include({ kind: 'refused', code });
      expect(s.events.at(-1)).to.equal(`closed 1 ${code}`);
      expect(s.port.calls.at(-1)).to.equal('close 1');
      expect(s.bootstrap.state(PEER)).to.equal('down');
      const calls = s.port.calls.length;
      s.say(theirOffer);
      await settle();
      expect(s.port.calls, 'frames after a refusal have no effect').to.have.length(calls);
      await s.bootstrap.close();
    });
  }

  it('starts anew, with another token, on the next link', async () => {
    const { port, sent, bootstrap, say, ourToken, events } = subject();
    bootstrap.onLinkUp(PEER, LINK);
    await settle();
    const first = ourToken();
    bootstrap.onLinkDown(PEER);
    bootstrap.onLinkUp(PEER, LINK);
    await settle();
    expect(port.calls).to.deep.equal(['offer 1', 'close 1', 'offer 1']);
    expect(ourToken()).to.not.equal(first);
    say(theirOffer);
    say(mapped(first));
    await settle();
    expect(sent.at(-1)).to.include({ kind: 'refused', code: 'wrong_token' });
    expect(events).to.deep.equal(['closed 1 link_down', 'closed 1 wrong_token']);
    await bootstrap.close();
  });

  it('never has two calls for one peer under way, and closes before it offers again', async () => {
    const { port, sent, bootstrap } = subject();
    port.gated = true;
    for (let i = 0; i < 50; i += 1) {
      bootstrap.onLinkUp(PEER, LINK);
      bootstrap.onLinkDown(PEER);
    }
    bootstrap.onLinkUp(PEER, LINK);
    await settle();
    expect(port.calls).to.deep.equal(['offer 1']);
    port.gates[0]?.open();
    await settle();
    expect(port.calls).to.deep.equal(['offer 1', 'close 1']);
    expect(sent, 'the offer of a dead link is not sent').to.deep.equal([]);
    port.gates[1]?.open();
    await settle();
    expect(port.calls).to.deep.equal(['offer 1', 'close 1', 'offer 1']);
    port.gated = false;
    port.gates[2]?.open();
    await bootstrap.close();
  });

  it('drops the link when the transport fails, the link is full or the peer refuses', async () => {
    const broken = subject();
    broken.port.gated = true;
    broken.bootstrap.onLinkUp(PEER, LINK);
    broken.port.gated = false;
    broken.port.gates[0]?.open(new Error('no memory'));
    await settle();
    expect(broken.dropped).to.deep.equal(['transport_failed']);
    expect(broken.port.calls).to.deep.equal(['offer 1', 'close 1']);

    const full = subject({ sendLink: () => false });
    full.bootstrap.onLinkUp(PEER, LINK);
    await settle();
    expect(full.dropped).to.deep.equal(['link_busy']);

    const refused = subject();
    refused.bootstrap.onLinkUp(PEER, LINK);
    await settle();
    refused.say({ kind: 'refused', channel: 'main', code: 'transport_failed', message: 'x' });
    await settle();
    expect(refused.dropped).to.deep.equal(['transport_failed']);
    expect(refused.port.calls.at(-1)).to.equal('close 1');

    const faulty = subject();
    faulty.bootstrap.onLinkUp(PEER, LINK);
    await settle();
    faulty.bootstrap.restart(PEER, 'a ring is broken');
    await settle();
    expect(faulty.dropped).to.deep.equal(['restarted']);
    for (const { bootstrap } of [broken, full, refused, faulty]) await bootstrap.close();
  });

  it('gives up on a peer that offers and never maps, but waits for one that is not there yet', async () => {
    const { dropped, bootstrap, say } = subject({}, 30);
    bootstrap.onLinkUp(PEER, LINK);
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(dropped).to.deep.equal([]);
    say(theirOffer);
    await until('it gives up', () => dropped.length === 1);
    expect(dropped).to.deep.equal(['map_timeout']);
    await bootstrap.close();
  });

  it('ignores frames of other channels and of peers without a link', async () => {
    const { port, dropped, bootstrap, say } = subject();
    say(theirOffer);
    bootstrap.onLinkUp(PEER, LINK);
    await settle();
    say({ ...theirOffer, channel: 'other' });
    await settle();
    expect(port.calls).to.deep.equal(['offer 1']);
    expect(dropped).to.deep.equal([]);
    expect(bootstrapChannel(encodeBootstrapFrame({ ...theirOffer, channel: 'other' }))).to.equal(
      'other',
    );
    await bootstrap.close();
  });
});

describe('bootstrap: frames', () => {
  it('decode to what was encoded', () => {
    const frames: BootstrapFrame[] = [theirOffer, mapped(theirToken)];
    for (const code of BOOTSTRAP_REFUSALS) {
      frames.push({ kind: 'refused', channel: 'a.b-c', code, message: 'why' });
    }
    for (const frame of frames) {
      const bytes = encodeBootstrapFrame(frame);
      expect(bytes.length).to.be.at.most(BOOTSTRAP_FRAME_BYTES_MAX);
      expect(decodeBootstrapFrame(bytes)).to.deep.equal(frame);
    }
  });

  it('refuse every offer that is not exactly one', () => {
    const offers: unknown[] = [
      { ...OFFER, provider: 'pigeon' },
      { ...OFFER, name: '/../../etc/passwd' },
      { ...OFFER, name: '/a/b' },
      { ...OFFER, name: '..' },
      { ...OFFER, name: '' },
      { ...OFFER, name: 'x'.repeat(300) },
      { ...OFFER, name: '/a\u0000b' },
      { ...OFFER, regionBytes: 0 },
      { ...OFFER, regionBytes: -1 },
      { ...OFFER, regionBytes: 1.5 },
      { ...OFFER, regionBytes: 2 ** 53 },
      { ...OFFER, regionBytes: '4096' },
      { ...OFFER, layoutDigest: 'XYZ' },
      { ...OFFER, extra: 1 },
      { ...OFFER, name: undefined },
      [],
      null,
      'offer',
    ];
    for (const offer of offers) {
      const frame = JSON.stringify({ ...theirOffer, offer });
      expect(decodeBootstrapFrame(Buffer.from(frame)), frame).to.have.property('kind', 'malformed');
    }
    const others: unknown[] = [
      { ...theirOffer, token: theirToken.toUpperCase() },
      { ...theirOffer, token: theirToken.slice(2) },
      { ...theirOffer, channel: '' },
      { ...theirOffer, channel: 'Main' },
      { ...theirOffer, more: true },
      { ...mapped(theirToken), more: true },
      { kind: 'mapped', channel: 'main', token: 7 },
      { kind: 'refused', channel: 'main', code: 'unknown', message: '' },
      { kind: 'refused', channel: 'main', code: 'link_busy', message: 'x'.repeat(201) },
      { kind: '__proto__', channel: 'main' },
    ];
    for (const other of others) {
      const frame = JSON.stringify(other);
      expect(decodeBootstrapFrame(Buffer.from(frame)), frame).to.have.property('kind', 'malformed');
    }
  });

  it('decode totally', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (b) => !!decodeBootstrapFrame(b).kind),
    );
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(decodeBootstrapFrame(Buffer.from(text)).kind).to.equal('malformed');
      }),
    );
    const huge = Buffer.alloc(BOOTSTRAP_FRAME_BYTES_MAX + 1, 0x20);
    expect(decodeBootstrapFrame(huge)).to.deep.equal({ kind: 'malformed', reason: 'too large' });
  });
});

describe('bootstrap: over real links', () => {
  let network: TestNetwork;

  before(async () => {
    network = await issueTestNetwork(2);
  });

  /** Two ends; the port checks that what one offered is what the other accepts. */
  async function ends() {
    const nodes = [0, 1].map((self) => {
      const port = new GatedPort();
      const opened: number[] = [];
      const closed: string[] = [];
      const links: PeerLinks = new PeerLinks(linkOptions(network, self, self, {}), {
        log: QUIET,
        handlers: {
          onUp: (peer, info) => bootstrap.onLinkUp(peer, info),
          onDown: (peer, reason) => bootstrap.onLinkDown(peer, reason),
          onFrame: (peer, topic, body) => {
            if (topic === LINK_TOPICS.bootstrap) bootstrap.onFrame(peer, body);
          },
        },
      });
      const bootstrap = new Bootstrap(
        { channel: 'main', self, incarnation: String(1000 + self) },
        {
          transport: port,
          sendLink: (peer, body) => links.send(peer, LINK_TOPICS.bootstrap, body),
          dropLink: (peer, reason) => links.disconnect(peer, reason),
          log: QUIET,
          onOpen: (peer) => opened.push(peer),
          onClosed: (_, reason) => closed.push(reason),
        },
      );
      return { port, opened, closed, links, bootstrap };
    });
    const [left, right] = nodes;
    if (left === undefined || right === undefined) throw new Error('two nodes');
    const { port } = await left.links.listen();
    await right.links.listen();
    right.links.setPeerAddress(0, '127.0.0.1', port);
    right.links.dial();
    const close = async () => {
      await Promise.all([left.bootstrap.close(), right.bootstrap.close()]);
      await Promise.all([left.links.close(), right.links.close()]);
    };
    return { left, right, close };
  }

  it('opens a session with the same secret at both ends', async () => {
    const { left, right, close } = await ends();
    await until('both are open', () => left.opened.length + right.opened.length === 2);
    expect(left.port.keys[0]?.pairSecret).to.deep.equal(right.port.keys[0]?.pairSecret);
    expect(left.port.keys[0]?.peerIncarnation).to.equal('1001');
    expect(right.port.keys[0]?.peerIncarnation).to.equal('1000');
    await close();
    expect(left.port.calls.at(-1)).to.equal('close 1');
    expect(right.port.calls.at(-1)).to.equal('close 0');
  });

  it('opens again, with other keys, after the link broke, a fault and a refusal', async () => {
    const { left, right, close } = await ends();
    const breaks = [
      () => right.links.disconnect(0, 'test'),
      () => left.bootstrap.restart(1, 'a ring is broken'),
      () => right.links.send(0, LINK_TOPICS.bootstrap, Buffer.from('garbage')),
    ];
    for (const [i, breakIt] of breaks.entries()) {
      const opened = () => Math.min(left.opened.length, right.opened.length);
      await until('both are open', () => opened() === i + 1);
      breakIt();
      await until('both are open again', () => opened() === i + 2);
    }
    const secrets = left.port.keys.map(({ pairSecret }) => Buffer.from(pairSecret).toString('hex'));
    expect(new Set(secrets).size).to.equal(secrets.length);
    expect(left.port.keys.map(({ pairSecret }) => pairSecret)).to.deep.equal(
      right.port.keys.map(({ pairSecret }) => pairSecret),
    );
    expect(left.closed).to.deep.equal(['disconnected', 'restarted', 'malformed_frame']);
    await close();
  });
});
