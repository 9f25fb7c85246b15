/**
 * Opens the transport sessions of one channel through the links: pure bookkeeping over
 * two ports, no sockets, no native memory (the transport lives in another thread, so
 * every call to it is a promise).
 *
 * Both ends do the same, for each peer, once per link:
 *
 *     we                                      peer
 *     offer(peer, keys) ── OFFER(token a) ──►  accept, map
 *     confirm, unlink  ◄── MAPPED(token a) ──
 *     accept, map      ◄── OFFER(token b) ───  offer(peer, keys)
 *                      ─── MAPPED(token b) ─►  confirm, unlink
 *
 * The session is open when we have mapped theirs and they have mapped ours. A link carries at most
 * one session per channel, so that no two sessions ever derive their keys from the same secret.
 * Whatever fails (a broken rule, a map that fails, a fault later) drops the link; the link's
 * back-off paces the next try, and everything starts anew.
 *
 * An OFFER always precedes the MAPPED of the same sender (an end maps only after its own offer is
 * out), a link keeps order, and frames of an earlier link do not reach a later one: so every frame
 * that comes twice or too early is a fault of the peer, not of the network.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { assertNever } from './assert-never.ts';
import {
  type BootstrapFrame,
  type BootstrapRefusal,
  decodeBootstrapFrame,
  encodeBootstrapFrame,
  TOKEN_BYTES,
} from './bootstrap-frames.ts';
import type { RegionOffer, ReplicaIndex, SessionKeys } from './contract.ts';
import type { LinkLog } from './links/log.ts';

export { bootstrapChannel } from './bootstrap-frames.ts';

/** The transport as seen from another thread; one call per peer at a time, in order. */
export interface TransportPort {
  offer(peer: ReplicaIndex, keys: SessionKeys): Promise<RegionOffer>;
  accept(peer: ReplicaIndex, offer: RegionOffer): Promise<void>;
  confirm(peer: ReplicaIndex): Promise<void>;
  close(peer: ReplicaIndex): Promise<void>;
}

export interface BootstrapOptions {
  readonly channel: string;
  readonly self: ReplicaIndex;
  /** Decimal u64. */
  readonly incarnation: string;
  /** From the peer's OFFER to its MAPPED. */
  readonly mapTimeoutMs?: number;
}

export interface BootstrapDependencies {
  readonly transport: TransportPort;
  /** Sends on topic LINK_TOPICS.bootstrap; false when the link is gone or its buffer is full. */
  readonly sendLink: (peer: ReplicaIndex, body: Uint8Array) => boolean;
  /**
   * Ends the link, which comes back with back-off (`PeerLinks.disconnect`). May call
   * `onLinkDown` before it returns.
   */
  readonly dropLink: (peer: ReplicaIndex, reason: string) => void;
  readonly log: LinkLog;
  readonly onOpen?: (peer: ReplicaIndex) => void;
  /** The session ended, opened or not. */
  readonly onClosed?: (peer: ReplicaIndex, reason: string) => void;
}

/** What a link says when it comes up (`LinkHandlers.onUp`). */
export interface BootstrapLink {
  readonly pairSecret: Uint8Array;
  readonly peerIncarnation: string;
}

type Step = 'offer' | 'accept' | 'confirm';

interface Session {
  readonly keys: SessionKeys;
  /** What the peer's MAPPED must bring. */
  readonly token: string;
  /** Transport calls to make; at most one of each kind in a session. */
  readonly steps: Step[];
  offered: boolean;
  peerOffer: Extract<BootstrapFrame, { kind: 'offer' }> | undefined;
  peerMapped: boolean;
  accepted: boolean;
  confirmed: boolean;
  timer: NodeJS.Timeout | undefined;
}

interface PeerSlot {
  /** Exists while the link is up and nothing has failed on it. */
  session: Session | undefined;
  /** The session whose regions the transport holds; closed before another may use the transport. */
  holder: Session | undefined;
  /** A transport call is under way. */
  busy: boolean;
  /** Settles when the calls that were under way, and those that followed from them, are done. */
  calls: Promise<void>;
}

const MAP_TIMEOUT_MS = 10_000;

export class Bootstrap {
  readonly #options: BootstrapOptions;
  readonly #dependencies: BootstrapDependencies;
  readonly #peers = new Map<ReplicaIndex, PeerSlot>();

  constructor(options: BootstrapOptions, dependencies: BootstrapDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
  }

  state(peer: ReplicaIndex): 'down' | 'opening' | 'open' {
    const session = this.#peers.get(peer)?.session;
    if (session === undefined) return 'down';
    return isOpen(session) ? 'open' : 'opening';
  }

  onLinkUp(peer: ReplicaIndex, link: BootstrapLink): void {
    if (peer === this.#options.self) throw new Error(`replica ${peer} has no session with itself`);
    this.#end(peer, 'replaced');
    const slot = this.#slot(peer);
    slot.session = {
      keys: {
        pairSecret: link.pairSecret,
        selfIncarnation: this.#options.incarnation,
        peerIncarnation: link.peerIncarnation,
      },
      token: randomBytes(TOKEN_BYTES).toString('hex'),
      steps: ['offer'],
      offered: false,
      peerOffer: undefined,
      peerMapped: false,
      accepted: false,
      confirmed: false,
      timer: undefined,
    };
    this.#pump(peer, slot);
  }

  onLinkDown(peer: ReplicaIndex, reason = 'link_down'): void {
    this.#end(peer, reason);
  }

  /**
   * Total: whatever the bytes are, at worst this peer's session ends. Frames
   * of other channels are ignored.
   */
  onFrame(peer: ReplicaIndex, body: Uint8Array): void {
    const session = this.#peers.get(peer)?.session;
    // The session failed and its link is on the way down.
    if (session === undefined) return;
    const frame = decodeBootstrapFrame(body);
    if (frame.kind === 'malformed') {
      this.#fail(peer, session, 'malformed_frame', frame.reason);
      return;
    }
    if (frame.channel !== this.#options.channel) return;
    switch (frame.kind) {
      case 'offer':
        this.#onOffer(peer, session, frame);
        return;
      case 'mapped':
        this.#onMapped(peer, session, frame.token);
        return;
      case 'refused':
        this.#dependencies.log.warn(
          { peer, code: frame.code, message: frame.message, by: 'peer' },
          'the peer refused the transport session; the link is dropped',
        );
        this.#end(peer, frame.code);
        this.#dependencies.dropLink(peer, frame.code);
        return;
      default:
        assertNever(frame);
    }
  }

  /**
   * The transport found the session unusable: drops the link, so that a new
   * session with new keys follows.
   */
  restart(peer: ReplicaIndex, reason: string): void {
    const session = this.#peers.get(peer)?.session;
    if (session !== undefined) this.#fail(peer, session, 'restarted', reason);
  }

  /** Ends all sessions; resolves when the transport has closed them. */
  async close(): Promise<void> {
    const closing = [...this.#peers].map(([peer, slot]) => {
      this.#end(peer, 'shutting_down');
      return slot.calls;
    });
    await Promise.all(closing);
  }

  #onOffer(
    peer: ReplicaIndex,
    session: Session,
    frame: Extract<BootstrapFrame, { kind: 'offer' }>,
  ): void {
    if (session.peerOffer !== undefined) {
      this.#fail(peer, session, 'repeated_frame', 'OFFER came twice in one session');
      return;
    }
    session.peerOffer = frame;
    session.timer = setTimeout(() => {
      this.#fail(peer, session, 'map_timeout', 'the peer did not map our region in time');
    }, this.#options.mapTimeoutMs ?? MAP_TIMEOUT_MS);
    session.timer.unref();
    if (session.offered) this.#step(peer, session, 'accept');
  }

  #onMapped(peer: ReplicaIndex, session: Session, token: string): void {
    if (session.peerMapped) {
      this.#fail(peer, session, 'repeated_frame', 'MAPPED came twice in one session');
      return;
    }
    if (!session.offered || session.peerOffer === undefined) {
      this.#fail(peer, session, 'out_of_order', 'MAPPED came before the OFFERs');
      return;
    }
    if (!timingSafeEqual(Buffer.from(token, 'hex'), Buffer.from(session.token, 'hex'))) {
      this.#fail(peer, session, 'wrong_token', 'MAPPED brought another token than our OFFER');
      return;
    }
    session.peerMapped = true;
    clearTimeout(session.timer);
    this.#step(peer, session, 'confirm');
  }

  #step(peer: ReplicaIndex, session: Session, step: Step): void {
    session.steps.push(step);
    this.#pump(peer, this.#slot(peer));
  }

  #pump(peer: ReplicaIndex, slot: PeerSlot): void {
    if (slot.busy) return;
    slot.busy = true;
    slot.calls = this.#drain(peer, slot);
  }

  /** Makes the transport calls of a peer one after the other; never rejects. */
  async #drain(peer: ReplicaIndex, slot: PeerSlot): Promise<void> {
    for (;;) {
      const { holder, session } = slot;
      if (holder !== undefined && holder !== session) {
        slot.holder = undefined;
        await this.#closeTransport(peer);
        continue;
      }
      const step = session?.steps.shift();
      if (session === undefined || step === undefined) break;
      slot.holder = session;
      try {
        await this.#run(peer, session, step);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        this.#fail(peer, session, 'transport_failed', message);
      }
    }
    slot.busy = false;
  }

  /** One transport call and what follows from it, unless the session ended meanwhile. */
  async #run(peer: ReplicaIndex, session: Session, step: Step): Promise<void> {
    const { transport } = this.#dependencies;
    const { channel } = this.#options;
    const { peerOffer } = session;
    const ended = () => this.#peers.get(peer)?.session !== session;
    switch (step) {
      case 'offer': {
        const offer = await transport.offer(peer, session.keys);
        if (ended()) return;
        session.offered = true;
        if (session.peerOffer !== undefined) session.steps.push('accept');
        this.#send(peer, session, { kind: 'offer', channel, token: session.token, offer });
        return;
      }
      case 'accept':
        if (peerOffer === undefined) throw new Error('accept without an offer');
        await transport.accept(peer, peerOffer.offer);
        if (ended()) return;
        session.accepted = true;
        this.#send(peer, session, { kind: 'mapped', channel, token: peerOffer.token });
        break;
      case 'confirm':
        await transport.confirm(peer);
        if (ended()) return;
        session.confirmed = true;
        break;
      default:
        assertNever(step);
    }
    if (!isOpen(session) || ended()) return;
    this.#dependencies.log.info({ peer, channel }, 'transport session is open');
    this.#dependencies.onOpen?.(peer);
  }

  async #closeTransport(peer: ReplicaIndex): Promise<void> {
    try {
      await this.#dependencies.transport.close(peer);
    } catch (error) {
      this.#dependencies.log.error({ peer, error }, 'the transport could not close a session');
    }
  }

  #send(peer: ReplicaIndex, session: Session, frame: BootstrapFrame): void {
    if (this.#dependencies.sendLink(peer, encodeBootstrapFrame(frame))) return;
    this.#fail(peer, session, 'link_busy', `the link did not take our ${frame.kind} frame`);
  }

  #fail(peer: ReplicaIndex, session: Session, code: BootstrapRefusal, message: string): void {
    if (this.#peers.get(peer)?.session !== session) return;
    const { channel } = this.#options;
    const { log, sendLink, dropLink } = this.#dependencies;
    log.warn({ peer, channel, code, message }, 'transport session refused; the link is dropped');
    this.#end(peer, code);
    sendLink(peer, encodeBootstrapFrame({ kind: 'refused', channel, code, message }));
    dropLink(peer, code);
  }

  /** Forgets the session; the pump closes what the transport holds of it. */
  #end(peer: ReplicaIndex, reason: string): void {
    const slot = this.#slot(peer);
    if (slot.session === undefined) return;
    clearTimeout(slot.session.timer);
    slot.session = undefined;
    this.#pump(peer, slot);
    this.#dependencies.onClosed?.(peer, reason);
  }

  #slot(peer: ReplicaIndex): PeerSlot {
    let slot = this.#peers.get(peer);
    if (slot === undefined) {
      slot = { session: undefined, holder: undefined, busy: false, calls: Promise.resolve() };
      this.#peers.set(peer, slot);
    }
    return slot;
  }
}

function isOpen(session: Session): boolean {
  return session.accepted && session.confirmed;
}
