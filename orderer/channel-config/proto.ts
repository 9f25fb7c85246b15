/** Small helpers around google-protobuf's generated classes, which carry no usable types for maps. */

import { ConfigError } from './errors.ts';

/** The part of `jspb.Map` that is used here. It serializes its entries sorted by key: same bytes everywhere. */
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

/** Parses with a generated class; its exceptions become a ConfigError at `path`. */
export function parseProto<T>(
  path: string,
  type: { deserializeBinary(bytes: Uint8Array): T },
  bytes: Uint8Array,
): T {
  try {
    return type.deserializeBinary(bytes);
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
