/** PEM (RFC 7468) and base64 without Node: `atob` and `btoa` are in every browser and in Node. */

export interface PemBlock {
  /** What stands after BEGIN, for instance `CERTIFICATE`. */
  readonly label: string;
  readonly der: Uint8Array;
}

const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g;

/** Every PEM block of a text, in order; what is not PEM is skipped, as openssl does. */
export function readPem(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  for (const match of text.matchAll(PEM_BLOCK)) {
    const der = fromBase64((match[2] ?? '').replace(/\s+/g, ''));
    if (der !== undefined) blocks.push({ label: match[1] ?? '', der });
  }
  return blocks;
}

/** Bytes of standard base64 with padding; undefined when it is not that. */
export function fromBase64(text: string): Uint8Array | undefined {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    return undefined;
  }
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}
