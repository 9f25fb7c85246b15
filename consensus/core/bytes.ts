/** Small helpers on byte arrays; the core keeps bytes and avoids hex strings. */

export const DIGEST32_BYTES = 32;
export const DIGEST24_BYTES = 24;

export const ZERO_DIGEST: Uint8Array = new Uint8Array(DIGEST32_BYTES);

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Is `part` what `bytes` holds from `offset`? */
export function equalAt(bytes: Uint8Array, offset: number, part: Uint8Array): boolean {
  if (offset + part.length > bytes.length) return false;
  for (let i = 0; i < part.length; i++) if (bytes[offset + i] !== part[i]) return false;
  return true;
}

/** Concatenation. */
export function joinBytes(...parts: Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Bytes of an ASCII text; the core has no TextEncoder of its own to rely on. */
export function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
