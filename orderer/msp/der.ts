/**
 * Reader for the part of DER (ITU-T X.690) that certificates and revocation lists use:
 * definite, minimal lengths, single-byte tags. Throws `DerError`; the parsers above it
 * turn that into data. Browser-safe.
 *
 * `api/client/der.ts` reads DER too, on purpose: the auditor uses that one, so that other code
 * judges what this code let onto the chain.
 */

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
} as const;

export class DerError extends Error {}

export interface DerNode {
  readonly tag: number;
  /** Without tag and length. */
  readonly content: Uint8Array;
  /** With them. */
  readonly raw: Uint8Array;
}

/** Cursor over the nodes of one constructed value. */
export interface DerCursor {
  readonly done: () => boolean;
  /** Tag of the next node; undefined at the end. */
  readonly peek: () => number | undefined;
  /** The next node, which must have this tag when one is given. */
  readonly next: (tag?: number) => DerNode;
  /** The next node when it has this tag. */
  readonly optional: (tag: number) => DerNode | undefined;
}

/** The one node that these bytes are, with nothing after it. */
export function readDer(bytes: Uint8Array, tag?: number): DerNode {
  const cursor = openDer(bytes);
  const node = cursor.next(tag);
  if (!cursor.done()) throw new DerError('bytes after the end');
  return node;
}

export function openDer(bytes: Uint8Array): DerCursor {
  let at = 0;
  const next = (tag?: number): DerNode => {
    const node = nodeAt(bytes, at);
    if (tag !== undefined && node.tag !== tag) {
      throw new DerError(`tag 0x${node.tag.toString(16)} where 0x${tag.toString(16)} belongs`);
    }
    at += node.raw.length;
    return node;
  };
  return {
    done: () => at >= bytes.length,
    peek: () => bytes[at],
    next,
    optional: (tag) => (bytes[at] === tag ? next(tag) : undefined),
  };
}

function nodeAt(bytes: Uint8Array, at: number): DerNode {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) throw new DerError('ends early');
  if ((tag & 0x1f) === 0x1f) throw new DerError('multi-byte tag');
  let length = first;
  let start = at + 2;
  if (first >= 0x80) {
    const octets = first & 0x7f;
    if (octets === 0 || octets > 4) throw new DerError('indefinite or huge length');
    length = 0;
    for (let index = 0; index < octets; index++) {
      const octet = bytes[start + index];
      if (octet === undefined) throw new DerError('ends early');
      length = length * 256 + octet;
    }
    start += octets;
    const minimal = length >= 0x80 && length >= 2 ** (8 * (octets - 1));
    if (!minimal) throw new DerError('length is not minimal');
  }
  const end = start + length;
  if (end > bytes.length) throw new DerError('ends early');
  return { tag, content: bytes.subarray(start, end), raw: bytes.subarray(at, end) };
}

/** Dotted form of an OBJECT IDENTIFIER's content. */
export function readOid(content: Uint8Array): string {
  const arcs: number[] = [];
  let value = 0;
  let open = false;
  for (const byte of content) {
    if (!open && byte === 0x80) throw new DerError('identifier arc is not minimal');
    value = value * 128 + (byte & 0x7f);
    if (!Number.isSafeInteger(value)) throw new DerError('identifier arc is too large');
    open = (byte & 0x80) !== 0;
    if (open) continue;
    if (arcs.length === 0) {
      const top = Math.min(2, Math.floor(value / 40));
      arcs.push(top, value - top * 40);
    } else {
      arcs.push(value);
    }
    value = 0;
  }
  if (open || arcs.length === 0) throw new DerError('identifier ends early');
  return arcs.join('.');
}

/**
 * UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 restricts them; milliseconds since 1970.
 */
export function readTime(node: DerNode): number {
  const text = String.fromCharCode(...node.content.subarray(0, 20));
  const short = node.tag === TAG.utcTime;
  if (!short && node.tag !== TAG.generalizedTime) throw new DerError('not a time');
  const pattern = short
    ? /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/
    : /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/;
  const match = pattern.exec(text);
  if (match === null) throw new DerError('not a time in the form YYMMDDHHMMSSZ');
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1)
    .map(Number);
  const fullYear = short ? (year < 50 ? 2000 + year : 1900 + year) : year;
  const ms = Date.UTC(fullYear, month - 1, day, hour, minute, second);
  const date = new Date(ms);
  const exact =
    date.getUTCMonth() === month - 1 && date.getUTCDate() === day && date.getUTCHours() === hour;
  if (!exact || minute > 59 || second > 59) throw new DerError('no such time');
  return ms;
}

/** A BIT STRING's bytes; `unusedBits` must be zero unless flags are read. */
export function readBitString(node: DerNode): { bytes: Uint8Array; unusedBits: number } {
  const unusedBits = node.content[0];
  if (unusedBits === undefined || unusedBits > 7) throw new DerError('bad bit string');
  return { bytes: node.content.subarray(1), unusedBits };
}

export function readBoolean(node: DerNode): boolean {
  const value = node.content[0];
  if (node.content.length !== 1 || (value !== 0 && value !== 0xff)) {
    throw new DerError('bad boolean');
  }
  return value === 0xff;
}

/** Text of a directory string; units that are not text are refused. */
export function readText(node: DerNode): string {
  switch (node.tag) {
    case TAG.utf8String:
    case TAG.printableString:
    case TAG.ia5String:
      return new TextDecoder('utf-8', { fatal: true }).decode(node.content);
    case TAG.teletexString:
      return String.fromCharCode(...node.content.subarray(0, 1024));
    case TAG.bmpString:
      return new TextDecoder('utf-16be', { fatal: true }).decode(node.content);
    default:
      throw new DerError('not text');
  }
}
