/** Lies in rings, by a replica that holds the session's keys and writes past its own transport. */
import { expect } from 'chai';
import fc from 'fast-check';
import { LAYOUT } from '../../rdma/layout.ts';
import { ALL, describeProviders, Inbox, pollUntil, SMALL } from '../rdma/support/pair.ts';
import { IN_GUEST } from '../support/slow.ts';
import { startFlipping } from './support/flip.ts';
import type { ForgedFrame } from './support/forge.ts';
import { LIAR, onNewStages, type Stage } from './support/stage.ts';

const RING_BYTES = SMALL.laneRingBytes;
const FRAGMENT_BYTES_MAX = RING_BYTES / LAYOUT.FRAGMENTS_PER_RING;
/** Sessions in which a payload is changed under the reader. */
const ROUNDS = IN_GUEST ? 20 : 40;

describeProviders('attacks on rings', (provider) => {
  let stage: Stage;
  onNewStages(provider, (started) => {
    stage = started;
  });

  /** With `tcp` the victim's own host keeps the tail. */
  const reachesAnyByte = provider !== 'tcp';

  function publish(ring: 'lane' | 'control', frames: readonly ForgedFrame[], tail?: bigint): void {
    stage.evil.publish(ring, frames, tail);
    for (let i = 0; i < 5; i++) stage.poll();
  }

  it('our second implementation of frames is understood, fragments too', () => {
    const large = Buffer.alloc(FRAGMENT_BYTES_MAX + 100, 7);
    publish('lane', [
      { payload: Buffer.from('one') },
      { payload: large.subarray(0, FRAGMENT_BYTES_MAX), total: large.length, sequence: 1n },
      { payload: large.subarray(FRAGMENT_BYTES_MAX), total: large.length, sequence: 2n },
    ]);
    expect(stage.inbox.lanes.map(({ payload }) => payload.length)).to.deep.equal([3, large.length]);
  });

  const small = Buffer.alloc(100, 1);
  const full = Buffer.alloc(FRAGMENT_BYTES_MAX, 2);
  const attacks: (readonly [string, string, readonly ForgedFrame[], bigint?])[] = [
    ['a length beyond the tail', 'length', [{ payload: small, length: 200, total: 200 }]],
    [
      'a length beyond a fragment',
      'length',
      [{ payload: small, length: FRAGMENT_BYTES_MAX + 1, total: 60_000 }],
      BigInt(RING_BYTES),
    ],
    ['the largest length', 'length', [{ payload: small, length: 0xffffffff, total: 0xffffffff }]],
    ['a total beyond the limit', 'length', [{ payload: full, total: 64 * 1024 + 1 }]],
    ['a total below the length', 'length', [{ payload: small, total: 99 }]],
    ['a tail beyond the ring', 'length', [{ payload: small }], BigInt(RING_BYTES) + 64n],
    ...(reachesAnyByte
      ? [['a tail before the head', 'length', [{ payload: small }], -64n] as const]
      : []),
    ['a tail between frames', 'length', [{ payload: small }], 65n],
    ['half a header', 'length', [{ payload: small }], 64n],
    ['a later sequence', 'sequence', [{ payload: small, sequence: 1n }]],
    ['a repeated sequence', 'sequence', [{ payload: small }, { payload: small }]],
    ['another MAC', 'mac', [{ payload: small, mac: Buffer.alloc(16, 1) }]],
    ['a hash of something else', 'mac', [{ payload: small, hash: Buffer.alloc(32, 1) }]],
    ['a first fragment that is short', 'fragment', [{ payload: small, total: 10_000 }]],
    ['an empty fragment', 'fragment', [{ payload: Buffer.alloc(0), total: 10 }]],
    [
      'a second fragment of another total',
      'fragment',
      [
        { payload: full, total: full.length + 100 },
        { payload: small, total: full.length + 101, sequence: 1n },
      ],
    ],
    [
      'a second fragment that makes the payload longer',
      'fragment',
      [
        { payload: full, total: 3 * full.length },
        { payload: full, total: 3 * full.length + 1, sequence: 1n },
      ],
    ],
    [
      'a whole payload amid fragments',
      'fragment',
      [
        { payload: full, total: full.length + 100 },
        { payload: small, sequence: 1n },
      ],
    ],
  ];
  for (const ring of ['lane', 'control'] as const) {
    for (const [what, reason, frames, tail] of attacks) {
      it(`${what} ends the ${ring} ring with one fault '${reason}', and nothing else`, () => {
        publish(ring, frames, tail);
        expect(stage.faults()).to.deep.equal([{ kind: 'bad-frame', ring, reason }]);
        const before = stage.inbox.lanes.length + stage.inbox.messages.length;
        publish(ring, [{ payload: small }]);
        expect(stage.faults(), 'reported once').to.have.length(1);
        expect(stage.inbox.lanes.length + stage.inbox.messages.length).to.equal(before);
        expect(stage.reader.counters(LIAR).badFrames).to.equal(1);
        stage.evil.writeCell({ kind: LAYOUT.KIND_VOTE, slot: 1n, body: small.subarray(0, 24) });
        expect(stage.poll().cells, 'cells of that peer go on').to.have.length(1);
        stage.expectOtherPeerUnharmed();
      });
    }
  }

  it('a frame of one ring is refused in the other', () => {
    const frame = stage.evil.forge.sealFrames('lane', [{ payload: small }]);
    stage.evil.reach.putRing('control', frame, BigInt(frame.length));
    stage.poll();
    expect(stage.inbox.messages).to.deep.equal([]);
    expect(stage.faults()).to.deep.equal([{ kind: 'bad-frame', ring: 'control', reason: 'mac' }]);
  });

  it('frames of an earlier session are refused', () => {
    const old = stage.evil.forge.sealFrames('lane', [{ payload: small }]);
    stage.evil.reach.putRing('lane', old, BigInt(old.length));
    expect(stage.poll().lanes).to.have.length(1);
    stage.meetAgain();
    stage.evil.reach.putRing('lane', old, BigInt(old.length));
    expect(stage.poll().lanes).to.have.length(1);
    expect(stage.faults()).to.deep.equal([{ kind: 'bad-frame', ring: 'lane', reason: 'mac' }]);
    stage.expectOtherPeerUnharmed();
  });

  if (reachesAnyByte) {
    it('a payload that changes after it was handed up changes nothing', () => {
      stage.evil.publish('lane', [{ payload: small }]);
      const { payload } = stage.poll().lanes[0] ?? { payload: Buffer.alloc(0) };
      const { layout } = stage.evil.forge;
      stage.evil.reach.write?.(layout.laneRingOffset, Buffer.alloc(192, 0xee));
      expect(Buffer.from(payload)).to.deep.equal(small);
    });

    it('a payload that changes while it is read is handed up whole, or not at all', async () => {
      const payload = Buffer.alloc(FRAGMENT_BYTES_MAX, 1);
      const middle = [Buffer.alloc(64, 1), Buffer.alloc(64, 2)] as const;
      const outcomes: string[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        stage.meetAgain();
        const { forge, reach } = stage.evil;
        const { laneRingOffset } = forge.layout;
        const frame = forge.sealFrames('lane', [{ payload }]);
        const tail = Buffer.alloc(8);
        tail.writeBigUInt64LE(BigInt(frame.length));
        reach.write?.(laneRingOffset, frame);
        reach.write?.(LAYOUT.HEADER_LANE_TAIL, tail);
        const place = laneRingOffset + LAYOUT.FRAME_HEADER_BYTES + payload.length / 2;
        // The victim learns of the frame when it is being changed already.
        const flipping = await startFlipping(reach, place, middle, LAYOUT.HINT_RING);
        const isRead = (): boolean => {
          flipping.ring();
          return stage.inbox.lanes.length + stage.inbox.faults.length > 0;
        };
        pollUntil(stage.reader, stage.inbox, isRead, 'end of the frame');
        await flipping.stop();
        for (const lane of stage.inbox.lanes.splice(0)) {
          expect(Buffer.from(lane.payload).equals(payload)).to.equal(true);
          outcomes.push('whole');
        }
        for (const fault of stage.faults()) {
          expect(fault).to.deep.equal({ kind: 'bad-frame', ring: 'lane', reason: 'mac' });
          outcomes.push('refused');
        }
        stage.inbox.faults.length = 0;
      }
      expect(outcomes).to.have.length(ROUNDS);
      stage.expectOtherPeerUnharmed();
    });
  }

  /** What of the victim's messages the liar has taken; granting credits for all of it, truthfully. */
  function taken(messageBytes: number, inbox: Inbox): number {
    if (stage.twin !== undefined) {
      stage.twin.poll(ALL, inbox);
      return inbox.messages.length;
    }
    const tail = stage.attacker?.own(LAYOUT.HEADER_CONTROL_TAIL, 8).readBigUInt64LE() ?? 0n;
    grant(0n, tail);
    return Number(tail) / (LAYOUT.FRAME_HEADER_BYTES + messageBytes);
  }

  function grant(lane: bigint, control: bigint): void {
    stage.evil.writeCell({ kind: LAYOUT.KIND_PROGRESS, slot: 1n, heads: [lane, control] }, 0);
    stage.poll();
  }

  it('false heads are faults, are ignored and give no credits', () => {
    const message = Buffer.alloc(1024);
    const send = () => stage.reader.send(LIAR, message);
    for (let i = 0; i < 10; i++) send();
    const head = (ring: 'lane' | 'control') => ({ kind: 'bad-frame', ring, reason: 'head' });
    grant(1n, 0n);
    expect(stage.faults()).to.deep.equal([head('lane')]);
    grant(0n, 1n << 63n);
    expect(stage.faults()).to.deep.equal([head('lane'), head('control')]);
    const inbox = new Inbox();
    pollUntil(stage.reader, stage.inbox, () => taken(message.length, inbox) === 10, 'ten messages');
    stage.poll(); // their credits
    grant(0n, 64n);
    expect(stage.faults().slice(2)).to.deep.equal([head('control')]);
    // The writer has not been tricked: what it sends arrives unbroken.
    for (let i = 0; i < 30; i++) send();
    const areThere = (): boolean => {
      const count = taken(message.length, inbox);
      stage.evil.reach.ring?.(); // the twins count doorbells apart
      return count === 40;
    };
    pollUntil(stage.reader, stage.inbox, areThere, 'forty messages');
    expect(inbox.faults).to.deep.equal([]);
    expect(stage.reader.counters(LIAR).badFrames).to.equal(3);
  });

  it('any tails, frames and progress cells of a peer with the keys only hurt itself (property)', () => {
    const bits = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    const near = fc.bigInt({ min: 0n, max: 40_000n });
    const heads = fc.record({ heads: fc.tuple(fc.oneof(bits, near), fc.oneof(bits, near)) });
    const frame = fc.record({
      length: fc.oneof(fc.nat(0xffffffff), fc.nat(128)),
      total: fc.oneof(fc.nat(0xffffffff), fc.nat(128)),
      sequence: fc.bigInt({ min: 0n, max: 3n }),
    });
    // Where single bytes travel, any tail; elsewhere one that sends something.
    const tail = reachesAnyByte ? fc.oneof(bits, near) : near;
    const published = fc.record({ frames: fc.array(frame, { maxLength: 3 }), tail });
    fc.assert(
      fc.property(fc.array(fc.oneof(heads, published), { maxLength: 40 }), (steps) => {
        stage.meetAgain();
        for (const step of steps) {
          if ('heads' in step) grant(...step.heads);
          else {
            const frames = step.frames.map((one) => ({ payload: Buffer.alloc(128), ...one }));
            stage.evil.publish('lane', frames, step.tail);
          }
          stage.reader.writeLane(Buffer.alloc(500));
          stage.poll();
        }
        expect(stage.inbox.messages).to.deep.equal([]);
        stage.faults();
        stage.expectOtherPeerUnharmed();
        stage.inbox.faults.length = 0;
      }),
      { numRuns: IN_GUEST ? 10 : 100 },
    );
  });
});
