import { expect } from 'chai';
import fc from 'fast-check';
import type { Cell } from '../../../consensus/core/index.ts';
import {
  type CellFrame,
  createCellDecoder,
  decodeCell,
  decodeEnvelopeList,
  decodeLaneBatch,
  ENVELOPES_PER_LIST_MAX,
  encodeCell,
  encodedListBytes,
  encodeEnvelopeList,
  encodeLaneBatch,
} from '../../../consensus/wire/index.ts';
import { batch, cell, change, checkCanonical, REPLICAS, u64 } from './arbitraries.ts';

function sameFrame(a: CellFrame, b: CellFrame): boolean {
  return (
    a.kind === b.kind &&
    a.slot === b.slot &&
    a.view === b.view &&
    a.flags === b.flags &&
    Buffer.compare(a.body, b.body) === 0
  );
}

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
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(cell, fc.nat(), byte, byte, u64, (value, at, to, flags, view) => {
        const frame = encodeCell(value);
        const body = frame.body.slice();
        body[at % body.length] = to;
        const inputs: CellFrame[] = [
          { ...frame, body },
          { ...frame, flags },
          { ...frame, view },
          { ...frame, body: body.slice(0, at % body.length) },
        ];
        for (const input of inputs) {
          const decoded = decodeCell(input, REPLICAS);
          if (decoded.kind === 'ok') {
            expect(sameFrame(encodeCell(decoded.value), input)).to.equal(true);
          }
        }
      }),
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

  it('tell of a view, and never of a wish below it', () => {
    const digest = new Uint8Array(32);
    const progress: Extract<Cell, { kind: 'progress' }> = {
      kind: 'progress',
      appliedSlot: 7,
      held: Array.from({ length: REPLICAS }, () => ({ seq: 0, digest })),
      view: 3,
      changing: true,
      wish: 0x0102_0304,
      mute: true,
      beat: 0x0506_0708,
    };
    const frame = encodeCell(progress);
    expect(frame).to.deep.include({ kind: 'progress', slot: 7, view: 3, flags: 3 });
    expect([...frame.body.slice(0, 8)]).to.eql([4, 3, 2, 1, 8, 7, 6, 5]);
    expect(encodeCell({ ...progress, changing: false }).flags).to.equal(2);
    expect(encodeCell({ ...progress, mute: false }).flags).to.equal(1);

    const refusal = (input: CellFrame) => {
      const decoded = decodeCell(input, REPLICAS);
      return decoded.kind === 'malformed' ? decoded.reason : 'ok';
    };
    expect(refusal({ ...frame, view: progress.wish })).to.equal('ok');
    expect(refusal({ ...frame, view: progress.wish + 1 })).to.equal('wish below the view');
    expect(refusal({ ...frame, flags: 4 })).to.equal('unknown progress flags');
    expect(() => encodeCell({ ...progress, wish: 2 })).to.throw(RangeError);
    expect(() => encodeCell({ ...progress, beat: 2 ** 32 })).to.throw(RangeError);
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

  it('are the same to a reader that is done with each before the next', () => {
    const decode = createCellDecoder(REPLICAS);
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(cell, fc.nat(), byte, (value, at, to) => {
        const frame = encodeCell(value);
        expect(decode(frame)).to.eql({ kind: 'ok', value });
        const body = frame.body.slice();
        body[at % body.length] = to;
        expect(decode({ ...frame, body })).to.eql(decodeCell({ ...frame, body }, REPLICAS));
      }),
    );
  });

  it('of votes and COMMITs are read into the same objects then, and keep nothing of the frame', () => {
    const decode = createCellDecoder(REPLICAS);
    const voteOf = (slot: number, fill: number) =>
      encodeCell({ kind: 'vote', view: 3, slot, digest: new Uint8Array(24).fill(fill) });
    const frame = voteOf(1, 5);
    const first = decode({ ...frame, body: frame.body });
    frame.body.fill(9);
    expect(first).to.deep.nested.include({
      'value.slot': 1,
      'value.digest': new Uint8Array(24).fill(5),
    });
    expect(decode(voteOf(2, 6))).to.equal(first);
    expect(first).to.deep.nested.include({
      'value.slot': 2,
      'value.digest': new Uint8Array(24).fill(6),
    });
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
        checkCanonical(encodeLaneBatch(value), changed, decode, encodeLaneBatch, true);
      }),
    );
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
