/** An authenticated replica that abuses the way in which sessions open: real links, real transports. */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { expect } from 'chai';
import { Bootstrap } from '../../rdma/bootstrap.ts';
import {
  type BootstrapFrame,
  decodeBootstrapFrame,
  encodeBootstrapFrame,
} from '../../rdma/bootstrap-frames.ts';
import type { Transport } from '../../rdma/index.ts';
import { PeerLinks } from '../../rdma/links/links.ts';
import { LINK_TOPICS } from '../../rdma/links/topics.ts';
import { linkOptions } from '../rdma/links-harness.ts';
import { describeProviders, incarnationOf, open, SMALL } from '../rdma/support/pair.ts';
import { issueTestNetwork, type TestNetwork } from '../support/certificates.ts';
import { patience } from '../support/slow.ts';
import { until } from '../support/until.ts';
import { resourcesInUse } from './support/resources.ts';

const VICTIM = 0;
const ATTACKER = 1;
const OTHER = 2;
/** As in production; the tests' own limits are shorter. */
const LINK_INTERVAL_MS = 200;
const RUSH_MS = 3_000;
const WAIT_MS = patience(8_000);

/** An emulated machine takes a second for a handshake. */
const PATIENT = { silenceMaxMs: WAIT_MS, helloTimeoutMs: patience(1_000) };
const STRANGERS = 200;

/** A correct replica, as far as sessions go. */
class Replica {
  readonly transport: Transport;
  readonly links: PeerLinks;
  readonly bootstrap: Bootstrap;
  readonly refusals: string[] = [];
  readonly downs: number[] = [];
  opened = 0;
  port = 0;

  constructor(network: TestNetwork, index: number) {
    this.transport = open(index, 3);
    const note = (data: object): void => {
      const { code } = data as { code?: unknown };
      if (typeof code === 'string') this.refusals.push(code);
    };
    const log = { debug: note, info: note, warn: note, error: note };
    const limits = { ...PATIENT, linkIntervalMinMs: LINK_INTERVAL_MS };
    const incarnation = incarnationOf(index);
    this.links = new PeerLinks(linkOptions(network, index, index, { incarnation, limits }), {
      log,
      handlers: {
        onUp: (peer, link) => this.bootstrap.onLinkUp(peer, link),
        onDown: (peer) => {
          this.downs.push(peer);
          this.bootstrap.onLinkDown(peer);
        },
        onFrame: (peer, topic, body) => {
          if (topic === LINK_TOPICS.bootstrap) this.bootstrap.onFrame(peer, body);
        },
      },
    });
    const { transport } = this;
    this.bootstrap = new Bootstrap(
      { channel: SMALL.channel, self: index, incarnation },
      {
        transport: {
          offer: async (peer, keys) => transport.offer(peer, keys),
          accept: async (peer, offer) => transport.accept(peer, offer),
          confirm: async (peer) => transport.confirm(peer),
          close: async (peer) => transport.close(peer),
        },
        sendLink: (peer, body) => this.links.send(peer, LINK_TOPICS.bootstrap, body),
        dropLink: (peer, reason) => this.links.disconnect(peer, reason),
        log,
        onOpen: () => this.opened++,
      },
    );
  }

  async close(): Promise<void> {
    await this.bootstrap.close();
    await this.links.close();
    this.transport.destroy();
  }
}

/** Holds the certificate of its replica, and says what the test wants. */
class Abuser {
  readonly transport = open(ATTACKER, 3);
  readonly links: PeerLinks;
  /** Of the victim's offers, in order. */
  readonly tokens: string[] = [];
  /** What the victim has refused. */
  readonly refusals: string[] = [];
  /** Which token to give back in the session of this number, from 0. */
  tokenFor = (session: number): string => this.tokens[session] ?? '';
  onOpen = (): void => {};
  opened = 0;

  constructor(network: TestNetwork) {
    const limits = { ...PATIENT, backoffMinMs: 1, backoffMaxMs: 2 };
    const incarnation = incarnationOf(ATTACKER);
    const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    this.links = new PeerLinks(linkOptions(network, ATTACKER, ATTACKER, { incarnation, limits }), {
      log: quiet,
      handlers: {
        onUp: (_, { pairSecret, peerIncarnation }) => {
          this.transport.close(VICTIM);
          const keys = { pairSecret, peerIncarnation, selfIncarnation: incarnation };
          const offer = this.transport.offer(VICTIM, keys);
          const token = randomBytes(16).toString('hex');
          this.#say({ kind: 'offer', channel: SMALL.channel, token, offer });
        },
        onDown: () => {},
        onFrame: (_, topic, body) => {
          if (topic === LINK_TOPICS.bootstrap) this.#hear(decodeBootstrapFrame(body));
        },
      },
    });
  }

  #hear(frame: ReturnType<typeof decodeBootstrapFrame>): void {
    switch (frame.kind) {
      case 'offer':
        this.tokens.push(frame.token);
        this.transport.accept(VICTIM, frame.offer);
        this.#say({
          kind: 'mapped',
          channel: SMALL.channel,
          token: this.tokenFor(this.tokens.length - 1),
        });
        break;
      case 'mapped':
        this.transport.confirm(VICTIM);
        this.opened++;
        this.onOpen();
        break;
      case 'refused':
        this.refusals.push(frame.code);
        break;
      default:
        throw new Error(`the victim says nonsense: ${frame.reason}`);
    }
  }

  #say(frame: BootstrapFrame): void {
    this.links.send(VICTIM, LINK_TOPICS.bootstrap, encodeBootstrapFrame(frame));
  }

  async close(): Promise<void> {
    await this.links.close();
    this.transport.destroy();
  }
}

describeProviders('a replica that abuses sessions', (provider) => {
  let network: TestNetwork;
  let victim: Replica;
  let other: Replica;
  let abuser: Abuser;

  before(async function () {
    this.timeout(WAIT_MS);
    network = await issueTestNetwork(3);
  });
  beforeEach(async () => {
    victim = new Replica(network, VICTIM);
    other = new Replica(network, OTHER);
    abuser = new Abuser(network);
    victim.port = (await victim.links.listen()).port;
    for (const { links } of [other, abuser]) {
      await links.listen();
      links.setPeerAddress(VICTIM, '127.0.0.1', victim.port);
    }
    other.links.dial();
    await until('the other session is open', () => other.opened === 1, WAIT_MS);
  });
  afterEach(async () => {
    await Promise.all([abuser.close(), other.close(), victim.close()]);
  });

  function expectOtherUntouched(): void {
    expect(victim.bootstrap.state(OTHER)).to.equal('open');
    expect(victim.transport.sessionState(OTHER)).to.equal('open');
    expect(victim.downs.filter((peer) => peer === OTHER)).to.deep.equal([]);
  }

  it('gets no session for a token of an earlier one; the next with its own', async () => {
    abuser.tokenFor = (session) => abuser.tokens[session === 1 ? 0 : session] ?? '';
    abuser.links.dial();
    await until('the first is open', () => abuser.opened === 1, WAIT_MS);
    abuser.links.disconnect(VICTIM, 'again');
    await until('the second is refused', () => victim.refusals.includes('wrong_token'), WAIT_MS);
    await until('the third is open', () => victim.opened === 3, WAIT_MS);
    expect(abuser.refusals).to.deep.equal(['wrong_token']);
    expect(victim.opened, 'the other, the first and the third').to.equal(3);
    expectOtherUntouched();
  });

  it('opens one after another at the pace of the links, and holds one at a time', async function () {
    this.timeout(RUSH_MS + 2 * WAIT_MS);
    abuser.links.dial();
    await until('the first is open', () => abuser.opened === 1, WAIT_MS);
    const held = resourcesInUse(provider);
    const [begunMs, before] = [performance.now(), abuser.opened];
    abuser.onOpen = () => abuser.links.disconnect(VICTIM, 'again');
    abuser.links.disconnect(VICTIM, 'again');
    await until('the rush is over', () => performance.now() - begunMs > RUSH_MS, RUSH_MS + WAIT_MS);
    abuser.onOpen = () => {};
    const sessions = abuser.opened - before;
    const bound = Math.ceil((performance.now() - begunMs) / LINK_INTERVAL_MS) + 1;
    const refused = victim.refusals.filter((code) => code === 'too_often').length;
    console.log(
      `      ${sessions} sessions in ${(RUSH_MS / 1_000).toFixed(0)} s (bound ${bound}), ${refused} dials refused`,
    );
    expect(sessions).to.be.within(1, bound);
    await until('it has one', () => abuser.transport.sessionState(VICTIM) === 'open', WAIT_MS);
    await until('the victim too', () => victim.bootstrap.state(ATTACKER) === 'open', WAIT_MS);
    expect(resourcesInUse(provider)).to.deep.equal(held);
    expectOtherUntouched();
  });

  it('strangers get neither memory nor a connection of the device, however many come', async () => {
    const held = resourcesInUse(provider);
    const settled: string[] = [];
    const sockets = Array.from({ length: STRANGERS }, (_, i) => {
      const socket = net.connect(victim.port, '127.0.0.1');
      socket.on('error', () => {});
      // Half of them say something that is not TLS, half say nothing.
      if (i % 2 === 0) socket.write(randomBytes(200));
      socket.once('close', () => settled.push('closed'));
      return socket;
    });
    try {
      await until('most of them are turned away', () => settled.length > STRANGERS / 2, WAIT_MS);
      expect(resourcesInUse(provider)).to.deep.equal(held);
      expectOtherUntouched();
      const startMs = performance.now();
      abuser.links.dial();
      await until('a replica gets through', () => abuser.opened === 1, WAIT_MS);
      const ms = Math.round(performance.now() - startMs);
      console.log(`      a session opened amid ${STRANGERS} strangers after ${ms} ms`);
      expectOtherUntouched();
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });
});
