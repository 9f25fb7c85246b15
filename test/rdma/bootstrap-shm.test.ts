import { readdirSync } from 'node:fs';
import { expect } from 'chai';
import { Bootstrap } from '../../rdma/bootstrap.ts';
import type { RegionOffer, SessionKeys, Transport } from '../../rdma/contract.ts';
import { openShmTransport } from '../../rdma/index.ts';
import { PeerLinks } from '../../rdma/links/links.ts';
import { LINK_TOPICS } from '../../rdma/links/topics.ts';
import { issueTestNetwork, type TestNetwork } from '../support/certificates.ts';
import { until } from '../support/until.ts';
import { linkOptions } from './links-harness.ts';

const REPLICAS = 4;
const QUIET = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

interface Node {
  readonly index: number;
  readonly transport: Transport;
  readonly links: PeerLinks;
  readonly bootstrap: Bootstrap;
  readonly offers: RegionOffer[];
  /** What arrived: `kind from text`. */
  readonly inbox: string[];
  port: number;
}

function startNode(network: TestNetwork, index: number): Node {
  const incarnation = String(1000 + index);
  const transport = openShmTransport({
    self: index,
    replicas: REPLICAS,
    windowSlots: 16,
    channel: 'main',
    epoch: 0,
    waitMode: 'block',
  });
  const offers: RegionOffer[] = [];
  const links: PeerLinks = new PeerLinks(linkOptions(network, index, index, { incarnation }), {
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
    { channel: 'main', self: index, incarnation },
    {
      transport: {
        offer: async (peer: number, keys: SessionKeys) => {
          const offer = transport.offer(peer, keys);
          offers.push(offer);
          return offer;
        },
        accept: async (peer, offer) => transport.accept(peer, offer),
        confirm: async (peer) => transport.confirm(peer),
        close: async (peer) => transport.close(peer),
      },
      sendLink: (peer, body) => links.send(peer, LINK_TOPICS.bootstrap, body),
      dropLink: (peer, reason) => links.disconnect(peer, reason),
      log: QUIET,
    },
  );
  return { index, transport, links, bootstrap, offers, inbox: [], port: 0 };
}

function drain({ transport, inbox }: Node): void {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString().replaceAll('\0', '');
  transport.poll(
    { fromSlot: 0, toSlot: 15 },
    {
      onCell: (peer, kind, _slot, _view, _flags, body) => {
        inbox.push(`${kind} ${peer} ${text(body)}`);
      },
      onLane: (peer, payload) => inbox.push(`lane ${peer} ${text(payload)}`),
      onMessage: (peer, payload) => inbox.push(`message ${peer} ${text(payload)}`),
      onFault: (peer, fault) => inbox.push(`fault ${peer} ${JSON.stringify(fault)}`),
    },
  );
}

describe('bootstrap: real links and real shared memory', () => {
  let network: TestNetwork;
  let nodes: Node[] = [];

  before(async () => {
    network = await issueTestNetwork(REPLICAS);
  });
  beforeEach(async () => {
    nodes = network.replicas.map(({ index }) => startNode(network, index));
    for (const node of nodes) node.port = (await node.links.listen()).port;
    for (const node of nodes) {
      for (const { index, port } of nodes) node.links.setPeerAddress(index, '127.0.0.1', port);
      node.links.dial();
    }
    await until('all sessions are open', allOpen);
  });
  afterEach(async () => {
    await Promise.all(nodes.map(({ bootstrap }) => bootstrap.close()));
    await Promise.all(nodes.map(({ links }) => links.close()));
    for (const { transport } of nodes) transport.destroy();
  });

  const at = (index: number): Node => nodes[index] as Node;
  const peersOf = (index: number) => nodes.map((node) => node.index).filter((i) => i !== index);
  const allOpen = () =>
    nodes.every(({ index, transport, bootstrap }) =>
      peersOf(index).every(
        (peer) => transport.sessionState(peer) === 'open' && bootstrap.state(peer) === 'open',
      ),
    );

  /** Everybody writes to everybody, and all of it arrives exactly once. */
  async function exchange(round: string): Promise<void> {
    for (const node of nodes) {
      node.inbox.length = 0;
      const body = Buffer.from(`${round}${node.index}`);
      node.transport.writeLane(body);
      for (const peer of peersOf(node.index)) node.transport.send(peer, body);
    }
    const expected = (index: number) =>
      peersOf(index)
        .flatMap((peer) => [`lane ${peer} ${round}${peer}`, `message ${peer} ${round}${peer}`])
        .sort();
    await until('everything arrived', () => {
      for (const node of nodes) drain(node);
      return nodes.every(({ inbox }) => inbox.length >= 2 * (REPLICAS - 1));
    });
    for (const { index, inbox } of nodes) expect([...inbox].sort()).to.deep.equal(expected(index));
  }

  it('opens the sessions of four replicas, and leaves no name behind', async () => {
    await exchange('a');
    const names = nodes.flatMap(({ offers }) => offers.map(({ name }) => name.replace('/', '')));
    expect(new Set(names).size).to.equal(REPLICAS * (REPLICAS - 1));
    const left = readdirSync('/dev/shm').filter((file) => names.includes(file));
    expect(left).to.deep.equal([]);
  });

  it('opens them again with new regions after a link broke', async () => {
    await exchange('a');
    const before = at(1).offers.length;
    at(2).links.disconnect(1, 'test');
    await until('the session is closed', () => at(1).transport.sessionState(2) !== 'open');
    await until('all are open again', allOpen);
    expect(at(1).offers.length).to.equal(before + 1);
    await exchange('b');
    expect(
      nodes.flatMap(({ index, transport }) =>
        peersOf(index).map((p) => transport.counters(p).badFrames),
      ),
    ).to.deep.equal(Array(12).fill(0));
  });

  it('opens them again after the transport asked for it', async () => {
    at(3).bootstrap.restart(0, 'a ring is broken');
    await until('the session is closed', () => at(0).transport.sessionState(3) !== 'open');
    await until('all are open again', allOpen);
    await exchange('c');
  });
});
