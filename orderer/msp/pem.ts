/**
 * PEM armor, strictly: exactly one block of the wanted label, nothing but white
 * space around it. Browser-safe.
 */

import type { Decoded } from '../../ledger/format/index.ts';

/** DER bytes inside one PEM block. RFC 7468 section 3, without headers or explanatory text. */
export function decodePem(pem: string, label: 'CERTIFICATE' | 'X509 CRL'): Decoded<Uint8Array> {
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  const text = pem.trim();
  if (!text.startsWith(begin)) return malformed(`does not start with "${begin}"`);
  if (!text.endsWith(end)) return malformed(`does not end with "${end}"`);
  const body = text.slice(begin.length, text.length - end.length).replace(/[\r\n\t ]/g, '');
  if (body.length === 0 || body.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(body)) {
    return malformed('holds something that is not base64');
  }
  const binary = atob(body);
  const der = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) der[at] = binary.charCodeAt(at);
  return { kind: 'ok', value: der };
}

function malformed(reason: string): { kind: 'malformed'; reason: string } {
  return { kind: 'malformed', reason };
}
