/**
 * Canonical protobuf reader: accepts exactly the bytes that Go's `proto.Marshal` would
 * produce for the message, so that "parse" and "re-marshals to the same bytes" are one pass
 * without building the bytes again.
 *
 * A decoder asks for its fields in ascending order; what is absent reads as the default.
 * Whatever is left at the end (`leave`, `finish`) is a field that is unknown, repeated, out of
 * order or of another wire type.
 *
 * Nothing here throws: the first fault is kept, and after it every read returns the default. A
 * fault starts with `malformed ` when no protobuf decoder could read the bytes, and with `not
 * canonical: ` when one could, but would write other bytes.
 *
 * Encoding rules: protobuf.dev/programming-guides/encoding. All fields here have
 * numbers below 16, so a tag is a byte.
 */

export const EMPTY = new Uint8Array(0);

/** Result of every decoder. A malformed input is a value, not an exception. */
export type Decoded<T> = { kind: 'ok'; value: T } | { kind: 'malformed'; reason: string };

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;
const TWO_POW_32 = 0x1_0000_0000;
/** High word of 2^53: from there on a JavaScript number cannot hold every integer. */
const HIGH_WORD_MAX = 0x1f_ffff;

/** V8 joins longer strings by reference, and copies them when they are first looked at. */
const FLAT_LENGTH_MAX = 12;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class WireReader {
  readonly bytes: Uint8Array;
  /** First byte not read yet. */
  position = 0;
  /** End of the message being read: the innermost one entered. */
  end: number;
  /** The first fault; later ones are consequences of it. */
  fault: string | undefined = undefined;
  /** The two words of the varint read last, unsigned. */
  private low = 0;
  private high = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = plainView(bytes);
    this.end = bytes.length;
  }

  /** Keeps the first fault and moves to the end, so that every later read returns the default. */
  fail(reason: string): void {
    if (this.fault === undefined) this.fault = reason;
    this.position = this.end;
  }

  /** A singular `bytes` field; empty when absent. */
  bytesField(field: number, name: string): Uint8Array {
    if (!this.tag(field, WIRE_BYTES) || !this.length(name, false)) return EMPTY;
    const start = this.position;
    this.position = start + this.low;
    return this.bytes.subarray(start, this.position);
  }

  /**
   * As `bytesField` without making a view: answers where the field starts, and `position` is where it ends. An absent field
   * is empty.
   */
  spanField(field: number, name: string): number {
    if (!this.tag(field, WIRE_BYTES) || !this.length(name, false)) return this.position;
    const start = this.position;
    this.position = start + this.low;
    return start;
  }

  /**
   * One more element of a `repeated bytes` field, or undefined when there
   * is none. Elements may be empty.
   */
  repeatedBytes(field: number, name: string): Uint8Array | undefined {
    if (!this.tag(field, WIRE_BYTES) || !this.length(name, true)) return undefined;
    const start = this.position;
    this.position = start + this.low;
    return this.bytes.subarray(start, this.position);
  }

  /** A singular `string` field; empty when absent. */
  stringField(field: number, name: string): string {
    if (!this.tag(field, WIRE_BYTES) || !this.length(name, false)) return '';
    const start = this.position;
    this.position = start + this.low;
    const text = readText(this.bytes, start, this.position);
    if (text === undefined) {
      this.fail(`malformed ${name}: not UTF-8`);
      return '';
    }
    return text;
  }

  /** A singular `uint64` field as a number; above 2^53 - 1 it is a fault. */
  uint64Field(field: number, name: string): number {
    if (!this.tag(field, WIRE_VARINT) || !this.scalar(name)) return 0;
    if (this.high > HIGH_WORD_MAX) {
      this.fail(`malformed ${name}: value above 2^53 - 1`);
      return 0;
    }
    return this.high * TWO_POW_32 + this.low;
  }

  /** A singular `uint32` field. */
  uint32Field(field: number, name: string): number {
    if (!this.tag(field, WIRE_VARINT) || !this.scalar(name)) return 0;
    if (this.high !== 0) {
      this.fail(`not canonical: ${name} has more than 32 bits`);
      return 0;
    }
    return this.low;
  }

  /** A singular `int32` or enum field. Negative values are sign-extended to 64 bits on the wire. */
  int32Field(field: number, name: string): number {
    if (!this.tag(field, WIRE_VARINT) || !this.scalar(name)) return 0;
    const value = this.low | 0;
    if (this.high !== (value < 0 ? 0xffff_ffff : 0)) {
      this.fail(`not canonical: ${name} has more than 32 bits`);
      return 0;
    }
    return value;
  }

  /** A singular `int64` field as a number; outside +-(2^53 - 1) it is a fault. */
  int64Field(field: number, name: string): number {
    if (!this.tag(field, WIRE_VARINT) || !this.scalar(name)) return 0;
    const value = (this.high | 0) * TWO_POW_32 + this.low;
    if (!Number.isSafeInteger(value)) {
      this.fail(`malformed ${name}: value outside +-(2^53 - 1)`);
      return 0;
    }
    return value;
  }

  /**
   * Enters an embedded message, present even when empty. Returns the end of the outer message for
   * `leave`, or -1 when the field is absent.
   */
  enterMessage(field: number, name: string): number {
    if (!this.tag(field, WIRE_BYTES) || !this.length(name, true)) return -1;
    return this.narrow();
  }

  /** As `enterMessage` for a message kept in a `bytes` field, which is absent when empty. */
  enterBytes(field: number, name: string): number {
    if (!this.tag(field, WIRE_BYTES) || !this.length(name, false)) return -1;
    return this.narrow();
  }

  /** What is left of the innermost message, without reading it. */
  rest(): Uint8Array {
    return this.bytes.subarray(this.position, this.end);
  }

  /** Ends the innermost message: anything left in it is a fault. */
  leave(outerEnd: number, message: string, fieldMax: number): void {
    if (this.position !== this.end) this.fail(this.describeLeftover(message, fieldMax));
    // After a fault the window stays closed: the outer message must not
    // be read from a wrong position.
    if (this.fault === undefined) this.end = outerEnd;
  }

  /** Ends the outermost message. */
  finish(message: string, fieldMax: number): void {
    if (this.position !== this.end) this.fail(this.describeLeftover(message, fieldMax));
  }

  private narrow(): number {
    const outerEnd = this.end;
    this.end = this.position + this.low;
    return outerEnd;
  }

  private tag(field: number, wireType: number): boolean {
    if (this.position >= this.end || this.bytes[this.position] !== ((field << 3) | wireType)) {
      return false;
    }
    this.position += 1;
    return true;
  }

  /** Reads a length that fits in the message into `low`. */
  private length(name: string, mayBeEmpty: boolean): boolean {
    if (!this.varint(name)) return false;
    if (this.high !== 0 || this.low > this.end - this.position) {
      this.fail(`malformed ${name}: its length runs past the end of the message`);
      return false;
    }
    if (this.low === 0 && !mayBeEmpty) {
      this.fail(`not canonical: ${name} is present but empty`);
      return false;
    }
    return true;
  }

  /** Reads a varint that is not zero. */
  private scalar(name: string): boolean {
    if (!this.varint(name)) return false;
    if (this.low === 0 && this.high === 0) {
      this.fail(`not canonical: ${name} is present but zero`);
      return false;
    }
    return true;
  }

  private varint(name: string): boolean {
    const bytes = this.bytes;
    let position = this.position;
    if (position < this.end && bytes[position]! < 0x80) {
      this.low = bytes[position]!;
      this.high = 0;
      this.position = position + 1;
      return true;
    }
    let low = 0;
    let high = 0;
    for (let index = 0; index < 10; index += 1) {
      if (position >= this.end) {
        this.fail(`malformed ${name}: truncated varint`);
        return false;
      }
      const byte = bytes[position]!;
      position += 1;
      const bits = byte & 0x7f;
      if (index < 4) low |= bits << (7 * index);
      else if (index === 4) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (index < 9) high |= bits << (7 * index - 32);
      else {
        // The tenth byte carries bit 63 alone.
        if (byte > 1) break;
        high |= bits << 31;
      }
      if (byte < 0x80) {
        if (byte === 0) {
          this.fail(`not canonical: ${name} has a varint with needless bytes`);
          return false;
        }
        this.low = low >>> 0;
        this.high = high >>> 0;
        this.position = position;
        return true;
      }
    }
    this.fail(`malformed ${name}: varint longer than 64 bits`);
    return false;
  }

  /** Names the first field that no read asked for. Cold path: runs once for a refused input. */
  private describeLeftover(message: string, fieldMax: number): string {
    const name = `${message} at byte ${this.position}`;
    if (!this.varint(name)) return this.fault ?? `malformed ${name}`;
    const field = this.high === 0 ? this.low >>> 3 : 0;
    const wireType = this.low & 7;
    if (field === 0 || field > 536_870_911) return `malformed ${name}: no such field number`;
    if (wireType === WIRE_VARINT) {
      if (!this.varint(name)) return this.fault ?? `malformed ${name}`;
    } else if (wireType === WIRE_BYTES) {
      if (!this.length(name, true)) return this.fault ?? `malformed ${name}`;
    } else if (wireType === WIRE_FIXED32 || wireType === WIRE_FIXED64) {
      if (this.end - this.position < (wireType === WIRE_FIXED32 ? 4 : 8)) {
        return `malformed ${name}: truncated fixed-width value`;
      }
    } else if (wireType > WIRE_FIXED32) return `malformed ${name}: wire type ${wireType}`;
    else return `not canonical: ${name} has a group`;
    return field > fieldMax
      ? `not canonical: ${name} has unknown field ${field}`
      : `not canonical: ${name} has field ${field} repeated, out of order or with wire type ${wireType}`;
  }
}

/** A value or the reader's fault. */
export function decoded<T>(reader: WireReader, value: T): Decoded<T> {
  return reader.fault === undefined
    ? { kind: 'ok', value }
    : { kind: 'malformed', reason: reader.fault };
}

/**
 * The same bytes as a plain Uint8Array: Node's Buffer would leak into
 * results, and its subarray is slower.
 */
export function plainView(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array
    ? bytes
    : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readText(bytes: Uint8Array, start: number, end: number): string | undefined {
  // Faster than a call of the decoder as long as V8 makes a flat string of it.
  if (end - start <= FLAT_LENGTH_MAX) {
    let text = '';
    let index = start;
    for (; index < end; index += 1) {
      const byte = bytes[index]!;
      if (byte >= 0x80) break;
      text += String.fromCharCode(byte);
    }
    if (index === end) return text;
  }
  try {
    return utf8.decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
}
