/**
 * A tolerant protobuf field scanner for configuration blocks: unlike `ledger/format`, whose reader
 * accepts one encoding only, it skips fields that it does not know, since a configuration may carry
 * what only Fabric's own tools understand.
 */
import type { Decoded } from '../../ledger/format/index.ts';

/** Configuration bytes that are not protobuf, or not a configuration; the message says where. */
export class ConfigReadError extends Error {}

const WIRE_VARINT = 0;
const WIRE_BYTES = 2;
const WIRE_WIDTHS: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

/**
 * The fields of one message: for each number its values in order; varints as
 * numbers (low 53 bits checked).
 */
export interface Fields {
  bytes(field: number): Uint8Array;
  list(field: number): readonly Uint8Array[];
  text(field: number): string;
  integer(field: number): number;
}

function readVarint(bytes: Uint8Array, offset: number): { value: number; end: number } {
  let value = 0;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[offset + i];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: offset + i + 1 };
  }
  throw new ConfigReadError('truncated or overlong varint');
}

function scan(bytes: Uint8Array): Map<number, (Uint8Array | number)[]> {
  const found = new Map<number, (Uint8Array | number)[]>();
  let offset = 0;
  while (offset < bytes.length) {
    const tag = readVarint(bytes, offset);
    const field = Math.floor(tag.value / 8);
    const wireType = tag.value % 8;
    const values = found.get(field) ?? [];
    found.set(field, values);
    offset = tag.end;
    if (wireType === WIRE_VARINT) {
      const varint = readVarint(bytes, offset);
      values.push(varint.value);
      offset = varint.end;
      continue;
    }
    const fixed = WIRE_WIDTHS[wireType];
    const length = fixed === undefined ? readVarint(bytes, offset) : { value: fixed, end: offset };
    if (fixed === undefined && wireType !== WIRE_BYTES) {
      throw new ConfigReadError(`wire type ${wireType}`);
    }
    offset = length.end + length.value;
    if (offset > bytes.length) throw new ConfigReadError(`field ${field} runs past the end`);
    values.push(bytes.subarray(length.end, offset));
  }
  return found;
}

/** Scans one message. Throws `ConfigReadError`. */
export function readFields(bytes: Uint8Array): Fields {
  const found = scan(bytes);
  const list = (field: number): Uint8Array[] =>
    (found.get(field) ?? []).map((value) => {
      if (typeof value === 'number') throw new ConfigReadError(`field ${field} is no message`);
      return value;
    });
  const last = (field: number) => list(field).at(-1) ?? new Uint8Array(0);
  return {
    list,
    bytes: last,
    text: (field) => new TextDecoder().decode(last(field)),
    integer(field) {
      const value = found.get(field)?.at(-1) ?? 0;
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
        throw new ConfigReadError(`field ${field} is no integer`);
      }
      return value;
    },
  };
}

/**
 * A `map<string, message>` field. A key that stands twice is refused: which one
 * counts would depend on the reader.
 */
export function readMap(message: Fields, field: number): Map<string, Fields> {
  const map = new Map<string, Fields>();
  for (const bytes of message.list(field)) {
    const entry = readFields(bytes);
    const key = entry.text(1);
    if (map.has(key)) throw new ConfigReadError(`key ${JSON.stringify(key)} twice in a map`);
    map.set(key, readFields(entry.bytes(2)));
  }
  return map;
}

/** Runs a reader and turns its complaints into data. */
export function totally<T>(what: string, read: () => T): Decoded<T> {
  try {
    return { kind: 'ok', value: read() };
  } catch (error) {
    if (!(error instanceof ConfigReadError)) throw error;
    return { kind: 'malformed', reason: `${what}: ${error.message}` };
  }
}
