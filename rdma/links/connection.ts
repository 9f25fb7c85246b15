/**
 * One TLS connection after its handshake: HELLO, frames, pings, the last frame. It knows nothing of
 * peers' places; its owner decides whether the HELLO is good.
 */
import type { TLSSocket } from 'node:tls';
import { assertNever } from '../assert-never.ts';
import { type Refusal, type RefusalCode, refusal } from './errors.ts';
import {
  decodeLinkControl,
  encodeFrame,
  encodePing,
  encodeRefused,
  type FrameFault,
  FrameReader,
  frameBytes,
  type Hello,
  LINK_PROTOCOL_VERSION,
} from './frames.ts';
import type { LinkLimits } from './limits.ts';
import { LINK_TOPICS } from './topics.ts';

export interface ConnectionEnd {
  readonly code: RefusalCode | 'connection_lost';
  /** Who ended it: this replica, the peer by a last frame, or the network. */
  readonly by: 'self' | 'peer' | 'network';
  readonly message: string;
}

export interface ConnectionEvents {
  /** Once at most. The owner answers with `accept` or `refuse` before it returns. */
  onHello(hello: Hello): void;
  onFrame(topic: number, body: Uint8Array): void;
  /** Exactly once; nothing is called afterwards. */
  onEnd(end: ConnectionEnd): void;
}

const PING = encodePing();

export class LinkConnection {
  readonly socket: TLSSocket;
  readonly #limits: LinkLimits;
  readonly #events: ConnectionEvents;
  readonly #reader: FrameReader;
  #state: 'hello' | 'live' | 'ended' = 'hello';
  #lastReceivedMs: number;

  constructor(socket: TLSSocket, limits: LinkLimits, nowMs: number, events: ConnectionEvents) {
    this.socket = socket;
    this.#limits = limits;
    this.#events = events;
    this.#reader = new FrameReader(limits.helloBytesMax);
    this.#lastReceivedMs = nowMs;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', (error) => this.#lost(error.message));
    socket.on('close', () => this.#lost('the connection was closed'));
  }

  get ended(): boolean {
    return this.#state === 'ended';
  }

  sendHello(hello: Buffer): void {
    if (this.#state !== 'ended') this.socket.write(hello);
  }

  /** The peer is who it says: large frames and frames of all topics are taken from now on. */
  accept(): void {
    if (this.#state !== 'hello') return;
    this.#state = 'live';
    this.#reader.setBytesMax(this.#limits.frameBytesMax);
  }

  /** False: not live, or the output buffer would grow over `outputBytesMax`; nothing was sent. */
  send(topic: number, body: Uint8Array, onTaken?: () => void): boolean {
    if (this.#state !== 'live') return false;
    const queued = this.socket.writableLength + frameBytes(body.length);
    if (queued > this.#limits.outputBytesMax) return false;
    this.socket.write(encodeFrame(topic, body), onTaken && (() => onTaken()));
    return true;
  }

  /** Tells the peer why, then closes; a peer that does not close in time is cut off. Idempotent. */
  refuse(why: Refusal): void {
    if (this.#state === 'ended') return;
    const socket = this.socket;
    if (!socket.destroyed) {
      // end(), and reading on: a close with unread bytes would reset the
      // connection and lose the last frame.
      socket.end(encodeRefused(why));
      this.#destroyLater();
    }
    this.#end({ code: why.code, by: 'self', message: why.message });
  }

  silentMs(nowMs: number): number {
    return nowMs - this.#lastReceivedMs;
  }

  /** Time during which this process did not run is not the peer's silence. */
  forgiveMs(ms: number): void {
    this.#lastReceivedMs += ms;
  }

  /**
   * With bytes still queued the peer hears from us anyway, or does not read:
   * a ping would only add to them.
   */
  ping(): void {
    if (this.#state === 'live' && this.socket.writableLength === 0) this.socket.write(PING);
  }

  #onData(chunk: Buffer): void {
    if (this.#state === 'ended') return;
    this.#lastReceivedMs = performance.now();
    const fault = this.#reader.push(chunk, (topic, body) => this.#onFrame(topic, body));
    if (fault !== undefined) this.#refuseFault(fault);
  }

  /** Returns whether to go on reading. */
  #onFrame(topic: number, body: Buffer): boolean {
    if (topic === LINK_TOPICS.link) this.#onControl(body);
    else if (this.#state === 'live') this.#events.onFrame(topic, body);
    else this.refuse(refusal('malformed_frame', `topic ${topic} came before HELLO`));
    return this.#state !== 'ended';
  }

  #onControl(body: Buffer): void {
    const control = decodeLinkControl(body);
    switch (control.kind) {
      case 'hello':
        if (this.#state === 'hello') this.#events.onHello(control.hello);
        else this.refuse(refusal('malformed_frame', 'HELLO came twice'));
        return;
      case 'other-version':
        this.refuse(
          refusal(
            'protocol_version',
            `this replica speaks link protocol ${LINK_PROTOCOL_VERSION}, the peer ${control.version}`,
          ),
        );
        return;
      case 'ping':
        if (this.#state === 'hello') this.refuse(refusal('malformed_frame', 'PING before HELLO'));
        return;
      case 'refused':
        this.socket.end();
        this.#destroyLater();
        this.#end({ code: control.refusal.code, by: 'peer', message: control.refusal.message });
        return;
      case 'malformed':
        this.refuse(refusal('malformed_frame', control.reason));
        return;
      default:
        assertNever(control);
    }
  }

  #refuseFault(fault: FrameFault): void {
    switch (fault.kind) {
      case 'too-large':
        this.refuse(
          refusal('frame_too_large', `a frame of ${fault.lengthBytes} bytes is too large`),
        );
        return;
      case 'too-short':
        this.refuse(
          refusal('malformed_frame', `a frame of ${fault.lengthBytes} bytes has no topic`),
        );
        return;
      default:
        assertNever(fault);
    }
  }

  #destroyLater(): void {
    const timer = setTimeout(() => this.socket.destroy(), this.#limits.refusalLingerMs);
    this.socket.once('close', () => clearTimeout(timer));
  }

  #lost(message: string): void {
    this.#end({ code: 'connection_lost', by: 'network', message });
  }

  #end(end: ConnectionEnd): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#events.onEnd(end);
  }
}
