/** What a replica's device can do to the victim's besides writing: other operations, no receives, floods. */
import { expect } from 'chai';
import { LAYOUT } from '../../rdma/layout.ts';
import { ALL, describeProvider, Inbox, pollUntil } from '../rdma/support/pair.ts';
import { Attacker, type Operation } from './support/attacker.ts';
import type { DeviceReach } from './support/reach.ts';
import { queuePairs } from './support/resources.ts';
import { LIAR, Stage, vote } from './support/stage.ts';

const VOTE = LAYOUT.KIND_VOTE;
/** More than the victim's receives and its send queue together. */
const FLOOD = 3_000;
const SESSIONS = 25;

describeProvider('verbs', 'a queue pair that keeps no rule', () => {
  let stage: Stage;

  afterEach(() => {
    stage.destroy();
  });
  after(() => Attacker.stopShared());

  const attackerOf = ({ attacker }: Stage) => {
    if (attacker === undefined) throw new Error('there is no device');
    return attacker;
  };
  const reachOf = (one: Stage) => one.evil.reach as DeviceReach;

  const refused: [Operation, RegExp][] = [
    ['read', /remote (access|invalid request) error|remote operation error/],
    ['add', /remote (access|invalid request) error|remote operation error/],
    ['send', /remote (access|invalid request|operation) error/],
    ['invalidate', /remote (access|invalid request|operation) error/],
  ];
  for (const [operation, word] of refused) {
    it(`'${operation}' costs it the connection, and nobody else anything`, () => {
      stage = new Stage('verbs');
      const { address, key } = reachOf(stage);
      const post = { operation, address, key, immediate: key, bytes: Buffer.alloc(8, 7) };
      expect(attackerOf(stage).post(post)).to.match(word);
      const [fault] = stage.awaitFaults();
      expect(fault?.kind).to.equal('device');
      stage.expectOtherPeerUnharmed();
      stage.meetAgain();
      stage.evil.writeCell({ kind: VOTE, slot: 1n });
      pollUntil(stage.reader, stage.inbox, () => stage.inbox.cells.length > 0, 'vote');
    });
  }

  it('that withholds its receives costs a bounded queue of its own, and gets the newest', () => {
    stage = new Stage('verbs', { receives: 0 });
    const quiet = stage.expectOtherPeerUnharmed();
    const before = process.memoryUsage().rss;
    for (let view = 1; view <= FLOOD; view++) {
      stage.reader.writeCell(vote(2, view, view & 0xff));
      if (view % 100 === 0) stage.poll();
    }
    const [grown, withheld] = [process.memoryUsage().rss - before, stage.expectOtherPeerUnharmed()];
    console.log(
      `      withheld receives: +${Math.round(grown / 1024)} KiB after ${FLOOD} writes; a round with the other peer ` +
        `${withheld.toFixed(0)} ms, ${quiet.toFixed(0)} before`,
    );
    expect(grown).to.be.lessThan(16 << 20);
    expect(stage.faults()).to.deep.equal([]);
    attackerOf(stage).receive(1_024);
    const place = stage.evil.forge.cellOffset(VOTE, 2);
    const isNewest = (): boolean =>
      attackerOf(stage).own(place, 12).readUInt32LE(LAYOUT.CELL_VIEW) === FLOOD;
    pollUntil(stage.reader, stage.inbox, isNewest, 'newest vote at the attacker');
    stage.expectOtherPeerUnharmed();
  });

  it('that floods with doorbells uses up its own receives, and delays nobody', () => {
    stage = new Stage('verbs');
    const { address, key } = reachOf(stage);
    const quiet = stage.expectOtherPeerUnharmed();
    const flood = { operation: 'write-immediate', address, key, immediate: 7 } as const;
    attackerOf(stage).begin({ ...flood, count: FLOOD });
    const rounds = Array.from({ length: 5 }, () => stage.expectOtherPeerUnharmed());
    const longest = Math.max(...rounds);
    // What was left of the flood waits for receives, until the victim looks.
    expect(attackerOf(stage).finish(() => stage.poll())).to.equal('success');
    console.log(
      `      flood of ${FLOOD} doorbells: a round with the other peer ${longest.toFixed(0)} ms at most, ` +
        `${quiet.toFixed(0)} before`,
    );
    expect(stage.faults()).to.deep.equal([]);
    stage.evil.writeCell({ kind: VOTE, slot: 1n });
    const inbox = new Inbox();
    pollUntil(stage.reader, inbox, () => inbox.cells.some(({ peer }) => peer === LIAR), 'vote');
    stage.reader.poll(ALL, inbox);
    expect(inbox.faults).to.deep.equal([]);
  });

  it('that opens sessions without end holds one queue pair of the victim at a time', () => {
    stage = new Stage('verbs');
    const first = queuePairs();
    for (let session = 0; session < SESSIONS; session++) stage.meetAgain();
    expect(queuePairs()).to.equal(first);
    stage.expectOtherPeerUnharmed();
    stage.evil.writeCell({ kind: VOTE, slot: 1n });
    pollUntil(stage.reader, stage.inbox, () => stage.inbox.cells.length > 0, 'vote');
  });
});
