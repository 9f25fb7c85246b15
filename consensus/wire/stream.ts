/**
 * Reading and writing one value after another, for what has no fixed layout. Rules of the numbers:
 * `bytes.ts`.
 */
import {
  copyShort,
  type Decoded,
  malformed,
  ok,
  readU16,
  readU32,
  readU64,
  writeU16,
  writeU32,
  writeU64,
} from './bytes.ts';

const U8_MAX = 0xff;
const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;
/** Kind and version. */
export const TAG_BYTES = 2;
const EMPTY = new Uint8Array(0);

/**
 * Never throws: the first failure is kept, and from then on every read yields zeros or nothing. So
 * a decoder reads straight on and asks at the end (`finish`), and before anything that costs by
 * what was read (`failed`). What functions named `read...` return is whole only if nothing failed.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  /** What is read, for the reason of a failure. */
  readonly #name: string;
  #at: number;
  #reason: string | undefined = undefined;

  /** `offset` lies in `bytes` or at their end. */
  constructor(bytes: Uint8Array, name: string, offset = 0) {
    this.#bytes = bytes;
    this.#name = name;
    this.#at = offset;
  }

  get failed(): boolean {
    return this.#reason !== undefined;
  }

  get offset(): number {
    return this.#at;
  }

  get left(): number {
    return this.failed ? 0 : this.#bytes.length - this.#at;
  }

  fail(reason: string): void {
    this.#reason ??= reason;
  }

  u8(): number {
    const at = this.#advance(1);
    return at < 0 ? 0 : (this.#bytes[at] as number);
  }

  u16(): number {
    const at = this.#advance(2);
    return at < 0 ? 0 : readU16(this.#bytes, at);
  }

  u32(): number {
    const at = this.#advance(4);
    return at < 0 ? 0 : readU32(this.#bytes, at);
  }

  u64(): number {
    const at = this.#advance(8);
    if (at < 0) return 0;
    const value = readU64(this.#bytes, at);
    if (value === undefined) this.fail('number exceeds 2^53 - 1');
    return value ?? 0;
  }

  /** A byte of flags, of which `known` are. */
  flags(known: number): number {
    const flags = this.u8();
    if ((flags & ~known) !== 0) this.fail(`unknown ${this.#name} flags`);
    return flags & known;
  }

  /** A number below `replicas`. */
  replica(replicas: number, reason: string): number {
    const index = this.u16();
    if (index < replicas) return index;
    this.fail(reason);
    return 0;
  }

  /** A view into the input; after a failure an empty one. */
  take(length: number): Uint8Array {
    const at = this.#advance(length);
    return at < 0 ? EMPTY : this.#bytes.subarray(at, at + length);
  }

  /** A short stretch that may be kept without keeping the input; after a failure an empty one. */
  copy(length: number): Uint8Array {
    const at = this.#advance(length);
    return at < 0 ? EMPTY : copyShort(this.#bytes, at, length);
  }

  /** All that is left, as a view into the input. */
  rest(): Uint8Array {
    return this.take(this.left);
  }

  /** What has been read since `offset`, as a view into the input. */
  since(offset: number): Uint8Array {
    return this.#bytes.subarray(offset, this.#at);
  }

  /** The value, when nothing failed and nothing is left. */
  finish<T>(value: T): Decoded<T> {
    if (this.left > 0) this.fail(`bytes after ${this.#name}`);
    return this.#reason === undefined ? ok(value) : malformed(this.#reason);
  }

  /** Where the next `length` bytes begin, or -1 when they are not there. */
  #advance(length: number): number {
    if (length > this.left) this.fail(`${this.#name} cut off`);
    if (this.failed) return -1;
    const at = this.#at;
    this.#at += length;
    return at;
  }
}

/**
 * Writes exactly so many bytes as were announced. Throws RangeError for a value that does not fit: a
 * bug of the caller.
 */
export class ByteWriter {
  readonly #bytes: Uint8Array;
  #length = 0;

  /** `bytes`: `length` of them, which are written over. */
  constructor(length: number, bytes: Uint8Array = new Uint8Array(length)) {
    this.#bytes = bytes;
  }

  u8(value: number): this {
    checkUnsigned(value, U8_MAX);
    const at = this.#claim(1);
    this.#bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    checkUnsigned(value, U16_MAX);
    const at = this.#claim(2);
    writeU16(this.#bytes, at, value);
    return this;
  }

  u32(value: number): this {
    checkUnsigned(value, U32_MAX);
    const at = this.#claim(4);
    writeU32(this.#bytes, at, value);
    return this;
  }

  u64(value: number): this {
    const at = this.#claim(8);
    writeU64(this.#bytes, at, value);
    return this;
  }

  put(bytes: Uint8Array): this {
    const at = this.#claim(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** Bytes whose number is part of the layout. */
  fixed(bytes: Uint8Array, length: number): this {
    if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes instead of ${length}`);
    return this.put(bytes);
  }

  /** `write` fills the next `length` bytes. */
  fill(length: number, write: (bytes: Uint8Array, offset: number) => void): this {
    const at = this.#claim(length);
    write(this.#bytes, at);
    return this;
  }

  /** What was written; the writer is used up. */
  finish(): Uint8Array {
    if (this.#length !== this.#bytes.length) throw new RangeError('fewer bytes than announced');
    return this.#bytes;
  }

  #claim(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) throw new RangeError('more bytes than announced');
    return at;
  }
}

function checkUnsigned(value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new RangeError(`not an unsigned integer up to ${max}: ${value}`);
  }
}

/** A writer of `bodyBytes`, after the two bytes with which messages and log records begin. `bytes`: where to. */
export function startTagged(
  kind: number,
  version: number,
  bodyBytes: number,
  bytes?: Uint8Array,
): ByteWriter {
  return new ByteWriter(TAG_BYTES + bodyBytes, bytes).u8(kind).u8(version);
}
