/**
 * Structural check of protobuf bytes before google-protobuf's generated classes read them. Those
 * trust nested lengths: a message that claims to be longer than its buffer keeps them busy for half
 * a minute. Here every length must fit into what surrounds it, to the depth in which the classes
 * will look. Total, linear, browser-safe.
 */

/** Which fields of a message hold messages; the others are not looked into. */
export type WireShape = ReadonlyMap<number, WireShape>;

/** Deeper than any real configuration, and shallow enough for everybody's stack. */
const DEPTH_MAX = 48;
const VARINT_BYTES_MAX = 10;
const FIELD_NUMBER_MAX = 2 ** 29 - 1;

const FLAT: WireShape = new Map();

function mapOf(value: WireShape): WireShape {
  return new Map([[2, value]]);
}

const CONFIG_POLICY: WireShape = new Map([[2, FLAT]]);
/** Groups hold groups. */
const CONFIG_GROUP = new Map<number, WireShape>([
  [3, mapOf(FLAT)],
  [4, mapOf(CONFIG_POLICY)],
]);
CONFIG_GROUP.set(2, mapOf(CONFIG_GROUP));

/** Rules hold rules. */
const SIGNATURE_RULE = new Map<number, WireShape>();
SIGNATURE_RULE.set(2, new Map([[2, SIGNATURE_RULE]]));

const SIGNING_IDENTITY: WireShape = new Map([[2, FLAT]]);
const NODE_OUS: WireShape = new Map([2, 3, 4, 5].map((field) => [field, FLAT]));

/** By message, named as in fabric-protos; what is not listed here is flat. */
export const WIRE_SHAPES = {
  flat: FLAT,
  configEnvelope: new Map<number, WireShape>([
    [1, new Map([[2, CONFIG_GROUP]])],
    [2, FLAT],
  ]),
  orderers: new Map([[1, FLAT]]),
  fabricMspConfig: new Map<number, WireShape>([
    [6, SIGNING_IDENTITY],
    [7, FLAT],
    [8, FLAT],
    [11, NODE_OUS],
  ]),
  signaturePolicyEnvelope: new Map<number, WireShape>([
    [2, SIGNATURE_RULE],
    [3, FLAT],
  ]),
  combinedPrincipal: new Map([[1, FLAT]]),
} as const;

/** Undefined when the bytes are well-formed; otherwise what is wrong with them. */
export function wireFault(bytes: Uint8Array, shape: WireShape): string | undefined {
  return messageFault(bytes, 0, bytes.length, shape, 0);
}

function messageFault(
  bytes: Uint8Array,
  start: number,
  end: number,
  shape: WireShape,
  depth: number,
): string | undefined {
  if (depth > DEPTH_MAX) return `messages nested deeper than ${DEPTH_MAX}`;
  let at = start;
  while (at < end) {
    const tag = varint(bytes, at, end);
    if (tag === undefined) return `bad tag at byte ${at}`;
    const field = Math.floor(tag.value / 8);
    if (field < 1 || field > FIELD_NUMBER_MAX) return `bad field number at byte ${at}`;
    const content = tag.end;
    const next = fieldEnd(bytes, content, end, tag.value % 8);
    if (next === undefined) return `field ${field} at byte ${at} does not fit`;
    const inner = shape.get(field);
    if (inner !== undefined) {
      if (tag.value % 8 !== 2) return `field ${field} at byte ${at} is no message`;
      const length = varint(bytes, content, end);
      const fault = messageFault(bytes, length?.end ?? next, next, inner, depth + 1);
      if (fault !== undefined) return fault;
    }
    at = next;
  }
  return undefined;
}

/**
 * Where the value that begins at `at` ends; undefined when it does not
 * fit. Groups are not supported.
 */
function fieldEnd(
  bytes: Uint8Array,
  at: number,
  end: number,
  wireType: number,
): number | undefined {
  let next: number | undefined;
  if (wireType === 0) next = varint(bytes, at, end)?.end;
  else if (wireType === 1) next = at + 8;
  else if (wireType === 5) next = at + 4;
  else if (wireType === 2) {
    const length = varint(bytes, at, end);
    next = length === undefined ? undefined : length.end + length.value;
  }
  return next === undefined || next > end ? undefined : next;
}

/** Above 2^53 the value is inexact, which is still far too large for a tag or length. */
function varint(
  bytes: Uint8Array,
  at: number,
  end: number,
): { value: number; end: number } | undefined {
  let value = 0;
  for (let index = 0; index < VARINT_BYTES_MAX; index++) {
    const byte = bytes[at + index];
    if (byte === undefined || at + index >= end) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, end: at + index + 1 };
  }
  return undefined;
}
