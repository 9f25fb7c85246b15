/**
 * What a mesh of links is made with, and the checks that run before anything listens or dials.
 */
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { LinkError } from './errors.ts';
import type { LinkLimits } from './limits.ts';

export interface LinkPeer {
  readonly index: number;
  readonly host: string;
  readonly port: number;
  /** The exact certificate accepted from that peer when it dials us. */
  readonly clientTlsPem: string;
  /** The exact certificate accepted from that peer when we dial it. */
  readonly serverTlsPem: string;
}

export interface LinkOptions {
  readonly self: number;
  readonly listenHost: string;
  /** 0: any free port (tests). */
  readonly listenPort: number;
  /** All but self. */
  readonly peers: readonly LinkPeer[];
  readonly tlsCertPem: string;
  readonly tlsKeyPem: string;
  /** At least one; the system's CAs are never trusted. */
  readonly caPem: readonly string[];
  /** Decimal u64 that this process drew at start. */
  readonly incarnation: string;
  /** Both sides must agree; hash of the genesis block, say. */
  readonly networkId: string;
  readonly limits?: Partial<LinkLimits>;
}

/** Throws LinkError `bad_options`, naming what is wrong. */
export function checkOptions(options: LinkOptions): void {
  const indices = [options.self, ...options.peers.map(({ index }) => index)];
  for (const index of indices) {
    if (!Number.isInteger(index) || index < 0 || index > 0xffff) {
      throw new LinkError('bad_options', `index ${index} is not a replica index (0 to 65535)`);
    }
  }
  if (new Set(indices).size !== indices.length) {
    throw new LinkError('bad_options', 'self and peers must have different indices');
  }
  for (const port of [options.listenPort, ...options.peers.map((peer) => peer.port)]) {
    if (!Number.isInteger(port) || port < 0 || port > 0xffff) {
      throw new LinkError('bad_options', `port ${port} is not a TCP port`);
    }
  }
  // Without this Node would fall back to the CAs that it ships.
  if (options.caPem.length === 0) {
    throw new LinkError(
      'bad_options',
      'caPem is empty; give the CAs of the replicas TLS certificates',
    );
  }
}

export function tlsOptions(options: LinkOptions): SecureContextOptions {
  return {
    cert: options.tlsCertPem,
    key: options.tlsKeyPem,
    ca: [...options.caPem],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
  };
}

/** Throws LinkError `bad_options` when key, certificate and CAs cannot be used together. */
export function contextOf(tls: SecureContextOptions): ReturnType<typeof createSecureContext> {
  try {
    return createSecureContext(tls);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new LinkError('bad_options', `tlsCertPem, tlsKeyPem or caPem cannot be used: ${why}`);
  }
}
