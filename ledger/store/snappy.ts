/**
 * Snappy decompression (google/snappy format_description.txt): LevelDB may compress the
 * index of a table, and the check of a table needs it. Total: undefined for anything
 * that is not a complete stream.
 */

/** Decompresses one raw Snappy stream of at most `bytesMax` bytes of output. */
export function snappyDecompress(input: Uint8Array, bytesMax: number): Uint8Array | undefined {
  let position = 0;
  let size = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = input[position];
    if (byte === undefined || shift > 28) return undefined;
    position += 1;
    size += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  if (size > bytesMax) return undefined;
  const output = new Uint8Array(size);
  let written = 0;
  while (position < input.length) {
    const tag = input[position] ?? 0;
    position += 1;
    if ((tag & 3) === 0) {
      const extra = Math.max(0, (tag >>> 2) - 59);
      const length = (extra === 0 ? tag >>> 2 : littleEndian(input, position, extra)) + 1;
      position += extra;
      if (position + length > input.length || written + length > size) return undefined;
      output.set(input.subarray(position, position + length), written);
      position += length;
      written += length;
      continue;
    }
    const offsetBytes = [0, 1, 2, 4][tag & 3] ?? 0;
    const short = (tag & 3) === 1;
    const length = short ? 4 + ((tag >>> 2) & 7) : 1 + (tag >>> 2);
    const low = littleEndian(input, position, offsetBytes);
    const offset = short ? (tag >>> 5) * 256 + low : low;
    position += offsetBytes;
    if (position > input.length || offset === 0 || offset > written || written + length > size) {
      return undefined;
    }
    // Byte by byte: source and target may overlap, which repeats a pattern.
    for (let end = written + length; written < end; written += 1) {
      output[written] = output[written - offset] ?? 0;
    }
  }
  return written === size ? output : undefined;
}

function littleEndian(bytes: Uint8Array, position: number, count: number): number {
  let value = 0;
  for (let index = 0; index < count; index += 1) {
    value += (bytes[position + index] ?? 0) * 2 ** (8 * index);
  }
  return value;
}
