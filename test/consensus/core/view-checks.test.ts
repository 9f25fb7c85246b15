/**
 * W3: what a VIEW-CHANGE and a NEW-VIEW must be, one refusal at a time. What has no encoding (views out of order,
 * signers twice) never gets so far: `consensus/wire`.
 */
import { expect } from 'chai';
import type {
  CheckpointCertificate,
  NewView,
  SlotReport,
  ViewChange,
} from '../../../consensus/core/index.ts';
import { voteReport } from '../support/signed.ts';
import { createSolo, type Solo } from '../support/solo.ts';

const LIMITS = { windowSlots: 8, pipelineSlotsMax: 4, fetchSlotsMax: 8 };

function follower(): Solo {
  const solo = createSolo(3, 4, LIMITS);
  solo.openAll();
  return solo;
}

/** A NEW-VIEW of view 2 in which replica 1 says this. */
function withChange(solo: Solo, change: ViewChange): NewView {
  const { signed } = solo;
  return signed.newView(2, [signed.viewChange(0, 2), change, signed.viewChange(2, 2)]);
}

function broken(signature: Uint8Array): Uint8Array {
  const copy = signature.slice();
  copy[3]! ^= 1;
  return copy;
}

type Lie = (solo: Solo) => ViewChange;

/** Replica 1 reports these above this checkpoint. */
function reporting(
  reports: (solo: Solo) => SlotReport[],
  checkpoint?: (solo: Solo) => CheckpointCertificate,
): Lie {
  return (solo) => solo.signed.viewChange(1, 2, reports(solo), checkpoint?.(solo));
}

const content = (solo: Solo, slot: number) => solo.digest(solo.content(slot, {}));
const voted =
  (slot: number, view = 0) =>
  (solo: Solo) => [voteReport(slot, view, content(solo, slot))];
const prepared = (slot: number, view: number, signers: number[]) => (solo: Solo) => [
  {
    slot,
    vote: undefined,
    prepared: solo.signed.prepared(view, slot, content(solo, slot), signers),
  },
];
const certified = (slot: number, signers?: number[]) => (solo: Solo) =>
  solo.signed.certificate(solo.checkpointState(slot), signers);

const good: [string, Lie][] = [
  ['reports nothing', reporting(() => [])],
  ['reports a vote and a certificate', reporting(prepared(8, 1, [0, 2, 3]))],
  ['reports a vote of the last view', reporting(voted(8, 1))],
  ['shows a checkpoint, and reports above it', reporting(voted(12), certified(4))],
  ['shows a certificate of all', reporting(prepared(1, 0, [0, 1, 2, 3]))],
];

const refused: [string, Lie, string][] = [
  [
    'is not signed by its signer',
    (solo) => ({ ...solo.signed.viewChange(0, 2), signer: 1 }),
    'its signature does not verify',
  ],
  [
    'was changed after it was signed',
    (solo) => ({ ...solo.signed.viewChange(1, 2, voted(1)(solo)), reports: [] }),
    'its signature does not verify',
  ],
  [
    'shows a checkpoint with too few signatures',
    reporting(() => [], certified(4, [0, 1])),
    'its checkpoint is not certified',
  ],
  [
    'shows a checkpoint with a wrong signature',
    reporting(
      () => [],
      (solo) => {
        const { state, signatures } = certified(4)(solo);
        const [first, ...rest] = signatures;
        return { state, signatures: [{ ...first!, signature: broken(first!.signature) }, ...rest] };
      },
    ),
    'its checkpoint is not certified',
  ],
  [
    'reports a slot below its checkpoint',
    reporting(voted(4), certified(4)),
    'it reports a slot below its checkpoint',
  ],
  ['reports a slot beyond its window', reporting(voted(9)), 'it reports a slot beyond its window'],
  [
    'shows a certificate with too few signatures',
    reporting(prepared(1, 0, [0, 1])),
    'slot 1: a certificate that does not verify',
  ],
  [
    'shows a certificate that nobody signed so',
    reporting((solo) => {
      const { signatures } = solo.signed.prepared(0, 1, content(solo, 1));
      const certificate = { view: 0, slot: 1, digest: content(solo, 2), signatures };
      return [{ slot: 1, vote: undefined, prepared: certificate }];
    }),
    'slot 1: a certificate that does not verify',
  ],
];

describe('a NEW-VIEW', () => {
  for (const [what, lie] of good) {
    it(`is entered when one of its VIEW-CHANGEs ${what}`, () => {
      const solo = follower();
      solo.message(2, { kind: 'new-view', newView: withChange(solo, lie(solo)) });
      expect(solo.accusations()).to.eql([]);
      expect(solo.core.status()).to.include({ view: 2, changing: false, viewChanges: 1 });
    });
  }

  for (const [what, lie, reason] of refused) {
    it(`is refused when one of its VIEW-CHANGEs ${what}`, () => {
      const solo = follower();
      // Relayed by replica 0; its maker, the leader of view 2, has signed the nonsense.
      solo.message(0, { kind: 'new-view', newView: withChange(solo, lie(solo)) });
      const why = `the VIEW-CHANGE of replica 1: ${reason}`;
      expect(solo.accusations()).to.eql([`invalid-new-view 2: ${why}`]);
      expect(solo.core.status()).to.include({ view: 0, changing: false });
    });
  }

  it('has exactly q of them', () => {
    const solo = follower();
    const changes = [0, 1, 2, 3].map((signer) => solo.signed.viewChange(signer, 2));
    for (const some of [changes.slice(0, 2), changes]) {
      solo.message(2, { kind: 'new-view', newView: solo.signed.newView(2, some) });
      solo.tick(60);
    }
    expect(solo.accusations()).to.eql([
      'invalid-new-view 2: it holds 2 VIEW-CHANGEs',
      'invalid-new-view 2: it holds 4 VIEW-CHANGEs',
    ]);
  });

  it('is signed by the leader of its view; otherwise whoever brought it made it up', () => {
    const solo = follower();
    const { changes } = solo.signed.newViewOf(2);
    solo.message(0, { kind: 'new-view', newView: solo.signed.newView(2, changes, 0) });
    expect(solo.accusations()).to.eql(['invalid-new-view 0: it is not signed by its leader']);
  });

  it('may come from anybody, and is looked at once in a while from each', () => {
    const solo = follower();
    const { signed } = solo;
    const wrong = signed.newView(
      2,
      [0, 1].map((signer) => signed.viewChange(signer, 2)),
    );
    for (let i = 0; i < 5; i++) solo.message(0, { kind: 'new-view', newView: wrong });
    expect(solo.accusations()).to.have.length(1);
    solo.message(1, { kind: 'new-view', newView: signed.newViewOf(2) });
    expect(solo.core.status().view).to.equal(2);
    solo.message(2, { kind: 'new-view', newView: signed.newViewOf(2) });
    solo.message(2, { kind: 'new-view', newView: signed.newViewOf(1) });
    expect(solo.core.status()).to.include({ view: 2, viewChanges: 1 });
    expect(solo.core.status().ignored).to.include({
      'NEW-VIEW so soon after another': 4,
      'NEW-VIEW of a view that is entered or past': 2,
    });
  });
});

describe('a leader to be', () => {
  /** Replica 1, which f + 1 others want to lead view 1. */
  function candidate(): Solo {
    const solo = createSolo(1, 4, LIMITS);
    solo.openAll();
    solo.carryTo(1);
    expect(solo.core.status()).to.include({ view: 1, changing: true });
    return solo;
  }

  it('makes a NEW-VIEW of q valid VIEW-CHANGEs, its own included', () => {
    const solo = candidate();
    solo.message(3, { kind: 'view-change', viewChange: solo.signed.viewChange(3, 1) });
    expect(solo.sent('new-view')).to.have.length(0);
    solo.message(0, { kind: 'view-change', viewChange: solo.signed.viewChange(0, 1) });
    const [sent] = solo.sent('new-view');
    expect(sent?.newView.changes.map(({ signer }) => signer)).to.eql([0, 1, 3]);
    expect(solo.core.status()).to.include({ view: 1, changing: false });
  });

  it('leaves out one that is not valid, and accuses its signer', () => {
    const solo = candidate();
    const lie = { ...solo.signed.viewChange(0, 1, voted(1)(solo)), reports: [] };
    solo.message(0, { kind: 'view-change', viewChange: lie });
    solo.message(2, { kind: 'view-change', viewChange: solo.signed.viewChange(2, 1) });
    expect(solo.sent('new-view')).to.have.length(0);
    // Its first word stands: a second one is not looked at.
    solo.message(0, { kind: 'view-change', viewChange: solo.signed.viewChange(0, 1) });
    solo.message(3, { kind: 'view-change', viewChange: solo.signed.viewChange(3, 1) });
    const [sent] = solo.sent('new-view');
    expect(sent?.newView.changes.map(({ signer }) => signer)).to.eql([1, 2, 3]);
    const reason = 'its signature does not verify';
    expect(solo.accusations()).to.eql([`invalid-view-change 0: ${reason}`]);
  });

  it('does not count what is relayed, old, or of another view', () => {
    const solo = candidate();
    const { signed } = solo;
    solo.message(2, { kind: 'view-change', viewChange: signed.viewChange(3, 1) });
    solo.message(2, { kind: 'view-change', viewChange: signed.viewChange(2, 1) });
    solo.message(2, { kind: 'view-change', viewChange: signed.viewChange(2, 1) });
    solo.message(3, { kind: 'view-change', viewChange: signed.viewChange(3, 5) });
    expect(solo.sent('new-view')).to.have.length(0);
    expect(solo.core.status().ignored).to.include({
      'VIEW-CHANGE signed by another than its sender': 1,
      'VIEW-CHANGE already known': 1,
    });
  });
});
