/** What the decoders of view changes and certificates refuse, and what they remember. */
import { expect } from 'chai';
import fc from 'fast-check';
import type {
  CheckpointCertificate,
  CheckpointState,
  Message,
  NewView,
  PreparedCertificate,
  SlotReport,
  ViewChange,
} from '../../../consensus/core/index.ts';
import {
  decodeMessage,
  decodeRecord,
  encodeCheckpointState,
  encodeMessage,
  encodeNewViewBody,
  encodeRecord,
  encodeViewChangeBody,
  newViewBodyOf,
  REPORTS_MAX,
  viewChangeBodyOf,
} from '../../../consensus/wire/index.ts';
import { checkpointState, newView, REPLICAS } from './arbitraries.ts';

const SIGNATURE = new Uint8Array(64).fill(7);
const DIGEST24 = new Uint8Array(24).fill(4);
const DIGEST32 = new Uint8Array(32).fill(3);
const VIEW = 5;

const signed = (...signers: number[]) =>
  signers.map((signer) => ({ signer, signature: SIGNATURE }));

const prepared = (slot: number, view = VIEW - 1, signers = [0, 1, 3]): PreparedCertificate => ({
  view,
  slot,
  digest: DIGEST24,
  signatures: signed(...signers),
});

const report = (slot: number, view = VIEW - 1): SlotReport => ({
  slot,
  vote: { view, digest: DIGEST24 },
  prepared: prepared(slot),
});

const changeBy = (signer: number, reports: SlotReport[] = [report(9)]): ViewChange => ({
  view: VIEW,
  signer,
  lives: new Array<number>(REPLICAS).fill(0),
  checkpoint: undefined,
  reports,
  signature: SIGNATURE,
});

const state: CheckpointState = {
  slot: 64,
  timeMs: 1_000,
  frontier: Array.from({ length: REPLICAS }, (_, lane) => ({ seq: lane + 1, digest: DIGEST32 })),
  height: 12,
  tipHash: DIGEST32,
};

function reasonOf(input: Uint8Array): string {
  const decoded = decodeMessage(input, REPLICAS);
  return decoded.kind === 'malformed' ? decoded.reason : 'ok';
}

const messageOf = (change: ViewChange) =>
  encodeMessage({ kind: 'view-change', viewChange: change });

/** A copy with other bytes at `at`. */
function patched(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

/** Offsets in the message of a VIEW-CHANGE without a checkpoint. */
const LIVES_BYTES = REPLICAS * 8;
const AT = {
  view: 2,
  signer: 6,
  checkpoint: 8 + LIVES_BYTES,
  reportCount: 9 + LIVES_BYTES,
  report: 11 + LIVES_BYTES,
} as const;
/** And in a report that has both a vote and a certificate. */
const IN_REPORT = { flags: 8, voteView: 9, view: 37, count: 65, signer: 67 } as const;
const SIGNATURE_ENTRY_BYTES = 66;
const REPORT_BYTES = IN_REPORT.signer + 3 * SIGNATURE_ENTRY_BYTES;

describe('view changes', () => {
  const encoded = messageOf(changeBy(2, [report(9), report(10)]));
  const first = AT.report;
  const second = AT.report + REPORT_BYTES;

  it('are refused with a reason', () => {
    expect(encoded.length).to.equal(AT.report + 2 * REPORT_BYTES + 64);
    expect(reasonOf(encoded)).to.equal('ok');
    const reasons: readonly [Uint8Array, string][] = [
      [patched(encoded, AT.signer, REPLICAS), 'VIEW-CHANGE of an unknown replica'],
      [patched(encoded, AT.checkpoint, 2), 'unknown VIEW-CHANGE flags'],
      [patched(encoded, AT.view, VIEW - 1), 'vote of no earlier view'],
      [patched(encoded, first + IN_REPORT.voteView, VIEW), 'vote of no earlier view'],
      [patched(encoded, first + IN_REPORT.view, VIEW), 'certificate of no earlier view'],
      [patched(encoded, first + IN_REPORT.flags, 0), 'empty report'],
      [patched(encoded, first + IN_REPORT.flags, 7), 'unknown VIEW-CHANGE flags'],
      [patched(encoded, first + IN_REPORT.count, 0), 'certificate without signatures'],
      [patched(encoded, first + IN_REPORT.count, 5), 'more signatures than replicas'],
      [patched(encoded, first + IN_REPORT.signer, 1), 'signers out of order'],
      [patched(encoded, first + IN_REPORT.signer, 2), 'signers out of order'],
      [
        patched(encoded, first + IN_REPORT.signer + 2 * SIGNATURE_ENTRY_BYTES, REPLICAS),
        'signature of an unknown replica',
      ],
      [patched(encoded, second, 9), 'reports out of order'],
      [patched(encoded, second, 8), 'reports out of order'],
      [patched(encoded, second + 6, 0xff), 'number exceeds 2^53 - 1'],
      [encoded.slice(0, -1), 'VIEW-CHANGE cut off'],
      [Buffer.concat([encoded, Buffer.alloc(1)]), 'bytes after VIEW-CHANGE'],
    ];
    for (const [input, reason] of reasons) expect(reasonOf(input)).to.equal(reason);
  });

  it('do not believe a huge count of reports', () => {
    const max = [REPORTS_MAX & 0xff, REPORTS_MAX >>> 8] as const;
    expect(reasonOf(patched(encoded, AT.reportCount, ...max))).to.equal(
      'report count exceeds the bytes',
    );
    expect(reasonOf(patched(encoded, AT.reportCount, 0xff, 0xff))).to.equal('too many reports');
  });

  it('hold so many reports, and no more', () => {
    const votes = Array.from({ length: REPORTS_MAX + 1 }, (_, slot) => ({
      slot,
      vote: { view: 0, digest: DIGEST24 },
      prepared: undefined,
    }));
    expect(reasonOf(messageOf(changeBy(0, votes.slice(1))))).to.equal('ok');
    expect(() => messageOf(changeBy(0, votes))).to.throw(RangeError, 'too many reports');
  });

  it('have no encoding when a decoder would refuse it', () => {
    const without = { slot: 9, vote: undefined, prepared: undefined };
    const wrong: readonly SlotReport[][] = [
      [without],
      [report(9), report(9)],
      [report(10), report(9)],
      [report(9, VIEW)],
      [{ ...without, prepared: prepared(8) }],
      [{ ...without, prepared: prepared(9, VIEW) }],
      [{ ...without, prepared: prepared(9, 0, []) }],
      [{ ...without, prepared: prepared(9, 0, [1, 0]) }],
      [{ ...without, prepared: prepared(9, 0, [1, 1]) }],
      [{ ...without, prepared: { ...prepared(9), digest: DIGEST32 } }],
      [{ ...without, vote: { view: 0, digest: DIGEST32 } }],
      [{ ...report(9), slot: -1 }],
    ];
    for (const reports of wrong) expect(() => messageOf(changeBy(0, reports))).to.throw(RangeError);
    expect(() => messageOf({ ...changeBy(0), signature: DIGEST24 })).to.throw(RangeError);
    expect(() => messageOf({ ...changeBy(0), view: 2 ** 32 })).to.throw(RangeError);
    expect(() => messageOf({ ...changeBy(0), signer: 2 ** 16 })).to.throw(RangeError);
  });
});

describe('new views', () => {
  const newViewOf = (view: number, ...changes: ViewChange[]): Message => ({
    kind: 'new-view',
    newView: { view, changes, signature: SIGNATURE },
  });

  it('are refused with a reason', () => {
    const encoded = encodeMessage(newViewOf(VIEW, changeBy(1, []), changeBy(2, [])));
    const changeBytes = 4 + 2 + LIVES_BYTES + 1 + 2 + 64;
    const firstChange = 2 + 4 + 2;
    expect(encoded.length).to.equal(firstChange + 2 * changeBytes + 64);
    expect(reasonOf(encoded)).to.equal('ok');
    const secondChange = firstChange + changeBytes;
    const reasons: readonly [Uint8Array, string][] = [
      [patched(encoded, 2, VIEW + 1), 'VIEW-CHANGE for another view'],
      [patched(encoded, secondChange, VIEW + 1), 'VIEW-CHANGE for another view'],
      [patched(encoded, secondChange + 4, 1), 'VIEW-CHANGEs out of order'],
      [patched(encoded, secondChange + 4, 0), 'VIEW-CHANGEs out of order'],
      [patched(encoded, 6, 0), 'NEW-VIEW without VIEW-CHANGEs'],
      [patched(encoded, 6, REPLICAS + 1), 'more VIEW-CHANGEs than replicas'],
      [patched(encoded, 6, 1), 'bytes after NEW-VIEW'],
      [encoded.slice(0, -1), 'NEW-VIEW cut off'],
      [encoded.slice(0, 7), 'NEW-VIEW cut off'],
    ];
    for (const [input, reason] of reasons) expect(reasonOf(input)).to.equal(reason);
  });

  it('have no encoding when a decoder would refuse it', () => {
    const wrong = [
      newViewOf(VIEW),
      newViewOf(VIEW + 1, changeBy(0)),
      newViewOf(VIEW, changeBy(1), changeBy(0)),
      newViewOf(VIEW, changeBy(1), changeBy(1)),
    ];
    for (const message of wrong) expect(() => encodeMessage(message)).to.throw(RangeError);
  });

  it('come in megabytes when the channel is large', () => {
    const replicas = 31;
    const signers = Array.from({ length: 21 }, (_, index) => index);
    const reports = Array.from({ length: 200 }, (_, slot) => ({
      ...report(slot),
      prepared: prepared(slot, 0, signers),
    }));
    const lives = new Array<number>(replicas).fill(0);
    const changes = signers.map((signer) => ({ ...changeBy(signer, reports), lives }));
    const message = newViewOf(VIEW, ...changes);
    const encoded = encodeMessage(message);
    expect(encoded.length).to.be.above(5_000_000);
    const decoded = decodeMessage(encoded, replicas);
    if (decoded.kind !== 'ok') throw new Error(decoded.reason);
    expect(Buffer.compare(encodeMessage(structuredClone(message)), encoded)).to.equal(0);
  });
});

describe('bodies of view changes', () => {
  it('are remembered by what was decoded, and the same as when they are encoded', () => {
    fc.assert(
      fc.property(newView, (value) => {
        const record = encodeRecord({ kind: 'new-view', newView: value });
        const decoded = decodeRecord(record, REPLICAS);
        if (decoded.kind !== 'ok' || decoded.value.kind !== 'new-view') throw new Error('refused');
        const again: NewView = decoded.value.newView;
        expect(newViewBodyOf(again).buffer).to.equal(record.buffer);
        expect(Buffer.compare(newViewBodyOf(again), encodeNewViewBody(value))).to.equal(0);
        for (const [index, change] of again.changes.entries()) {
          expect(viewChangeBodyOf(change).buffer).to.equal(record.buffer);
          const fresh = encodeViewChangeBody(value.changes[index] as ViewChange);
          expect(Buffer.compare(viewChangeBodyOf(change), fresh)).to.equal(0);
        }
      }),
    );
  });

  it('are not those of a value that was derived from a decoded one', () => {
    const decoded = decodeMessage(messageOf(changeBy(2)), REPLICAS);
    if (decoded.kind !== 'ok' || decoded.value.kind !== 'view-change') throw new Error('refused');
    const other: ViewChange = { ...decoded.value.viewChange, signer: 3 };
    expect(Buffer.compare(viewChangeBodyOf(other), encodeViewChangeBody(changeBy(3)))).to.equal(0);
  });

  it('leave certificates that do not hold the message in memory', () => {
    const certificate: CheckpointCertificate = { state, signatures: signed(0, 1, 2) };
    const encoded = messageOf({ ...changeBy(1), checkpoint: certificate });
    const decoded = decodeMessage(encoded, REPLICAS);
    if (decoded.kind !== 'ok' || decoded.value.kind !== 'view-change') throw new Error('refused');
    const { checkpoint, reports } = decoded.value.viewChange;
    expect(checkpoint).to.eql(certificate);
    const kept = [
      checkpoint?.state.tipHash,
      checkpoint?.state.frontier[0]?.digest,
      checkpoint?.signatures[0]?.signature,
      reports[0]?.vote?.digest,
      reports[0]?.prepared?.digest,
      reports[0]?.prepared?.signatures[0]?.signature,
    ];
    for (const bytes of kept) expect(bytes?.buffer.byteLength).to.be.within(24, 64);
  });
});

describe('checkpoints', () => {
  const encoded = encodeMessage({
    kind: 'stable-checkpoint',
    certificate: { state, signatures: signed(0, 1, 2) },
    namedSlot: 99,
    life: 0,
  });

  it('are refused with a reason', () => {
    const stateAt = 2 + 8 + 8 + 1;
    const frontierAt = stateAt + 56;
    const reasons: readonly [Uint8Array, string][] = [
      [encoded, 'ok'],
      [patched(encoded, stateAt - 1, 2), 'unknown stable-checkpoint flags'],
      [patched(encoded, stateAt - 1, 0), 'bytes after stable-checkpoint'],
      [patched(encoded, stateAt + 16, 0), 'checkpoint of an empty ledger'],
      [patched(encoded, frontierAt, 0), 'empty lane with a digest'],
      [patched(encoded, frontierAt + REPLICAS * 40, 0), 'certificate without signatures'],
    ];
    for (const [input, reason] of reasons) expect(reasonOf(input)).to.equal(reason);
    expect(decodeMessage(encoded, REPLICAS + 1).kind).to.equal('malformed');
    expect(() => encodeCheckpointState({ ...state, height: 0 })).to.throw(RangeError);
  });

  it('are encoded alike alone and in a message', () => {
    fc.assert(
      fc.property(checkpointState, (value) => {
        const alone = encodeCheckpointState(value);
        const checkpoint = { state: value, signer: 1, signature: SIGNATURE };
        const message = encodeMessage({ kind: 'checkpoint', checkpoint });
        expect(Buffer.compare(message.slice(2, 2 + alone.length), alone)).to.equal(0);
      }),
    );
  });
});
