/** The consensus sessions of one channel: over the links, for the run that it takes part in at the time. */
import { Bootstrap, type TransportPort } from '../rdma/bootstrap.ts';
import { ORDERER_LIMITS } from './limits.ts';
import type { Log } from './log.ts';

export interface LinkInfo {
  readonly pairSecret: Uint8Array;
  readonly peerIncarnation: string;
}

export interface SessionsOptions {
  readonly channel: string;
  readonly self: number;
  readonly incarnation: string;
}

export interface SessionsDependencies {
  readonly sendBootstrap: (peer: number, body: Uint8Array) => boolean;
  readonly dropLink: (peer: number, reason: string) => void;
  readonly log: Log;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #dependencies: SessionsDependencies;
  /** Links that are up: those from before the run get their sessions when it starts. */
  readonly #links = new Map<number, LinkInfo>();
  readonly #earlyFrames = new Map<number, Uint8Array[]>();
  #bootstrap: Bootstrap | undefined;

  constructor(options: SessionsOptions, dependencies: SessionsDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
  }

  onLinkUp(peer: number, info: LinkInfo): void {
    this.#links.set(peer, info);
    this.#earlyFrames.delete(peer);
    this.#bootstrap?.onLinkUp(peer, info);
  }

  onLinkDown(peer: number): void {
    this.#links.delete(peer);
    this.#earlyFrames.delete(peer);
    this.#bootstrap?.onLinkDown(peer);
  }

  onFrame(peer: number, body: Uint8Array): void {
    if (this.#bootstrap !== undefined) return this.#bootstrap.onFrame(peer, body);
    // The peer's run has started, ours has not: one handshake's frames are kept.
    const frames = this.#earlyFrames.get(peer) ?? [];
    if (frames.length < ORDERER_LIMITS.earlyBootstrapFramesMax) frames.push(body);
    this.#earlyFrames.set(peer, frames);
  }

  /** What a peer wrote broke its session: it is opened anew. */
  restart(peer: number, reason: string): void {
    this.#bootstrap?.restart(peer, reason);
  }

  /** Opens a session over each link, from now on. */
  open(transport: TransportPort): void {
    const { sendBootstrap, dropLink, log } = this.#dependencies;
    this.#bootstrap = new Bootstrap(this.#options, {
      transport,
      sendLink: sendBootstrap,
      dropLink,
      log,
    });
    for (const [peer, info] of this.#links) {
      this.#bootstrap.onLinkUp(peer, info);
      for (const frame of this.#earlyFrames.get(peer) ?? []) this.#bootstrap.onFrame(peer, frame);
    }
    this.#earlyFrames.clear();
  }

  /** The run stops, and closes all sessions at once: links that end meanwhile concern nobody any more. */
  close(): void {
    this.#bootstrap = undefined;
  }

  /** The links have carried sessions of a run that was left: another run needs new ones, with new secrets. */
  renewLinks(): void {
    for (const peer of [...this.#links.keys()]) {
      this.#dependencies.dropLink(peer, 'this replica goes over to another run');
    }
  }
}
