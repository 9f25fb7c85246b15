/**
 * `application/x-protobuf-seq`: many messages in one body or stream. Safe for browsers.
 *
 *     +--------------------+---------------------------+
 *     | u32, big-endian    | payload                   |   repeated
 *     +--------------------+---------------------------+
 *       bit 31: 0 = protobuf message, 1 = notice (UTF-8 JSON, the error shape; the last frame of a stream)
 *       bits 30..0: payload length in bytes; a whole header of 0 is a heart-beat (no message is empty)
 */

export const FRAME_MEDIA_TYPE = 'application/x-protobuf-seq';
export const FRAME_HEADER_BYTES = 4;
const NOTICE_BIT = 0x8000_0000;
const LENGTH_MASK = 0x7fff_ffff;

export type Frame =
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  | { readonly kind: 'notice'; readonly text: string }
  | { readonly kind: 'heartbeat' };

export type Frames =
  | { readonly kind: 'ok'; readonly value: Frame[] }
  | {
      readonly kind: 'malformed';
      /** The frames before the one that breaks the stream. */
      readonly value: Frame[];
      readonly reason: string;
    };

/** Header of a frame whose payload has `lengthBytes` bytes. */
export function frameHeader(lengthBytes: number, kind: 'message' | 'notice'): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  writeHeader(new DataView(header.buffer), 0, lengthBytes, kind);
  return header;
}

function writeHeader(
  to: DataView,
  offset: number,
  lengthBytes: number,
  kind: 'message' | 'notice',
): void {
  if (!Number.isInteger(lengthBytes) || lengthBytes < 0 || lengthBytes > LENGTH_MASK) {
    throw new RangeError(`a frame cannot hold ${lengthBytes} bytes`);
  }
  to.setUint32(offset, kind === 'notice' ? lengthBytes + NOTICE_BIT : lengthBytes, false);
}

/** Messages as one body. */
export function encodeFrames(messages: readonly Uint8Array[]): Uint8Array {
  const total = messages.reduce((sum, message) => sum + FRAME_HEADER_BYTES + message.length, 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const message of messages) {
    writeHeader(view, offset, message.length, 'message');
    bytes.set(message, offset + FRAME_HEADER_BYTES);
    offset += FRAME_HEADER_BYTES + message.length;
  }
  return bytes;
}

/**
 * A complete body of messages, as views of `bytes`; stops after `messagesMax + 1` so
 * that the caller can tell too many.
 */
export function decodeMessages(
  bytes: Uint8Array,
  messagesMax: number,
):
  | { readonly kind: 'ok'; readonly value: Uint8Array[] }
  | { readonly kind: 'malformed'; readonly reason: string } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: Uint8Array[] = [];
  let offset = 0;
  while (offset < bytes.length && messages.length <= messagesMax) {
    if (offset + FRAME_HEADER_BYTES > bytes.length) {
      return malformed(`the length of message ${messages.length} is cut off at byte ${offset}`);
    }
    const word = view.getUint32(offset, false);
    const start = offset + FRAME_HEADER_BYTES;
    if (word >= NOTICE_BIT || start + word > bytes.length) {
      return malformed(
        `message ${messages.length} at byte ${offset} claims ${word} bytes, ${bytes.length - start} are left`,
      );
    }
    messages.push(bytes.subarray(start, start + word));
    offset = start + word;
  }
  return { kind: 'ok', value: messages };
}

export interface FrameReader {
  /** Frames that are complete now, as views of `chunk` where one came whole. */
  push(chunk: Uint8Array): Frames;
  /** Bytes of an incomplete frame. */
  readonly heldBytes: number;
}

const HOLD_BYTES_MIN = 256;

/**
 * Reads frames from a stream that arrives in arbitrary pieces. Holds at most one incomplete frame
 * of `frameBytesMax`. After `malformed` the stream is beyond repair.
 */
export function createFrameReader(frameBytesMax: number): FrameReader {
  /** One buffer that grows, not a list: a sender of single bytes would cost a hundred times what it sends. */
  let held = new Uint8Array(0);
  let heldBytes = 0;
  let needBytes = FRAME_HEADER_BYTES;

  function hold(bytes: Uint8Array): void {
    const size = heldBytes + bytes.length;
    if (size > held.length) {
      const larger = new Uint8Array(Math.max(size, 2 * held.length, HOLD_BYTES_MIN));
      larger.set(held.subarray(0, heldBytes));
      held = larger;
    }
    held.set(bytes, heldBytes);
    heldBytes = size;
  }

  /** What is held and whole enough to read; the frames become views of it, so it is let go of. */
  function release(): Uint8Array {
    const bytes = held.subarray(0, heldBytes);
    held = new Uint8Array(0);
    heldBytes = 0;
    return bytes;
  }

  return {
    push(chunk) {
      let bytes = chunk;
      if (heldBytes > 0) {
        hold(chunk);
        if (heldBytes < needBytes) return { kind: 'ok', value: [] };
        bytes = release();
      }
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const frames: Frame[] = [];
      let offset = 0;
      needBytes = FRAME_HEADER_BYTES;
      while (offset + FRAME_HEADER_BYTES <= bytes.length) {
        const word = view.getUint32(offset, false);
        const length = word % NOTICE_BIT;
        if (length > frameBytesMax) {
          const reason = `a frame of ${length} bytes exceeds the limit of ${frameBytesMax}`;
          return { kind: 'malformed', value: frames, reason };
        }
        const start = offset + FRAME_HEADER_BYTES;
        if (start + length > bytes.length) {
          needBytes = FRAME_HEADER_BYTES + length;
          break;
        }
        frames.push(frameOf(word, bytes.subarray(start, start + length)));
        offset = start + length;
      }
      if (offset < bytes.length) hold(bytes.subarray(offset));
      return { kind: 'ok', value: frames };
    },
    get heldBytes() {
      return heldBytes;
    },
  };
}

function frameOf(word: number, payload: Uint8Array): Frame {
  if (word >= NOTICE_BIT) {
    return { kind: 'notice', text: new TextDecoder().decode(payload) };
  }
  return word === 0 ? { kind: 'heartbeat' } : { kind: 'message', bytes: payload };
}

function malformed(reason: string): { readonly kind: 'malformed'; readonly reason: string } {
  return { kind: 'malformed', reason };
}
