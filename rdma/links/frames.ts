/**
 * Bytes of a link. Integers are big-endian.
 *
 *   frame    | length u32 | topic u16 | body (length - 2 bytes) |
 *
 *   topic 0 bodies (LINK_TOPICS.link), by their first byte:
 *   HELLO    | 1 | magic 'SLNK' | version u16 | index u16 | incarnation u64 | id length u16 | network id |
 *   PING     | 2 |
 *   REFUSED  | 3 | code length u8 | code | message length u16 | message |
 *
 * Decoders are total: any bytes give a value or `malformed` with a reason. Version comes
 * before everything that a later version may change, so that a newer peer is told
 * `protocol_version` and not `malformed_frame`.
 */
import { isRefusalCode, LinkError, type Refusal } from './errors.ts';
import { NETWORK_ID_BYTES_MAX, REFUSAL_MESSAGE_BYTES_MAX } from './limits.ts';
import { LINK_TOPICS } from './topics.ts';

export const LINK_PROTOCOL_VERSION = 1;

const HEADER_BYTES = 6;
const TOPIC_BYTES = 2;
const MAGIC = 0x534c4e4b;
const HELLO_FIXED_BYTES = 1 + 4 + 2 + 2 + 8 + 2;
const KIND_HELLO = 1;
const KIND_PING = 2;
const KIND_REFUSED = 3;

export interface Hello {
  readonly index: number;
  /** Decimal u64. */
  readonly incarnation: string;
  readonly networkId: string;
}

export type LinkControl =
  | { readonly kind: 'hello'; readonly hello: Hello }
  | { readonly kind: 'other-version'; readonly version: number }
  | { readonly kind: 'ping' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'malformed'; readonly reason: string };

/**
 * Header and body in one buffer. Throws LinkError `bad_frame` for a
 * topic that does not fit into a u16.
 */
export function encodeFrame(topic: number, body: Uint8Array): Buffer {
  if (!Number.isInteger(topic) || topic < 0 || topic > LINK_TOPICS.last) {
    throw new LinkError('bad_frame', `topic ${topic} is not a u16`);
  }
  const frame = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  frame.writeUInt32BE(TOPIC_BYTES + body.length, 0);
  frame.writeUInt16BE(topic, 4);
  frame.set(body, HEADER_BYTES);
  return frame;
}

/** Bytes that a body of `bodyBytes` takes on the wire. */
export function frameBytes(bodyBytes: number): number {
  return HEADER_BYTES + bodyBytes;
}

/** Throws LinkError `bad_options` when the network id or the incarnation does not fit. */
export function encodeHello(hello: Hello): Buffer {
  const id = Buffer.from(hello.networkId, 'utf8');
  if (id.length === 0 || id.length > NETWORK_ID_BYTES_MAX) {
    throw new LinkError('bad_options', `networkId must have 1 to ${NETWORK_ID_BYTES_MAX} bytes`);
  }
  if (!isIncarnation(hello.incarnation)) {
    throw new LinkError('bad_options', `incarnation ${hello.incarnation} is not a decimal u64`);
  }
  const body = Buffer.alloc(HELLO_FIXED_BYTES + id.length);
  let at = body.writeUInt8(KIND_HELLO, 0);
  at = body.writeUInt32BE(MAGIC, at);
  at = body.writeUInt16BE(LINK_PROTOCOL_VERSION, at);
  at = body.writeUInt16BE(hello.index, at);
  at = body.writeBigUInt64BE(BigInt(hello.incarnation), at);
  at = body.writeUInt16BE(id.length, at);
  body.set(id, at);
  return encodeFrame(LINK_TOPICS.link, body);
}

export function encodePing(): Buffer {
  return encodeFrame(LINK_TOPICS.link, Buffer.of(KIND_PING));
}

export function encodeRefused(refusal: Refusal): Buffer {
  const code = Buffer.from(refusal.code, 'ascii');
  const message = Buffer.from(refusal.message, 'utf8').subarray(0, REFUSAL_MESSAGE_BYTES_MAX);
  const body = Buffer.alloc(1 + 1 + code.length + 2 + message.length);
  let at = body.writeUInt8(KIND_REFUSED, 0);
  at = body.writeUInt8(code.length, at);
  at += code.copy(body, at);
  at = body.writeUInt16BE(message.length, at);
  message.copy(body, at);
  return encodeFrame(LINK_TOPICS.link, body);
}

/** Decodes the body of a topic 0 frame. */
export function decodeLinkControl(bytes: Uint8Array): LinkControl {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (body[0]) {
    case KIND_HELLO:
      return decodeHello(body);
    case KIND_PING:
      return body.length === 1 ? { kind: 'ping' } : malformed('ping with a body');
    case KIND_REFUSED:
      return decodeRefused(body);
    default:
      return malformed(body.length === 0 ? 'empty link frame' : `link frame kind ${body[0]}`);
  }
}

function decodeHello(body: Buffer): LinkControl {
  if (body.length < 7 || body.readUInt32BE(1) !== MAGIC) return malformed('HELLO without magic');
  const version = body.readUInt16BE(5);
  if (version !== LINK_PROTOCOL_VERSION) return { kind: 'other-version', version };
  if (body.length < HELLO_FIXED_BYTES) return malformed('HELLO too short');
  const idBytes = body.readUInt16BE(HELLO_FIXED_BYTES - 2);
  if (idBytes === 0 || idBytes > NETWORK_ID_BYTES_MAX) return malformed('HELLO network id length');
  if (body.length !== HELLO_FIXED_BYTES + idBytes) return malformed('HELLO length');
  return {
    kind: 'hello',
    hello: {
      index: body.readUInt16BE(7),
      incarnation: body.readBigUInt64BE(9).toString(),
      networkId: body.toString('utf8', HELLO_FIXED_BYTES),
    },
  };
}

function decodeRefused(body: Buffer): LinkControl {
  const codeBytes = body[1];
  if (codeBytes === undefined || body.length < 2 + codeBytes + 2)
    return malformed('REFUSED length');
  const code = body.toString('latin1', 2, 2 + codeBytes);
  const messageBytes = body.readUInt16BE(2 + codeBytes);
  if (messageBytes > REFUSAL_MESSAGE_BYTES_MAX || body.length !== 4 + codeBytes + messageBytes) {
    return malformed('REFUSED length');
  }
  if (!isRefusalCode(code)) return malformed('REFUSED with an unknown code');
  // It ends up in an operator's terminal: printable ASCII only.
  const message = body.toString('utf8', 4 + codeBytes).replace(/[^ -~]/g, '?');
  return { kind: 'refused', refusal: { code, message } };
}

function isIncarnation(text: string): boolean {
  return /^(0|[1-9][0-9]{0,19})$/.test(text) && BigInt(text) < 1n << 64n;
}

function malformed(reason: string): LinkControl {
  return { kind: 'malformed', reason };
}

export type FrameFault =
  | { readonly kind: 'too-large'; readonly lengthBytes: number }
  | { readonly kind: 'too-short'; readonly lengthBytes: number };

/**
 * Cuts a byte stream into frames. Holds at most one incomplete frame, in one buffer that grows with
 * what has arrived: neither a length field nor a rain of one-byte records makes it hold more than
 * twice the bytes sent. After a fault it takes no more bytes.
 */
export class FrameReader {
  #bytesMax: number;
  /** The incomplete frame: its first `#held` bytes. */
  #partial = Buffer.alloc(0);
  #held = 0;
  #failed = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Raised once the peer is authenticated; applies from the next frame on. */
  setBytesMax(bytesMax: number): void {
    this.#bytesMax = bytesMax;
  }

  /**
   * Calls `onFrame` for each complete frame, until it returns false. The body is the
   * receiver's to keep: the reader never writes into it again, provided that nobody writes
   * into `chunk` (Node's sockets do not).
   */
  push(chunk: Buffer, onFrame: (topic: number, body: Buffer) => boolean): FrameFault | undefined {
    let rest = chunk;
    while (!this.#failed && rest.length > 0) {
      rest = this.#held > 0 ? this.#complete(rest) : rest;
      const bytes = this.#held > 0 ? this.#partial.subarray(0, this.#held) : rest;
      const want = wantedBytes(bytes);
      const fault = bytes.length < HEADER_BYTES ? undefined : this.#faultOf(bytes);
      if (fault !== undefined) {
        this.#stop();
        return fault;
      }
      if (bytes.length < want) {
        if (this.#held === 0) this.#keep(rest);
        return undefined;
      }
      const frame = bytes.subarray(0, want);
      if (this.#held > 0) this.#release();
      else rest = rest.subarray(want);
      if (!onFrame(frame.readUInt16BE(4), frame.subarray(HEADER_BYTES))) this.#stop();
    }
    return undefined;
  }

  #faultOf(bytes: Buffer): FrameFault | undefined {
    const lengthBytes = bytes.readUInt32BE(0);
    if (lengthBytes < TOPIC_BYTES) return { kind: 'too-short', lengthBytes };
    if (lengthBytes - TOPIC_BYTES > this.#bytesMax) return { kind: 'too-large', lengthBytes };
    return undefined;
  }

  /**
   * Moves bytes from `chunk` to the partial frame: first up to the
   * header, then up to the frame's end.
   */
  #complete(chunk: Buffer): Buffer {
    let rest = chunk;
    if (this.#held < HEADER_BYTES) rest = this.#append(rest, HEADER_BYTES - this.#held);
    if (this.#held < HEADER_BYTES) return rest;
    const held = this.#partial.subarray(0, this.#held);
    if (this.#faultOf(held) !== undefined) return rest;
    return this.#append(rest, wantedBytes(held) - this.#held);
  }

  #append(chunk: Buffer, bytesMax: number): Buffer {
    const bytes = Math.min(chunk.length, bytesMax);
    if (this.#held + bytes > this.#partial.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.#held + bytes, 2 * this.#partial.length));
      this.#partial.copy(grown, 0, 0, this.#held);
      this.#partial = grown;
    }
    chunk.copy(this.#partial, this.#held, 0, bytes);
    this.#held += bytes;
    return chunk.subarray(bytes);
  }

  #keep(chunk: Buffer): void {
    this.#partial = Buffer.allocUnsafeSlow(Math.max(chunk.length, 64));
    this.#held = 0;
    this.#append(chunk, chunk.length);
  }

  #release(): void {
    this.#partial = Buffer.alloc(0);
    this.#held = 0;
  }

  #stop(): void {
    this.#failed = true;
    this.#release();
  }
}

/** Bytes of the whole frame that starts here, or of its header while that is incomplete. */
function wantedBytes(bytes: Buffer): number {
  if (bytes.length < HEADER_BYTES) return HEADER_BYTES;
  return HEADER_BYTES - TOPIC_BYTES + bytes.readUInt32BE(0);
}
