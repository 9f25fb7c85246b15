/**
 * The dialing side of one pair: keeps at most one connection to the peer, and after each end waits
 * with exponential back-off and jitter before the next, forever.
 */
import tls from 'node:tls';
import { backoffMs } from './backoff.ts';
import { type Refusal, refusal } from './errors.ts';
import type { LinkLimits } from './limits.ts';

/** A connection from its dial to its accepted HELLO. */
export interface Outbound {
  /** HELLO was accepted: no time-out any more. */
  admitted(): void;
  onTimeout(refuse: (why: Refusal) => void): void;
}

export interface DialerOptions {
  readonly host: string;
  readonly port: number;
  readonly secureContext: tls.SecureContext;
  readonly limits: LinkLimits;
}

export interface DialerDependencies {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Called after the handshake; the peer's certificate is not judged yet (`socket.authorized`). */
  readonly onSecure: (socket: tls.TLSSocket, outbound: Outbound) => void;
  /** The dial ended before its handshake did; the next one is already scheduled. */
  readonly onFailed: (message: string) => void;
}

export class Dialer {
  readonly #options: DialerOptions;
  readonly #dependencies: DialerDependencies;
  #host: string;
  #port: number;
  #state: 'idle' | 'dialing' | 'connected' | 'waiting' | 'closed' = 'idle';
  #attempt = 0;
  #timer: NodeJS.Timeout | undefined;
  #socket: tls.TLSSocket | undefined;

  constructor(options: DialerOptions, dependencies: DialerDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#host = options.host;
    this.#port = options.port;
  }

  start(): void {
    if (this.#state === 'idle') this.#dial();
  }

  /** Used from the next dial on; a wait is cut short. */
  setAddress(host: string, port: number): void {
    this.#host = host;
    this.#port = port;
    if (this.#state !== 'waiting') return;
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#dial();
  }

  /** No further dials; a connection that is not admitted yet is dropped. */
  close(): void {
    const unfinished = this.#state === 'dialing' ? this.#socket : undefined;
    this.#state = 'closed';
    clearTimeout(this.#timer);
    unfinished?.destroy();
  }

  #dial(): void {
    this.#state = 'dialing';
    let admittedAtMs: number | undefined;
    let failure = 'the connection was closed during the TLS handshake';
    let secure = false;
    let refuse: ((why: Refusal) => void) | undefined;
    const socket = tls.connect({
      host: this.#host,
      port: this.#port,
      secureContext: this.#options.secureContext,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      // Judged in checkPeerCertificate by the pinned certificate, which says more than a host name.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    this.#socket = socket;
    const timer = setTimeout(() => {
      failure = 'TLS and HELLO did not finish in time';
      if (refuse === undefined) socket.destroy();
      else refuse(refusal('hello_timeout', failure));
    }, this.#options.limits.helloTimeoutMs);
    socket.setNoDelay(true);
    socket.on('error', (error) => {
      failure = error.message || error.name;
    });
    socket.once('close', () => {
      clearTimeout(timer);
      this.#again(admittedAtMs);
      if (!secure) this.#dependencies.onFailed(failure);
    });
    socket.once('secureConnect', () => {
      secure = true;
      this.#dependencies.onSecure(socket, {
        admitted: () => {
          clearTimeout(timer);
          admittedAtMs = performance.now();
          if (this.#state === 'dialing') this.#state = 'connected';
        },
        onTimeout: (say) => {
          refuse = say;
        },
      });
    });
  }

  #again(admittedAtMs: number | undefined): void {
    if (this.#state === 'closed') return;
    const { silenceMaxMs, backoffMinMs, backoffMaxMs } = this.#options.limits;
    // Only a link that has lived resets the back-off: one that comes up
    // and breaks at once must not spin.
    const lived = admittedAtMs !== undefined && performance.now() - admittedAtMs > silenceMaxMs;
    if (lived) this.#attempt = 0;
    const random = this.#dependencies.random();
    const waitMs = backoffMs(this.#attempt, backoffMinMs, backoffMaxMs, random);
    this.#attempt += 1;
    this.#state = 'waiting';
    this.#timer = setTimeout(() => this.#dial(), waitMs);
    // A process that has nothing left but a wish to dial may end.
    this.#timer.unref();
  }
}
