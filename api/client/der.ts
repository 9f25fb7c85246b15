/**
 * A small strict reader of ASN.1 DER (X.690): just enough for X.509 certificates, revocation lists
 * and PKCS#8 keys. Runs anywhere: no Node, no dependency. Functions throw `DerError`; the exported
 * parsers of this folder turn it into data.
 *
 * The replicas have a reader of their own (`orderer/msp/der.ts`): what
 * one accepts, the other checks.
 */

/** The bytes are not the DER that was expected; the message says where. */
export class DerError extends Error {}

export interface DerElement {
  readonly tag: number;
  /** The whole element: tag, length and content. */
  readonly bytes: Uint8Array;
  readonly content: Uint8Array;
}

export const DER_TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OID: 0x06,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
  SET: 0x31,
  CONTEXT_0: 0xa0,
  CONTEXT_1: 0xa1,
  CONTEXT_3: 0xa3,
} as const;

/** Lengths of more octets than this are beyond anything that is read here (16 MiB). */
const LENGTH_OCTETS_MAX = 3;

function readLength(bytes: Uint8Array, offset: number): { length: number; start: number } {
  const first = bytes[offset];
  if (first === undefined) throw new DerError('ends before a length');
  if (first < 0x80) return { length: first, start: offset + 1 };
  const octets = first & 0x7f;
  if (octets === 0) throw new DerError('indefinite length');
  if (octets > LENGTH_OCTETS_MAX) throw new DerError('length beyond 16 MiB');
  let length = 0;
  for (let i = 0; i < octets; i++) {
    const octet = bytes[offset + 1 + i];
    if (octet === undefined) throw new DerError('ends inside a length');
    length = length * 256 + octet;
  }
  const minimal = octets === 1 ? 0x80 : 256 ** (octets - 1);
  if (length < minimal) throw new DerError('length not in its shortest form');
  return { length, start: offset + 1 + octets };
}

/** Reads the element at `offset`; bytes may follow it. */
function readElement(bytes: Uint8Array, offset = 0): DerElement {
  const tag = bytes[offset];
  if (tag === undefined) throw new DerError('ends where an element was expected');
  if ((tag & 0x1f) === 0x1f) throw new DerError('tag number above 30');
  const { length, start } = readLength(bytes, offset + 1);
  const end = start + length;
  if (end > bytes.length) throw new DerError(`element of ${length} bytes exceeds what is there`);
  return { tag, bytes: bytes.subarray(offset, end), content: bytes.subarray(start, end) };
}

/** Reads one element that fills `bytes` exactly. */
export function readOnly(bytes: Uint8Array, tag: number): DerElement {
  const element = expectTag(readElement(bytes), tag);
  if (element.bytes.length !== bytes.length) throw new DerError('bytes after the end');
  return element;
}

/** The elements inside a constructed element (SEQUENCE, SET, explicit context tag). */
export function readChildren(element: DerElement): DerElement[] {
  const children: DerElement[] = [];
  let offset = 0;
  while (offset < element.content.length) {
    const child = readElement(element.content, offset);
    children.push(child);
    offset += child.bytes.length;
  }
  return children;
}

export function expectTag(element: DerElement | undefined, tag: number): DerElement {
  if (element === undefined)
    throw new DerError(`element with tag 0x${tag.toString(16)} is missing`);
  if (element.tag !== tag) {
    throw new DerError(`tag 0x${element.tag.toString(16)} instead of 0x${tag.toString(16)}`);
  }
  return element;
}

/** Content of a BIT STRING that holds whole octets. */
export function bitStringOctets(element: DerElement | undefined): Uint8Array {
  const { content } = expectTag(element, DER_TAG.BIT_STRING);
  if (content[0] !== 0) throw new DerError('BIT STRING with unused bits');
  return content.subarray(1);
}

/**
 * Time of a UTCTime or GeneralizedTime in the forms of RFC 5280 section
 * 4.1.2.5, milliseconds since 1970.
 */
export function readTimeMs(element: DerElement | undefined): number {
  if (element === undefined) throw new DerError('time is missing');
  const text = String.fromCharCode(...element.content.subarray(0, 16));
  const utc = element.tag === DER_TAG.UTC_TIME;
  if (!utc) expectTag(element, DER_TAG.GENERALIZED_TIME);
  if (!(utc ? /^\d{12}Z$/ : /^\d{14}Z$/).test(text)) throw new DerError(`time ${text}`);
  const digits = utc ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text;
  const part = (start: number, end: number) => Number(digits.slice(start, end));
  return Date.UTC(part(0, 4), part(4, 6) - 1, part(6, 8), part(8, 10), part(10, 12), part(12, 14));
}
