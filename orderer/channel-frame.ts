/**
 * One link carries the frames of every channel that its two replicas share:
 *
 *   name length u8 | channel name UTF-8 | body
 */
const NAME_BYTES_MAX = 255;

export interface ChannelFrame {
  readonly channel: string;
  readonly body: Uint8Array;
}

export function encodeChannelFrame(channel: string, body: Uint8Array): Uint8Array {
  const name = new TextEncoder().encode(channel);
  if (name.length > NAME_BYTES_MAX) throw new RangeError('channel names have at most 255 bytes');
  const bytes = new Uint8Array(1 + name.length + body.length);
  bytes[0] = name.length;
  bytes.set(name, 1);
  bytes.set(body, 1 + name.length);
  return bytes;
}

/** Undefined when the bytes are cut off. */
export function decodeChannelFrame(bytes: Uint8Array): ChannelFrame | undefined {
  const nameBytes = bytes[0];
  if (nameBytes === undefined || bytes.length < 1 + nameBytes) return undefined;
  return {
    channel: new TextDecoder().decode(bytes.subarray(1, 1 + nameBytes)),
    body: bytes.subarray(1 + nameBytes),
  };
}
