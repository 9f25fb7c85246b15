/**
 * Canonical protobuf writer: fields in ascending order, defaults left out, shortest varints: the
 * bytes of Go's `proto.Marshal`. Sizes are computed first, so a message is written into one exact
 * allocation; `finish` checks that size and content agree.
 */
import { LedgerError } from '../errors.ts';
import { EMPTY } from './wire-reader.ts';

const TWO_POW_32 = 0x1_0000_0000;
const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Bytes of `value` as a varint; `value` is an integer from -(2^53 - 1) to
 * 2^53 - 1, negative ones take ten.
 */
function varintSize(value: number): number {
  if (value < 0) return 10;
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
}

/** Bytes of a length-delimited field with its tag, present even when empty. */
export function presentSize(length: number): number {
  return 1 + varintSize(length) + length;
}

/** Bytes of a singular bytes or string field: nothing when empty. */
export function bytesSize(length: number): number {
  return length === 0 ? 0 : presentSize(length);
}

/** Bytes of a singular integer field: nothing when zero. */
export function integerSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

/** As many bytes; what is in them does not matter where all of them are written. */
export type Allocate = (bytes: number) => Uint8Array;

const allocateFresh: Allocate = (bytes) => (bytes === 0 ? EMPTY : new Uint8Array(bytes));

export class WireWriter {
  private readonly bytes: Uint8Array;
  private position: number;

  /**
   * `size`: exact length of the message, bytes. `headroom`: bytes in front
   * of it, for the caller to fill.
   */
  constructor(size: number, headroom = 0, allocate = allocateFresh) {
    this.bytes = allocate(size + headroom);
    this.position = headroom;
  }

  integerField(field: number, value: number): void {
    if (value === 0) return;
    this.byte(field << 3);
    this.varint(value);
  }

  /** Singular field: left out when empty. */
  bytesField(field: number, value: Uint8Array): void {
    if (value.length > 0) this.presentField(field, value);
  }

  /** Element of a repeated field: written even when empty. */
  presentField(field: number, value: Uint8Array): void {
    this.openField(field, value.length);
    this.bytes.set(value, this.position);
    this.position += value.length;
  }

  /** Tag and length of an embedded message whose fields the caller writes next. */
  openField(field: number, length: number): void {
    this.byte((field << 3) | 2);
    this.varint(length);
  }

  finish(): Uint8Array {
    if (this.position !== this.bytes.length) {
      throw new LedgerError(
        'not_encodable',
        `the encoder computed ${this.bytes.length} bytes and wrote ${this.position}; please report this bug`,
      );
    }
    return this.bytes;
  }

  private byte(value: number): void {
    this.bytes[this.position] = value;
    this.position += 1;
  }

  private varint(value: number): void {
    if (value >= 0 && value < 0x80) {
      this.byte(value);
      return;
    }
    let high = Math.floor(value / TWO_POW_32);
    let low = (value - high * TWO_POW_32) >>> 0;
    high >>>= 0;
    while (high !== 0 || low >= 0x80) {
      this.byte((low & 0x7f) | 0x80);
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.byte(low);
  }
}

/** Throws `not_encodable` unless `value` is an integer in the range. */
export function requireInteger(value: number, min: number, max: number, name: string): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new LedgerError(
      'not_encodable',
      `${name} is ${value}, not an integer from ${min} to ${max}`,
    );
  }
}

/**
 * UTF-8 of `text`; throws `not_encodable` for a lone surrogate, which
 * TextEncoder would silently replace.
 */
export function encodeText(text: string, name: string): Uint8Array {
  const bytes = utf8Encoder.encode(text);
  if (bytes.length !== text.length && utf8Decoder.decode(bytes) !== text) {
    throw new LedgerError('not_encodable', `${name} is not well-formed Unicode text`);
  }
  return bytes;
}
