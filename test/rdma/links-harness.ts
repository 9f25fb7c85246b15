/**
 * Real links on loopback, a raw TLS peer that says what a correct one never would,
 * and a proxy that can go silent.
 */
import net from 'node:net';
import tls from 'node:tls';
import { decodeLinkControl, encodeHello, FrameReader } from '../../rdma/links/frames.ts';
import type { LinkLimits } from '../../rdma/links/limits.ts';
import { type LinkOptions, type LinkPeer, PeerLinks } from '../../rdma/links/links.ts';
import { LINK_TOPICS } from '../../rdma/links/topics.ts';
import type { KeyAndCertificate, TestNetwork } from '../support/certificates.ts';

export const NETWORK_ID = 'test-network';

/** Short enough for tests, with the same relations as the real ones. */
const TEST_LIMITS: Partial<LinkLimits> = {
  pingIntervalMs: 40,
  suspectMs: 120,
  silenceMaxMs: 250,
  helloTimeoutMs: 1_000,
  pendingGraceMs: 50,
  refusalLingerMs: 200,
  linkIntervalMinMs: 1,
  backoffMinMs: 10,
  backoffMaxMs: 80,
};

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly data: Record<string, unknown>;
  readonly message: string;
}

export interface TestLinks {
  readonly index: number;
  readonly links: PeerLinks;
  port: number;
  readonly log: LogLine[];
  readonly ups: { peer: number; secret: string; incarnation: string }[];
  readonly downs: { peer: number; reason: string }[];
  readonly frames: { peer: number; topic: number; body: Uint8Array }[];
  /** Set by a test: what the handler does with a frame besides recording it. */
  onFrame?: (peer: number, topic: number, body: Uint8Array) => void;
  codes(): unknown[];
}

export interface TestLinksOptions {
  readonly incarnation?: string;
  readonly limits?: Partial<LinkLimits>;
  readonly networkId?: string;
  readonly tls?: KeyAndCertificate;
  /** Which replica these links pretend to be; default `index`. */
  readonly self?: number;
  readonly ports?: ReadonlyMap<number, number>;
  readonly caPem?: readonly string[];
}

/** Not listening yet. */
export function testLinks(
  network: TestNetwork,
  index: number,
  options: TestLinksOptions = {},
): TestLinks {
  const self = options.self ?? index;
  const log: LogLine[] = [];
  const at = (level: LogLine['level']) => (data: object, message: string) => {
    log.push({ level, data: data as Record<string, unknown>, message });
  };
  const ups: TestLinks['ups'] = [];
  const downs: TestLinks['downs'] = [];
  const frames: TestLinks['frames'] = [];
  const links = new PeerLinks(linkOptions(network, self, index, options), {
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    handlers: {
      onUp: (peer, { pairSecret, peerIncarnation: incarnation }) => {
        ups.push({ peer, secret: Buffer.from(pairSecret).toString('hex'), incarnation });
      },
      onDown: (peer, reason) => downs.push({ peer, reason }),
      onFrame: (peer, topic, body) => {
        frames.push({ peer, topic, body });
        result.onFrame?.(peer, topic, body);
      },
    },
  });
  const codes = () => log.map(({ data }) => data.code);
  const result: TestLinks = { index: self, links, port: 0, log, ups, downs, frames, codes };
  return result;
}

export function linkOptions(
  network: TestNetwork,
  self: number,
  index: number,
  options: TestLinksOptions,
): LinkOptions {
  const own = options.tls ?? network.replicas[index]?.tls;
  if (own === undefined) throw new Error(`the test network has no replica ${index}`);
  const peers = network.replicas
    .filter((replica) => replica.index !== self)
    .map(
      (replica): LinkPeer => ({
        index: replica.index,
        host: '127.0.0.1',
        port: options.ports?.get(replica.index) ?? 1,
        clientTlsPem: replica.tls.certPem,
        serverTlsPem: replica.tls.certPem,
      }),
    );
  return {
    self,
    listenHost: '127.0.0.1',
    listenPort: 0,
    peers,
    tlsCertPem: own.certPem,
    tlsKeyPem: own.keyPem,
    caPem: options.caPem ?? [network.tlsCa.certPem],
    incarnation: options.incarnation ?? String(1000 + index),
    networkId: options.networkId ?? NETWORK_ID,
    limits: { ...TEST_LIMITS, ...options.limits },
  };
}

/** All replicas listening, told each other's ports, dialing. */
export async function startMesh(
  network: TestNetwork,
  options: TestLinksOptions = {},
): Promise<TestLinks[]> {
  const nodes = network.replicas.map(({ index }) => testLinks(network, index, options));
  for (const node of nodes) node.port = (await node.links.listen()).port;
  for (const node of nodes) connect(node, nodes);
  return nodes;
}

export function connect(node: TestLinks, others: readonly TestLinks[]): void {
  for (const { index, port } of others) node.links.setPeerAddress(index, '127.0.0.1', port);
  node.links.dial();
}

export async function closeAll(nodes: readonly TestLinks[]): Promise<void> {
  await Promise.all(nodes.map(({ links }) => links.close()));
}

export interface RawPeer {
  readonly socket: tls.TLSSocket;
  readonly frames: { topic: number; body: Buffer }[];
  /** Code of the REFUSED frame; undefined when none came. */
  refusal(): string | undefined;
  closed: boolean;
}

/** A TLS client with the given certificate, none when undefined; sends nothing by itself. */
export async function rawPeer(
  port: number,
  caPem: string,
  credentials: KeyAndCertificate | undefined,
): Promise<RawPeer> {
  const own = credentials ? { cert: credentials.certPem, key: credentials.keyPem } : {};
  const socket = tls.connect({
    host: '127.0.0.1',
    port,
    ca: caPem,
    ...own,
    checkServerIdentity: () => undefined,
  });
  const reader = new FrameReader(1 << 24);
  const peer: RawPeer = {
    socket,
    frames: [],
    closed: false,
    refusal: () => {
      for (const { topic, body } of peer.frames) {
        if (topic !== LINK_TOPICS.link) continue;
        const control = decodeLinkControl(body);
        if (control.kind === 'refused') return control.refusal.code;
      }
      return undefined;
    },
  };
  socket.on('error', () => {});
  socket.on('close', () => {
    peer.closed = true;
  });
  socket.on('data', (chunk) => {
    reader.push(chunk, (topic, body) => {
      peer.frames.push({ topic, body });
      return true;
    });
  });
  await new Promise<void>((resolve) => {
    socket.once('secureConnect', () => resolve());
    socket.once('close', () => resolve());
  });
  return peer;
}

export function hello(index: number, incarnation = '77', networkId = NETWORK_ID): Buffer {
  return encodeHello({ index, incarnation, networkId });
}

export interface SilentProxy {
  readonly port: number;
  /**
   * From now on bytes of the connections that exist are swallowed, in
   * both directions; nobody is told.
   */
  cut(): void;
  close(): Promise<void>;
}

/** Forwards TCP to `target` until `cut`; new connections are always forwarded. */
export async function silentProxy(target: number): Promise<SilentProxy> {
  const sockets = new Set<net.Socket>();
  const pairs: { muted: boolean }[] = [];
  const server = net.createServer((inner) => {
    const outer = net.connect(target, '127.0.0.1');
    const pair = { muted: false };
    pairs.push(pair);
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => {
        if (!pair.muted) to.write(chunk);
      });
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        if (!pair.muted) to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    cut: () => {
      for (const pair of pairs) pair.muted = true;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
