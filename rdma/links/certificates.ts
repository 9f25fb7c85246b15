/**
 * Who is at the other end: the certificate that TLS proved, against the ones
 * pinned in the channel configuration.
 *
 * TLS itself checks the chain to our CAs, the validity dates and the key usage; here the result is
 * turned into a stable refusal, and the exact certificate is looked up. A valid certificate of the
 * right CA is not enough: membership is the list of pinned certificates, nothing else.
 */
import { createHash, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { LinkError, type Refusal, refusal } from './errors.ts';

/** Certificate digest (hex SHA-256 of DER) to the index of the peer that owns it. */
export type PinnedCertificates = ReadonlyMap<string, number>;

export interface PinnedPeer {
  readonly index: number;
  readonly certificate: string;
}

/** Throws LinkError `bad_options` when a certificate is unreadable or pinned for two peers. */
export function pinCertificates(peers: readonly PinnedPeer[]): PinnedCertificates {
  const pins = new Map<string, number>();
  for (const { index, certificate } of peers) {
    const digest = digestOf(parseCertificate(certificate, `peer ${index}`).raw);
    const owner = pins.get(digest);
    if (owner !== undefined) {
      throw new LinkError(
        'bad_options',
        `peers ${owner} and ${index} have the same TLS certificate; give each its own`,
      );
    }
    pins.set(digest, index);
  }
  return pins;
}

export function parseCertificate(pemOrDer: string | Uint8Array, owner: string): X509Certificate {
  try {
    return new X509Certificate(pemOrDer);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new LinkError('bad_options', `the TLS certificate of ${owner} is not readable: ${why}`);
  }
}

export type PeerCheck =
  | { readonly kind: 'peer'; readonly index: number }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** Names the peer whose pinned certificate the finished handshake proved. */
export function checkPeerCertificate(socket: TLSSocket, pins: PinnedCertificates): PeerCheck {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) {
    return refused('certificate_missing', 'no TLS certificate was presented; replicas need one');
  }
  // `authorized` covers chain, dates and purpose; anything but a clean true ends here.
  if (socket.authorized !== true) return refusedChain(socket.authorizationError);
  const index = pins.get(digestOf(certificate.raw));
  if (index === undefined) {
    return refused(
      'certificate_not_pinned',
      'the TLS certificate is valid but is not the one in the channel configuration for this place',
    );
  }
  return { kind: 'peer', index };
}

function refusedChain(error: Error | string | undefined): PeerCheck {
  // Node's types say Error, its code hands over OpenSSL's name of the error.
  const name = error instanceof Error ? error.message : String(error);
  if (name === 'CERT_HAS_EXPIRED') {
    return refused('certificate_expired', 'the TLS certificate has expired; issue a new one');
  }
  if (name === 'CERT_NOT_YET_VALID') {
    return refused(
      'certificate_not_yet_valid',
      'the TLS certificate is not valid yet; check clocks',
    );
  }
  return refused(
    'certificate_untrusted',
    `the TLS certificate does not chain to our CAs (${name})`,
  );
}

function refused(code: Refusal['code'], message: string): PeerCheck {
  return { kind: 'refused', refusal: refusal(code, message) };
}

function digestOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}
