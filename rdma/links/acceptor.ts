/**
 * The listening side: takes TCP connections in within the admission rules, runs the TLS handshake,
 * and hands up sockets whose handshake finished. Nothing is known about the other end yet.
 */
import net from 'node:net';
import tls from 'node:tls';
import { Admission, type PendingConnection } from './admission.ts';
import { type Refusal, refusal } from './errors.ts';
import type { LinkLimits } from './limits.ts';
import type { StrangerLog } from './log.ts';

/** A connection from its TCP accept to its accepted HELLO. */
export interface Inbound {
  readonly host: string;
  /** HELLO was accepted: the connection no longer counts as pending and no longer times out. */
  admitted(): void;
  /** How to say goodbye, once there is a TLS connection to say it on. */
  onTimeout(refuse: (why: Refusal) => void): void;
}

export interface AcceptorOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: tls.SecureContextOptions;
  readonly limits: LinkLimits;
}

export interface AcceptorDependencies {
  readonly log: StrangerLog;
  /** Called after the handshake; the peer's certificate is not judged yet (`socket.authorized`). */
  readonly onSecure: (socket: tls.TLSSocket, inbound: Inbound) => void;
}

interface Entry extends PendingConnection {
  readonly socket: net.Socket;
  readonly inbound: Inbound;
}

export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #dependencies: AcceptorDependencies;
  readonly #admission: Admission;
  readonly #server: net.Server;
  /**
   * Never listens: connections that were admitted are injected, so that
   * refusing one costs no handshake.
   */
  readonly #tlsServer: tls.Server;
  /** By remote address and port, from TCP accept to accepted HELLO. */
  readonly #entries = new Map<string, Entry>();

  constructor(options: AcceptorOptions, dependencies: AcceptorDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#admission = new Admission(options.limits);
    this.#server = net.createServer({ noDelay: true }, (socket) => this.#onTcp(socket));
    this.#tlsServer = tls.createServer({
      ...options.tls,
      requestCert: true,
      // Judged in checkPeerCertificate, so that the peer can be told what
      // is wrong with its certificate.
      rejectUnauthorized: false,
      handshakeTimeout: options.limits.helloTimeoutMs,
    });
    this.#tlsServer.on('secureConnection', (socket) => this.#onSecure(socket));
    this.#tlsServer.on('tlsClientError', (error, socket) => {
      const data = { host: socket.remoteAddress, error: error.message };
      dependencies.log.warn(performance.now(), data, 'TLS handshake failed on the link port');
    });
  }

  get pendingConnections(): number {
    return this.#admission.size;
  }

  /** Resolves with the port that was bound; rejects with Node's error (EADDRINUSE, EACCES, ...). */
  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.port, this.#options.host, () => {
        this.#server.removeListener('error', reject);
        this.#server.on('error', (error) => {
          // accept() itself failed, out of file descriptors most
          // likely; the server goes on listening.
          this.#dependencies.log.warn(performance.now(), { error: error.message }, 'accept failed');
        });
        resolve((this.#server.address() as net.AddressInfo).port);
      });
    });
  }

  /**
   * Stops listening and drops whoever is still pending; established
   * links are their owner's to close.
   */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#server.listening) this.#server.close(() => resolve());
      else resolve();
      for (const { socket } of this.#entries.values()) socket.destroy();
    });
  }

  #onTcp(socket: net.Socket): void {
    socket.on('error', () => {});
    const { remoteAddress: host, remotePort: port } = socket;
    // Undefined when the other end has already gone.
    if (host === undefined || port === undefined) {
      socket.destroy();
      return;
    }
    const key = `${host}|${port}`;
    const entry = this.#entry(socket, key, host);
    if (!this.#admission.admit(entry)) {
      socket.destroy();
      const data = { host, pending: this.#admission.size };
      this.#dependencies.log.warn(performance.now(), data, 'too many unauthenticated connections');
      return;
    }
    this.#entries.set(key, entry);
    socket.once('close', () => this.#forget(key, entry));
    this.#tlsServer.emit('connection', socket);
  }

  #forget(key: string, entry: Entry): void {
    // The same address and port may be another connection's by now.
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
    this.#admission.release(entry);
  }

  #entry(socket: net.Socket, key: string, host: string): Entry {
    let refuse: ((why: Refusal) => void) | undefined;
    const timer = setTimeout(() => {
      const why = refusal('hello_timeout', 'the connection did not finish TLS and HELLO in time');
      if (refuse !== undefined) {
        refuse(why);
        return;
      }
      socket.destroy();
      this.#dependencies.log.warn(performance.now(), { host, code: why.code }, why.message);
    }, this.#options.limits.helloTimeoutMs);
    socket.once('close', () => clearTimeout(timer));
    const entry: Entry = {
      host,
      socket,
      sinceMs: performance.now(),
      evict: () => socket.destroy(),
      inbound: {
        host,
        admitted: () => {
          clearTimeout(timer);
          this.#forget(key, entry);
        },
        onTimeout: (say) => {
          refuse = say;
        },
      },
    };
    return entry;
  }

  #onSecure(socket: tls.TLSSocket): void {
    socket.on('error', () => {});
    const entry = this.#entries.get(`${socket.remoteAddress}|${socket.remotePort}`);
    if (entry === undefined) {
      socket.destroy();
      return;
    }
    this.#dependencies.onSecure(socket, entry.inbound);
  }
}
