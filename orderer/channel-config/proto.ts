/**
 * Small helpers around google-protobuf's generated classes, which carry no usable types for maps.
 */

import { ConfigError } from './errors.ts';
import { WIRE_SHAPES, type WireShape, wireFault } from './wire-guard.ts';

/**
 * The part of `jspb.Map` that is used here. It serializes its entries sorted
 * by key: same bytes everywhere.
 */
export interface ProtoMap<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): unknown;
  getEntryList(): [string, unknown][];
}

/** Entries of a protobuf map, sorted by key. */
export function entriesOf<V>(map: ProtoMap<V>): [string, V][] {
  const entries: [string, V][] = [];
  for (const [key] of map.getEntryList()) {
    const value = map.get(key);
    if (value !== undefined) entries.push([key, value]);
  }
  return entries;
}

/**
 * Parses with a generated class. `shape` must say which of its fields
 * are messages. Throws an Error.
 */
export function parseGuarded<T>(
  type: { deserializeBinary(bytes: Uint8Array): T },
  bytes: Uint8Array,
  shape: WireShape = WIRE_SHAPES.flat,
): T {
  const fault = wireFault(bytes, shape);
  if (fault !== undefined) throw new Error(fault);
  return type.deserializeBinary(bytes);
}

/** The same, with a ConfigError at `path` for whatever is wrong. */
export function parseProto<T>(
  path: string,
  type: { deserializeBinary(bytes: Uint8Array): T },
  bytes: Uint8Array,
  shape: WireShape = WIRE_SHAPES.flat,
): T {
  try {
    return parseGuarded(type, bytes, shape);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(path, `is not the protobuf message that belongs here (${reason})`);
  }
}

export function utf8(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError(path, 'is not UTF-8 text');
  }
}

export function utf8Bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
