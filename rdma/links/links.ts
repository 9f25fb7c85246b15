/**
 * The mesh of mutual-TLS links over which replicas meet: one live link per pair, the
 * higher index dials the lower. It carries region offers and rare control frames;
 * everything hot goes through the transport.
 *
 * A link is up when TLS 1.3 proved the certificate that is pinned for a peer, and the peer's HELLO
 * names that peer's index and our network. Its pair secret comes from the TLS exporter (RFC 8446
 * section 7.5) with both indices and both incarnations as context: it differs for each pair and
 * each connection, and two ends that disagree on who they are have different secrets.
 *
 * Second connection of a peer that has a link:
 * - another incarnation: the process that held the old one is gone; replace.
 * - same incarnation, old one silent for `suspectMs`: the peer, which has at most one connection to
 *   us, sees it as dead (a half-open socket after a cut cable); replace.
 * - same incarnation, old one lively: refuse (`link_exists`). Replacing would let a confused peer
 *   tear sessions down at the rate of its dials; if the old one is in truth dead, it becomes
 *   suspect well before the back-off's end.
 *
 * Whoever dials us gets at most one link per `linkIntervalMinMs`: each one costs a transport
 * session, and a faulty peer may dial as fast as it likes under ever new incarnations.
 */
import type { TLSSocket } from 'node:tls';
import { Acceptor, type Inbound } from './acceptor.ts';
import { checkPeerCertificate, type PinnedCertificates, pinCertificates } from './certificates.ts';
import { type ConnectionEnd, LinkConnection } from './connection.ts';
import { Dialer, type Outbound } from './dialer.ts';
import { LinkError, type Refusal, refusal } from './errors.ts';
import { encodeHello, type Hello, LINK_PROTOCOL_VERSION } from './frames.ts';
import { type LinkLimits, linkLimits } from './limits.ts';
import { type LinkLog, StrangerLog } from './log.ts';
import { checkOptions, contextOf, type LinkOptions, tlsOptions } from './options.ts';
import { LINK_TOPICS } from './topics.ts';

export type { LinkOptions, LinkPeer } from './options.ts';

export interface LinkUp {
  /** 32 bytes, the same at both ends, different for each connection. */
  readonly pairSecret: Uint8Array;
  readonly peerIncarnation: string;
}

/**
 * Called synchronously from socket events. One that throws on a peer's
 * frame costs that peer its link.
 */
export interface LinkHandlers {
  onUp(peer: number, info: LinkUp): void;
  /** `reason`: a refusal code of `errors.ts`, or `connection_lost`. */
  onDown(peer: number, reason: string): void;
  /** `body` is the receiver's to keep. */
  onFrame(peer: number, topic: number, body: Uint8Array): void;
}

export interface LinkDependencies {
  readonly log: LinkLog;
  readonly handlers: LinkHandlers;
  /** Jitter of the back-off; uniform in [0, 1). */
  readonly random?: () => number;
}

interface Link {
  readonly connection: LinkConnection;
  readonly incarnation: string;
}

const EXPORTER_LABEL = 'EXPORTER-sluice-pair';
const PAIR_SECRET_BYTES = 32;

export class PeerLinks {
  readonly #options: LinkOptions;
  readonly #limits: LinkLimits;
  readonly #log: LinkLog;
  readonly #strangers: StrangerLog;
  readonly #handlers: LinkHandlers;
  readonly #acceptor: Acceptor;
  readonly #dialers = new Map<number, Dialer>();
  readonly #clientPins: PinnedCertificates;
  readonly #serverPins: PinnedCertificates;
  readonly #hello: Buffer;
  /** At most one per peer, only connections that are live. */
  readonly #links = new Map<number, Link>();
  /** Every TLS socket that is not closed yet, refused ones included: what `close` waits for. */
  readonly #sockets = new Set<TLSSocket>();
  /**
   * Last reason logged for a failing dial, per peer: a peer that is away
   * is one line, not one a second.
   */
  readonly #dialTrouble = new Map<number, string>();
  /** When each peer that dials us last got a link. */
  readonly #lastInboundMs = new Map<number, number>();
  #state: 'idle' | 'running' | 'closed' = 'idle';
  #ticker: NodeJS.Timeout | undefined;
  #lastTickMs = 0;

  /** Throws LinkError `bad_options`, naming what is wrong. */
  constructor(options: LinkOptions, dependencies: LinkDependencies) {
    this.#options = options;
    this.#limits = linkLimits(options.limits);
    this.#log = dependencies.log;
    this.#strangers = new StrangerLog(this.#limits, dependencies.log);
    this.#handlers = dependencies.handlers;
    checkOptions(options);
    this.#hello = encodeHello({ ...options, index: options.self });
    this.#clientPins = pinCertificates(
      options.peers.map(({ index, clientTlsPem }) => ({ index, certificate: clientTlsPem })),
    );
    this.#serverPins = pinCertificates(
      options.peers.map(({ index, serverTlsPem }) => ({ index, certificate: serverTlsPem })),
    );
    const tls = tlsOptions(options);
    const secureContext = contextOf(tls);
    this.#acceptor = new Acceptor(
      { host: options.listenHost, port: options.listenPort, tls, limits: this.#limits },
      { log: this.#strangers, onSecure: (socket, inbound) => this.#onInbound(socket, inbound) },
    );
    for (const { index, host, port } of options.peers) {
      if (index > options.self) continue;
      const dialer = new Dialer(
        { host, port, secureContext, limits: this.#limits },
        {
          random: dependencies.random ?? Math.random,
          onSecure: (socket, outbound) => this.#onOutbound(index, socket, outbound),
          onFailed: (message) => this.#onDialTrouble(index, 'connection_lost', message),
        },
      );
      this.#dialers.set(index, dialer);
    }
  }

  /** Connections that have not finished HELLO; at most `pendingConnectionsMax`. */
  get pendingConnections(): number {
    return this.#acceptor.pendingConnections;
  }

  /** Rejects with Node's error when the address cannot be bound. */
  async listen(): Promise<{ port: number }> {
    if (this.#state !== 'idle') throw new LinkError('bad_state', 'links were already started');
    this.#state = 'running';
    const port = await this.#acceptor.listen();
    this.#lastTickMs = performance.now();
    this.#ticker = setInterval(() => this.#tick(), this.#limits.pingIntervalMs);
    this.#ticker.unref();
    return { port };
  }

  /** Starts to dial the peers with a lower index, forever. */
  dial(): void {
    if (this.#state !== 'running') throw new LinkError('bad_state', 'listen() before dial()');
    for (const dialer of this.#dialers.values()) dialer.start();
  }

  /**
   * False: no link, or the peer does not read and its buffer is full; nothing was sent. Throws
   * LinkError `bad_frame` for a topic that is the link's own or a body over `frameBytesMax`. `onTaken` is called when the
   * system has the bytes, or the link has ended.
   */
  send(peer: number, topic: number, body: Uint8Array, onTaken?: () => void): boolean {
    if (topic === LINK_TOPICS.link) throw new LinkError('bad_frame', 'topic 0 is the link own');
    if (body.length > this.#limits.frameBytesMax) {
      const sizes = `${body.length} bytes, at most ${this.#limits.frameBytesMax}`;
      throw new LinkError('bad_frame', `the frame is too large (${sizes}); split it`);
    }
    return this.#links.get(peer)?.connection.send(topic, body, onTaken) ?? false;
  }

  state(peer: number): 'down' | 'up' {
    return this.#links.has(peer) ? 'up' : 'down';
  }

  /** Ends the link; a new one is dialed after the back-off. No-op when there is none. */
  disconnect(peer: number, message: string): void {
    this.#links.get(peer)?.connection.refuse(refusal('disconnected', message));
  }

  /** For peers that this replica dials; used from the next dial on. */
  setPeerAddress(peer: number, host: string, port: number): void {
    this.#dialers.get(peer)?.setAddress(host, port);
  }

  /** Tells the peers, closes everything, resolves when all sockets are closed. Idempotent. */
  async close(): Promise<void> {
    this.#state = 'closed';
    clearInterval(this.#ticker);
    for (const dialer of this.#dialers.values()) dialer.close();
    const why = refusal('shutting_down', 'the replica is shutting down');
    for (const { connection } of [...this.#links.values()]) connection.refuse(why);
    const accepting = this.#acceptor.close();
    const closed = [...this.#sockets].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    );
    await Promise.all([...closed, accepting]);
  }

  #onInbound(socket: TLSSocket, inbound: Inbound): void {
    const check = checkPeerCertificate(socket, this.#clientPins);
    const connection = this.#connection(socket, {
      onHello: (hello) => {
        if (check.kind !== 'peer') return;
        const why = this.#judgeInbound(check.index, hello);
        if (why !== undefined) {
          connection.refuse(why);
          return;
        }
        connection.sendHello(this.#hello);
        inbound.admitted();
        this.#lastInboundMs.set(check.index, performance.now());
        this.#establish(check.index, connection, hello);
      },
      peer: check.kind === 'peer' ? check.index : undefined,
      onRefused: (end) => {
        const peer = check.kind === 'peer' ? check.index : undefined;
        this.#strangers.warn(
          performance.now(),
          { host: inbound.host, peer, ...end },
          'an incoming link was refused',
        );
      },
    });
    inbound.onTimeout((why) => connection.refuse(why));
    if (check.kind === 'refused') connection.refuse(check.refusal);
  }

  #onOutbound(peer: number, socket: TLSSocket, outbound: Outbound): void {
    const connection = this.#connection(socket, {
      onHello: (hello) => {
        const why = this.#judgeHello(peer, hello) ?? this.#judgeSecond(peer, hello);
        if (why !== undefined) {
          connection.refuse(why);
          return;
        }
        outbound.admitted();
        this.#dialTrouble.delete(peer);
        this.#establish(peer, connection, hello);
      },
      peer,
      onRefused: (end) => this.#onDialTrouble(peer, end.code, end.message, end.by),
    });
    outbound.onTimeout((why) => connection.refuse(why));
    const check = checkPeerCertificate(socket, this.#serverPins);
    if (check.kind === 'refused') connection.refuse(check.refusal);
    else if (check.index === peer) connection.sendHello(this.#hello);
    else
      connection.refuse(
        refusal('wrong_index', `peer ${check.index} answers at peer ${peer}'s address`),
      );
  }

  #connection(
    socket: TLSSocket,
    events: {
      onHello: (hello: Hello) => void;
      /** Undefined: the certificate was no peer's, HELLO never gets through. */
      peer: number | undefined;
      /** It ended before it became a link. */
      onRefused: (end: ConnectionEnd) => void;
    },
  ): LinkConnection {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    const { peer } = events;
    const connection: LinkConnection = new LinkConnection(socket, this.#limits, performance.now(), {
      onHello: events.onHello,
      onFrame: (topic, body) => {
        if (peer === undefined) return;
        this.#call(peer, connection, () => this.#handlers.onFrame(peer, topic, body));
      },
      onEnd: (end) => {
        if (peer !== undefined && this.#links.get(peer)?.connection === connection) {
          this.#onLinkEnd(peer, end);
        } else events.onRefused(end);
      },
    });
    return connection;
  }

  #judgeInbound(peer: number, hello: Hello): Refusal | undefined {
    const why = this.#judgeHello(peer, hello);
    if (why !== undefined) return why;
    if (peer < this.#options.self) {
      return refusal(
        'wrong_direction',
        'the replica with the higher index dials; do not dial here',
      );
    }
    const sinceMs = performance.now() - (this.#lastInboundMs.get(peer) ?? Number.NEGATIVE_INFINITY);
    if (sinceMs < this.#limits.linkIntervalMinMs) {
      return refusal('too_often', 'the last link is too recent; dial with back-off');
    }
    return this.#judgeSecond(peer, hello);
  }

  #judgeHello(peer: number, hello: Hello): Refusal | undefined {
    if (this.#state === 'closed') return refusal('shutting_down', 'the replica is shutting down');
    if (hello.networkId !== this.#options.networkId) {
      return refusal('wrong_network', 'the networks differ; compare the genesis blocks');
    }
    if (hello.index !== peer) {
      const claim = `HELLO claims index ${hello.index}, the certificate is that of ${peer}`;
      return refusal('wrong_index', `${claim}; compare the channel configurations`);
    }
    return undefined;
  }

  /** See the head of this file. */
  #judgeSecond(peer: number, hello: Hello): Refusal | undefined {
    const old = this.#links.get(peer);
    if (old === undefined || old.incarnation !== hello.incarnation) return undefined;
    if (old.connection.silentMs(performance.now()) > this.#limits.suspectMs) return undefined;
    return refusal('link_exists', 'this process already has a live link here');
  }

  #establish(peer: number, connection: LinkConnection, hello: Hello): void {
    const pairSecret = this.#pairSecret(peer, connection.socket, hello.incarnation);
    const why = refusal('replaced', 'a newer connection of the same replica took over');
    this.#links.get(peer)?.connection.refuse(why);
    connection.accept();
    this.#links.set(peer, { connection, incarnation: hello.incarnation });
    this.#log.info({ peer, incarnation: hello.incarnation }, 'link is up');
    const info = { pairSecret, peerIncarnation: hello.incarnation };
    this.#call(peer, connection, () => this.#handlers.onUp(peer, info));
  }

  #pairSecret(peer: number, socket: TLSSocket, peerIncarnation: string): Uint8Array {
    const { self, incarnation, networkId } = this.#options;
    const ends = [
      [self, incarnation],
      [peer, peerIncarnation],
    ] as const;
    const ordered = self < peer ? ends : [ends[1], ends[0]];
    const context = Buffer.from(JSON.stringify([LINK_PROTOCOL_VERSION, networkId, ...ordered]));
    return Uint8Array.from(socket.exportKeyingMaterial(PAIR_SECRET_BYTES, EXPORTER_LABEL, context));
  }

  #onLinkEnd(peer: number, end: ConnectionEnd): void {
    this.#links.delete(peer);
    const expected = this.#state === 'closed' || end.code === 'shutting_down';
    this.#log[expected ? 'info' : 'warn']({ peer, ...end }, 'link is down');
    try {
      this.#handlers.onDown(peer, end.code);
    } catch (error) {
      this.#log.error({ peer, error }, 'the onDown handler threw');
    }
  }

  /**
   * What a peer sent must not bring the replica down, not even through a
   * bug of ours: it costs the link.
   */
  #call(peer: number, connection: LinkConnection, handler: () => void): void {
    try {
      handler();
    } catch (error) {
      this.#log.error({ peer, error }, 'a link handler threw; the link is dropped');
      connection.refuse(refusal('handler_failed', 'internal error'));
    }
  }

  #onDialTrouble(
    peer: number,
    code: string,
    message: string,
    by: ConnectionEnd['by'] = 'network',
  ): void {
    if (this.#state === 'closed') return;
    const level = this.#dialTrouble.get(peer) === code ? 'debug' : 'warn';
    this.#dialTrouble.set(peer, code);
    this.#log[level]({ peer, code, by, message }, 'no link to the peer yet; dialing on');
  }

  #tick(): void {
    const nowMs = performance.now();
    const lateMs = nowMs - this.#lastTickMs - this.#limits.pingIntervalMs;
    this.#lastTickMs = nowMs;
    for (const { connection } of [...this.#links.values()]) {
      if (lateMs > 0) connection.forgiveMs(lateMs);
      if (connection.silentMs(nowMs) > this.#limits.silenceMaxMs) {
        connection.refuse(refusal('silent', 'nothing was heard for too long'));
      } else connection.ping();
    }
  }
}
