/** Values of every kind that has an encoding, for fast-check, and the law that all encodings obey. */
import { expect } from 'chai';
import fc from 'fast-check';
import type {
  Batch,
  BatchRef,
  Cell,
  CheckpointCertificate,
  CheckpointState,
  LogRecord,
  Message,
  NewView,
  PreparedCertificate,
  Proposal,
  SignerSignature,
  SlotReport,
  ViewChange,
} from '../../../consensus/core/index.ts';
import type { Decoded } from '../../../consensus/wire/index.ts';

export const REPLICAS = 4;
const U32_MAX = 0xffff_ffff;

export const u64 = fc.oneof(
  fc.maxSafeNat(),
  fc.constantFrom(0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
);
export const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const u32 = fc.oneof(fc.integer({ min: 0, max: U32_MAX }), fc.constantFrom(0, 1, U32_MAX));
const replica = fc.integer({ min: 0, max: REPLICAS - 1 });
const seq = u64.map((value) => Math.max(1, value));
const digest24 = bytes(24);
const signature = bytes(64);

const tip: fc.Arbitrary<BatchRef> = fc.oneof(
  fc.constant({ seq: 0, digest: new Uint8Array(32) }),
  fc.record({ seq, digest: bytes(32) }),
);
const frontier = fc.array(tip, { minLength: REPLICAS, maxLength: REPLICAS });

export const proposal: fc.Arbitrary<Proposal> = fc.record({
  slot: u64,
  timeMs: u64,
  cut: fc.boolean(),
  frontier,
});

export const batch: fc.Arbitrary<Batch> = fc
  .record({
    lane: replica,
    seq,
    previous: bytes(32),
    payload: fc.uint8Array({ minLength: 1, maxLength: 200 }),
  })
  .map((value) => (value.seq === 1 ? { ...value, previous: new Uint8Array(32) } : value));

const progress: fc.Arbitrary<Cell> = fc
  .record({
    appliedSlot: u64,
    held: frontier,
    views: fc.tuple(u32, u32),
    changing: fc.boolean(),
    mute: fc.boolean(),
    beat: u32,
  })
  .map(({ views, ...rest }) => ({
    kind: 'progress',
    ...rest,
    view: Math.min(...views),
    wish: Math.max(...views),
  }));

export const cell: fc.Arbitrary<Cell> = fc.oneof(
  fc.record({ kind: fc.constant('proposal' as const), view: u32, proposal }),
  fc.record({
    kind: fc.constantFrom('vote' as const, 'commit' as const),
    view: u32,
    slot: u64,
    digest: digest24,
  }),
  progress,
);

const signatures: fc.Arbitrary<SignerSignature[]> = fc
  .uniqueArray(fc.record({ signer: replica, signature }), {
    minLength: 1,
    maxLength: REPLICAS,
    selector: ({ signer }) => signer,
  })
  .map((list) => list.sort((a, b) => a.signer - b.signer));

export const checkpointState: fc.Arbitrary<CheckpointState> = fc.record({
  slot: u64,
  timeMs: u64,
  frontier,
  height: seq,
  tipHash: bytes(32),
});

const checkpointCertificate: fc.Arbitrary<CheckpointCertificate | undefined> = fc.option(
  fc.record({ state: checkpointState, signatures }),
  { nil: undefined },
);

function preparedOf(slot: number, viewsBelow: number): fc.Arbitrary<PreparedCertificate> {
  const view = fc.integer({ min: 0, max: viewsBelow - 1 });
  return fc.record({ view, slot: fc.constant(slot), digest: digest24, signatures });
}

const prepared = u64.chain((slot) => preparedOf(slot, U32_MAX + 1));

function reportOf(slot: number, viewsBelow: number): fc.Arbitrary<SlotReport> {
  const view = fc.integer({ min: 0, max: viewsBelow - 1 });
  const vote = fc.record({ view, digest: digest24 });
  const certificate = preparedOf(slot, viewsBelow);
  const none = fc.constant(undefined);
  return fc.oneof(
    fc.record({ slot: fc.constant(slot), vote, prepared: none }),
    fc.record({ slot: fc.constant(slot), vote: none, prepared: certificate }),
    fc.record({ slot: fc.constant(slot), vote, prepared: certificate }),
  );
}

/** There is no view below 0 that a report could tell of. */
function viewChangeOf(view: number, signer: fc.Arbitrary<number>): fc.Arbitrary<ViewChange> {
  const slots = fc.uniqueArray(u64, { maxLength: view === 0 ? 0 : 4 });
  const reports = slots.chain((list) =>
    fc.tuple(...list.sort((a, b) => a - b).map((slot) => reportOf(slot, view))),
  );
  return fc.record({
    view: fc.constant(view),
    signer,
    lives: fc.array(u64, { minLength: REPLICAS, maxLength: REPLICAS }),
    checkpoint: checkpointCertificate,
    reports,
    signature,
  });
}

export const viewChange: fc.Arbitrary<ViewChange> = u32.chain((view) =>
  viewChangeOf(view, replica),
);

export const newView: fc.Arbitrary<NewView> = fc
  .tuple(u32, fc.uniqueArray(replica, { minLength: 1, maxLength: REPLICAS }))
  .chain(([view, signers]) => {
    const ascending = signers.sort((a, b) => a - b);
    const changes = fc.tuple(...ascending.map((signer) => viewChangeOf(view, fc.constant(signer))));
    return fc.record({ view: fc.constant(view), changes, signature });
  });

const kind = <K extends string>(name: K) => fc.constant(name);

export const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    kind: kind('prepare'),
    request: fc.boolean(),
    prepare: fc.record({ view: u32, slot: u64, digest: digest24, signer: replica, signature }),
  }),
  fc.record({
    kind: kind('fetch-batch'),
    lane: replica,
    ref: fc.record({ seq, digest: bytes(32) }),
    after: fc.constant(0),
  }),
  fc.record({ kind: kind('batch'), batch }),
  fc.tuple(u64, u64).map(([a, b]) => ({
    kind: 'fetch-decided' as const,
    fromSlot: Math.min(a, b),
    toSlot: Math.max(a, b),
  })),
  fc.record({ kind: kind('decided'), proposal }),
  fc.record({ kind: kind('fetch-proposal'), slot: u64, digest: digest24 }),
  fc.record({ kind: kind('proposal'), proposal }),
  fc.record({ kind: kind('view-change'), viewChange }),
  fc.record({ kind: kind('new-view'), newView }),
  fc.record({
    kind: kind('checkpoint'),
    checkpoint: fc.record({ state: checkpointState, signer: replica, signature }),
  }),
  fc.record({ kind: kind('fetch-checkpoint'), life: u64, ready: fc.boolean() }),
  fc.record({
    kind: kind('stable-checkpoint'),
    certificate: checkpointCertificate,
    namedSlot: u64,
    life: u64,
  }),
  fc.record({
    kind: kind('attest'),
    lane: replica,
    ref: fc.record({ seq, digest: bytes(32) }),
  }),
);

export const record: fc.Arbitrary<LogRecord> = fc.oneof(
  fc.record({ kind: kind('batch'), batch }),
  fc.record({ kind: kind('vote'), view: u32, proposal }),
  fc.record({ kind: kind('prepared'), certificate: prepared }),
  fc.record({ kind: kind('view-change'), viewChange }),
  fc.record({ kind: kind('new-view'), newView }),
  fc.record({ kind: kind('checkpoint'), certificate: checkpointCertificate }),
  fc.record({
    kind: kind('stable'),
    certificate: fc.record({ state: checkpointState, signatures }),
  }),
  fc.record({
    kind: kind('lives'),
    lives: fc.array(u64, { minLength: REPLICAS, maxLength: REPLICAS }),
  }),
);

/**
 * Other objects with the same bytes in them: a decoder may remember what its value came from, and
 * must not get away with that here.
 */
function rebuilt<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(rebuilt) as T;
  const copy: Record<string, unknown> = {};
  for (const [key, part] of Object.entries(value)) copy[key] = rebuilt(part);
  return copy as T;
}

/** What `input` decodes to encodes to `input`, or it is refused. */
export function checkOneEncoding<T>(
  input: Uint8Array,
  decode: (input: Uint8Array) => Decoded<T>,
  encode: (value: T) => Uint8Array,
): Decoded<T>['kind'] {
  const decoded = decode(input);
  if (decoded.kind === 'ok') {
    const again = encode(rebuilt(decoded.value));
    expect(Buffer.compare(again, input), 'another encoding of the same value').to.equal(0);
  } else expect(decoded.reason).to.be.a('string');
  return decoded.kind;
}

export interface Change {
  /** Applied to every byte in turn; never 0. */
  readonly flip: number;
  readonly extra: Uint8Array;
}

export const change: fc.Arbitrary<Change> = fc.record({
  flip: fc.oneof(fc.integer({ min: 1, max: 255 }), fc.constantFrom(1, 2, 3, 128)),
  extra: fc.uint8Array({ minLength: 1, maxLength: 8 }),
});

/**
 * Every cut, every change of one byte and an extension is either refused or decodes to what
 * encodes to the same bytes. `lastIsOpen`: the layout ends in bytes of any number.
 */
export function checkCanonical<T>(
  encoded: Uint8Array,
  { flip, extra }: Change,
  decode: (input: Uint8Array) => Decoded<T>,
  encode: (value: T) => Uint8Array,
  lastIsOpen = false,
): void {
  const longer = checkOneEncoding(Buffer.concat([encoded, extra]), decode, encode);
  if (!lastIsOpen) expect(longer).to.equal('malformed');
  for (let length = 0; length < encoded.length; length++) {
    const shorter = checkOneEncoding(encoded.slice(0, length), decode, encode);
    if (!lastIsOpen) expect(shorter).to.equal('malformed');
  }
  for (let at = 0; at < encoded.length; at++) {
    const mutated = encoded.slice();
    mutated[at] = (mutated[at] as number) ^ flip;
    checkOneEncoding(mutated, decode, encode);
  }
}
