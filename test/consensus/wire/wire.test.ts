import { expect } from 'chai';
import fc from 'fast-check';
import type { BatchRef, Cell, Message, Proposal } from '../../../consensus/core/index.ts';
import {
  type CellFrame,
  decodeCell,
  decodeEnvelopeList,
  decodeLaneBatch,
  decodeMessage,
  ENVELOPES_PER_LIST_MAX,
  encodeCell,
  encodedListBytes,
  encodeEnvelopeList,
  encodeLaneBatch,
  encodeMessage,
  unwrapApplication,
  wrapApplication,
} from '../../../consensus/wire/index.ts';

const REPLICAS = 4;
const u64 = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER));
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const view = fc.integer({ min: 0, max: 0xffff_ffff });
const replica = fc.integer({ min: 0, max: REPLICAS - 1 });
const seq = u64.map((value) => Math.max(1, value));
const tip: fc.Arbitrary<BatchRef> = fc.oneof(
  fc.constant({ seq: 0, digest: new Uint8Array(32) }),
  fc.record({ seq, digest: bytes(32) }),
);
const frontier = fc.array(tip, { minLength: REPLICAS, maxLength: REPLICAS });
const proposal: fc.Arbitrary<Proposal> = fc.record({
  slot: u64,
  timeMs: u64,
  cut: fc.boolean(),
  frontier,
});
const batch = fc
  .record({
    lane: replica,
    seq,
    previous: bytes(32),
    payload: fc.uint8Array({ minLength: 1, maxLength: 200 }),
  })
  .map((value) => (value.seq === 1 ? { ...value, previous: new Uint8Array(32) } : value));

const cell: fc.Arbitrary<Cell> = fc.oneof(
  fc.record({ kind: fc.constant('proposal' as const), view, proposal }),
  fc.record({ kind: fc.constantFrom('vote', 'commit'), view, slot: u64, digest: bytes(24) }),
  fc.record({ kind: fc.constant('progress' as const), appliedSlot: u64, held: frontier }),
) as fc.Arbitrary<Cell>;

const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    kind: fc.constant('prepare' as const),
    request: fc.boolean(),
    prepare: fc.record({
      view,
      slot: u64,
      digest: bytes(24),
      signer: replica,
      incarnation: bytes(8),
      signature: bytes(64),
    }),
  }),
  fc.record({
    kind: fc.constant('fetch-batch' as const),
    lane: replica,
    ref: fc.record({ seq, digest: bytes(32) }),
    after: fc.constant(0),
  }),
  fc.record({ kind: fc.constant('batch' as const), batch }),
  fc.tuple(u64, u64).map(([a, b]) => ({
    kind: 'fetch-decided' as const,
    fromSlot: Math.min(a, b),
    toSlot: Math.max(a, b),
  })),
  fc.record({ kind: fc.constant('decided' as const), proposal }),
);

function sameFrame(a: CellFrame, b: CellFrame): boolean {
  return (
    a.kind === b.kind &&
    a.slot === b.slot &&
    a.view === b.view &&
    a.flags === b.flags &&
    Buffer.compare(a.body, b.body) === 0
  );
}

/**
 * Every change of one byte, cut and extension is either refused or decodes to
 * what encodes to the same bytes.
 */
function checkCanonical<T>(
  encoded: Uint8Array,
  change: { at: number; to: number; cut: number; extra: Uint8Array },
  decode: (input: Uint8Array) => { kind: 'ok'; value: T } | { kind: 'malformed'; reason: string },
  encode: (value: T) => Uint8Array,
): void {
  const mutated = encoded.slice();
  if (mutated.length > 0) mutated[change.at % mutated.length] = change.to;
  const inputs = [
    mutated,
    encoded.slice(0, change.cut % (encoded.length + 1)),
    Buffer.concat([encoded, change.extra]),
  ];
  for (const input of inputs) {
    const decoded = decode(input);
    if (decoded.kind === 'ok')
      expect(Buffer.from(encode(decoded.value))).to.eql(Buffer.from(input));
    else expect(decoded.reason).to.be.a('string');
  }
}

const change = fc.record({
  at: fc.nat(),
  to: fc.integer({ min: 0, max: 255 }),
  cut: fc.nat(),
  extra: fc.uint8Array({ minLength: 1, maxLength: 8 }),
});

describe('cells', () => {
  it('come back as they went, padded or not', () => {
    fc.assert(
      fc.property(cell, fc.nat(64), (value, padding) => {
        const frame = encodeCell(value);
        const body = Buffer.concat([frame.body, new Uint8Array(padding)]);
        expect(decodeCell({ ...frame, body }, REPLICAS)).to.eql({ kind: 'ok', value });
      }),
    );
  });

  it('have one encoding', () => {
    fc.assert(
      fc.property(
        cell,
        change,
        fc.integer({ min: 0, max: 255 }),
        (value, { at, to, cut }, flags) => {
          const frame = encodeCell(value);
          const body = frame.body.slice();
          body[at % body.length] = to;
          const inputs: CellFrame[] = [
            { ...frame, body },
            { ...frame, flags },
            { ...frame, body: body.slice(0, cut % body.length) },
          ];
          for (const input of inputs) {
            const decoded = decodeCell(input, REPLICAS);
            if (decoded.kind === 'ok') {
              expect(sameFrame(encodeCell(decoded.value), input)).to.equal(true);
            }
          }
        },
      ),
    );
  });

  it('are refused with a reason', () => {
    const frame = encodeCell({ kind: 'vote', view: 0, slot: 1, digest: new Uint8Array(24) });
    const reasonOf = (input: CellFrame) => {
      const decoded = decodeCell(input, REPLICAS);
      return decoded.kind === 'malformed' ? decoded.reason : 'ok';
    };
    expect(reasonOf({ ...frame, slot: 2 ** 53 })).to.equal('slot exceeds 2^53 - 1');
    expect(reasonOf({ ...frame, slot: -1 })).to.equal('slot exceeds 2^53 - 1');
    expect(reasonOf({ ...frame, view: 2 ** 32 })).to.equal('view is not a u32');
    expect(reasonOf({ ...frame, flags: 1 })).to.equal('unknown cell flags');
    expect(reasonOf({ ...frame, body: frame.body.slice(1) })).to.equal('cell body too short');
    const padded = Buffer.concat([frame.body, Buffer.from([0, 1])]);
    expect(reasonOf({ ...frame, body: padded })).to.equal('cell padding is not zero');
  });

  it('copy what they keep of a scratch buffer', () => {
    const frame = encodeCell({
      kind: 'vote',
      view: 0,
      slot: 1,
      digest: new Uint8Array(24).fill(5),
    });
    const scratch = frame.body.slice();
    const decoded = decodeCell({ ...frame, body: scratch }, REPLICAS);
    scratch.fill(9);
    if (decoded.kind !== 'ok' || decoded.value.kind !== 'vote') throw new Error('not a vote');
    expect(decoded.value.digest[0]).to.equal(5);
  });
});

describe('lane frames', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(batch, (value) => {
        const decoded = decodeLaneBatch(encodeLaneBatch(value), value.lane);
        expect(decoded).to.eql({ kind: 'ok', value });
      }),
    );
  });

  it('have one encoding', () => {
    fc.assert(
      fc.property(batch, change, (value, changed) => {
        const decode = (input: Uint8Array) => decodeLaneBatch(input, value.lane);
        checkCanonical(encodeLaneBatch(value), changed, decode, encodeLaneBatch);
      }),
    );
  });
});

describe('messages', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(message, (value) => {
        expect(decodeMessage(encodeMessage(value), REPLICAS)).to.eql({ kind: 'ok', value });
      }),
    );
  });

  it('have one encoding', () => {
    fc.assert(
      fc.property(message, change, (value, changed) => {
        const decode = (input: Uint8Array) => decodeMessage(input, REPLICAS);
        checkCanonical(encodeMessage(value), changed, decode, encodeMessage);
      }),
    );
  });

  it('never throw on noise', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.integer({ min: 0, max: 6 }),
        (noise, kind) => {
          const input = noise.slice();
          if (input.length > 1) input.set([kind, 1]);
          expect(decodeMessage(input, REPLICAS).kind).to.be.oneOf(['ok', 'malformed']);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('name replicas of this channel only', () => {
    const fetch: Message = {
      kind: 'fetch-batch',
      lane: 3,
      ref: { seq: 1, digest: new Uint8Array(32) },
      after: 0,
    };
    expect(decodeMessage(encodeMessage(fetch), 3)).to.eql({
      kind: 'malformed',
      reason: 'unknown lane',
    });
  });

  it('keep application payloads apart', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), message, (body, core) => {
        const wrapped = wrapApplication(body);
        expect(Buffer.from(unwrapApplication(wrapped) ?? [])).to.eql(Buffer.from(body));
        expect(decodeMessage(wrapped, REPLICAS).kind).to.equal('malformed');
        expect(unwrapApplication(encodeMessage(core))).to.equal(undefined);
      }),
    );
    expect(unwrapApplication(new Uint8Array(0))).to.equal(undefined);
  });
});

describe('envelope lists', () => {
  it('refuses a list so long that it costs more memory than it has bytes', () => {
    const payload = new Uint8Array(4 + 4 * (ENVELOPES_PER_LIST_MAX + 1));
    new DataView(payload.buffer).setUint32(0, ENVELOPES_PER_LIST_MAX + 1, true);
    expect(decodeEnvelopeList(payload).kind).to.equal('malformed');
    const longest = payload.slice(0, -4);
    new DataView(longest.buffer).setUint32(0, ENVELOPES_PER_LIST_MAX, true);
    expect(decodeEnvelopeList(longest).kind).to.equal('ok');
  });

  const envelopes = fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 20 });

  it('come back as they went, without copying', () => {
    fc.assert(
      fc.property(envelopes, (list) => {
        const payload = encodeEnvelopeList(list);
        const contentBytes = list.reduce((sum, { length }) => sum + length, 0);
        expect(payload.length).to.equal(encodedListBytes(list.length, contentBytes));
        const decoded = decodeEnvelopeList(payload);
        expect(decoded).to.eql({ kind: 'ok', value: list });
        if (decoded.kind === 'ok') expect(decoded.value[0]?.buffer).to.equal(payload.buffer);
      }),
    );
  });

  it('have one encoding', () => {
    fc.assert(
      fc.property(envelopes, change, (list, changed) => {
        checkCanonical(encodeEnvelopeList(list), changed, decodeEnvelopeList, encodeEnvelopeList);
      }),
    );
  });

  it('do not believe a huge count', () => {
    const payload = new Uint8Array(100);
    payload.fill(0xff, 0, 4);
    expect(decodeEnvelopeList(payload)).to.eql({
      kind: 'malformed',
      reason: 'envelope count exceeds the list',
    });
    expect(() => encodeEnvelopeList([])).to.throw(RangeError);
  });
});
