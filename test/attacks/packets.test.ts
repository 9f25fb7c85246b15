/** An outsider on the wire: no certificate, no session, no device, but any packet from any address. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { expect } from 'chai';
import type { RegionOffer, Transport } from '../../rdma/index.ts';
import { LAYOUT, regionLayout } from '../../rdma/layout.ts';
import {
  ALL,
  describeProvider,
  Inbox,
  open,
  pollUntil,
  SMALL,
  sessionKeys,
} from '../rdma/support/pair.ts';
import { IN_GUEST } from '../support/slow.ts';
import { Attacker, ENDPOINT } from './support/attacker.ts';
import type { DeviceReach } from './support/reach.ts';
import {
  acknowledgeHeader,
  ethernetFrame,
  NAK_REMOTE_ACCESS,
  OPCODE,
  type Packet,
  remoteHeader,
} from './support/roce.ts';
import { Stage, vote } from './support/stage.ts';

const VICTIM = 0;
const PEER = 1;
const OTHER = 2;
/** The other end of the cable of the device's interface (test/guest/init.sh). */
const OUTSIDE = 'rdma1';
const INSIDE = 'rdma0';
const ADDRESS = '10.99.0.1';
const STRANGER = '10.99.0.77';
const GUESSES = 64;
const SESSIONS = 6;

function pairOf(endpoint: string): {
  pair: number;
  sequence: number;
  address: bigint;
  key: number;
} {
  const bytes = Buffer.from(endpoint, 'hex');
  return {
    pair: bytes.readUInt32LE(ENDPOINT.PAIR),
    sequence: bytes.readUInt32LE(ENDPOINT.PACKET),
    address: bytes.readBigUInt64LE(ENDPOINT.ADDRESS),
    key: bytes.readUInt32LE(ENDPOINT.KEY),
  };
}

/** Both ends of the guest's device have one address: as a spoofed sender in a network, it must be let in. */
function letSpoofedPacketsIn(): void {
  for (const name of ['all', INSIDE]) {
    writeFileSync(`/proc/sys/net/ipv4/conf/${name}/accept_local`, '1');
    writeFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, '0');
  }
}

describeProvider('verbs', 'packets of an outsider', () => {
  let victim: Transport;
  let peer: Transport;
  let other: Transport;
  let outsider: Attacker;
  /** Where the victim's half of the connection with `peer` is. */
  let target: ReturnType<typeof pairOf>;
  /** The sequence number of the peer's first packet. */
  let expected: number;

  before(function () {
    if (!IN_GUEST) this.skip();
    letSpoofedPacketsIn();
  });
  beforeEach(() => {
    [victim, peer, other] = [open(VICTIM, 3), open(PEER, 3), open(OTHER, 3)];
    outsider = Attacker.shared();
    meet(other);
    const [ofVictim, ofPeer] = meet(peer);
    target = pairOf(ofVictim.endpoint ?? '');
    expected = pairOf(ofPeer.endpoint ?? '').sequence;
  });
  afterEach(() => {
    for (const transport of [victim, peer, other]) transport.destroy();
  });
  after(() => Attacker.stopShared());

  function meet(to: Transport): readonly [RegionOffer, RegionOffer] {
    const [ours, theirs] = sessionKeys(VICTIM, to.self, randomBytes(32));
    const offers = [victim.offer(to.self, ours), to.offer(VICTIM, theirs)] as const;
    victim.accept(to.self, offers[1]);
    to.accept(VICTIM, offers[0]);
    victim.confirm(to.self);
    to.confirm(VICTIM);
    return offers;
  }

  function inject(packet: Partial<Packet>, count = 1): void {
    const { pair } = target;
    const body = remoteHeader(0n, 0, 0);
    const base = {
      opcode: OPCODE.WRITE_ONLY,
      pair,
      sequence: expected,
      body,
      destination: ADDRESS,
    };
    outsider.packet(OUTSIDE, ethernetFrame(OUTSIDE, INSIDE, { ...base, ...packet }), count);
  }

  /** Over the vote of slot 1: if the device took it, a vote would be missing. */
  function writeOf(key: number): Buffer {
    const bytes = LAYOUT.VOTE_CELL_BYTES;
    const { votesOffset } = regionLayout({ ...SMALL, replicas: 3, payloadBytesMax: 0 });
    const header = remoteHeader(target.address + BigInt(votesOffset + bytes), key, bytes);
    return Buffer.concat([header, randomBytes(bytes)]);
  }

  /** A vote from each to the victim, and back to each. */
  function expectWordsOf(transports: readonly Transport[], view: number): Inbox {
    const inbox = new Inbox();
    const backs = transports.map(() => new Inbox());
    for (const transport of transports) transport.writeCell(vote(1, view, transport.self));
    victim.writeCell(vote(1, view, VICTIM));
    const areThere = (): boolean => {
      for (const [i, back] of backs.entries()) transports[i]?.poll(ALL, back);
      const heard = new Set(inbox.cells.filter((cell) => cell.view === view).map((c) => c.peer));
      return heard.size >= transports.length && backs.every(({ cells }) => cells.length > 0);
    };
    pollUntil(victim, inbox, areThere, `votes of view ${view}`);
    expect(backs.flatMap(({ faults }) => faults)).to.deep.equal([]);
    return inbox;
  }

  function awaitFault(of: Transport): Inbox {
    const inbox = new Inbox();
    pollUntil(of, inbox, () => inbox.faults.length > 0, 'fault');
    return inbox;
  }

  function expectAnew(): void {
    victim.close(PEER);
    peer.close(VICTIM);
    meet(peer);
    const { faults } = expectWordsOf([peer, other], 9);
    expect(faults).to.deep.equal([]);
  }

  it('that are garbage, have a wrong checksum, sender or queue pair change nothing', () => {
    const write = writeOf(target.key);
    peer.writeCell(vote(1, 1, PEER));
    const before = new Inbox();
    pollUntil(victim, before, () => before.cells.length > 0, 'vote');
    expected++;
    inject({ opcode: 0xff, body: randomBytes(64) }, 50);
    inject({ body: write, isBroken: true }, 50);
    inject({ body: write, source: STRANGER }, 50);
    inject({ body: write, pair: (target.pair + 977) & 0xffffff }, 50);
    // Every cell is looked at again.
    expect(expectWordsOf([peer, other], 2).faults).to.deep.equal([]);
  });

  it('that guess the sequence number change nothing', () => {
    const body = writeOf(target.key);
    for (let guess = 0; guess < GUESSES; guess++) {
      // Never the right one: that is the next test.
      const away = 1 + (randomBytes(3).readUIntBE(0, 3) % 0xfffffe);
      inject({ body, sequence: expected + away });
    }
    const { faults } = expectWordsOf([peer, other], 1);
    expect(faults).to.deep.equal([]);
    // Nor does one session tell the next one's.
    const numbers = [expected];
    for (let session = 1; session < SESSIONS; session++) {
      victim.close(PEER);
      peer.close(VICTIM);
      numbers.push(pairOf(meet(peer)[1].endpoint ?? '').sequence);
    }
    const steps = numbers.slice(1).map((number, i) => number - (numbers[i] ?? 0));
    expect(new Set(steps).size).to.equal(SESSIONS - 1);
  });

  it('with the right queue pair and number break that one connection, which begins anew', () => {
    inject({ body: writeOf(target.key ^ 0x5a5a) });
    const { faults } = awaitFault(victim);
    expect(faults.map((one) => [one.peer, one.fault.kind])).to.deep.equal([[PEER, 'device']]);
    expectWordsOf([other], 2);
    expectAnew();
  });

  it('that ask to read get nothing, and break that one connection', () => {
    inject({
      opcode: OPCODE.READ_REQUEST,
      body: remoteHeader(target.address, target.key, 4096),
    });
    const { faults } = awaitFault(victim);
    expect(faults.map((one) => [one.peer, one.fault.kind])).to.deep.equal([[PEER, 'device']]);
    expectWordsOf([other], 2);
    expectAnew();
  });

  it('with everything right write what nobody believes, and swallow one write until it is repeated', () => {
    inject({ body: writeOf(target.key) });
    // Its number has been used: the device acknowledges the peer's own packet and drops it.
    peer.writeCell(vote(1, 3, PEER));
    peer.writeCell(vote(0, 3, PEER));
    const inbox = new Inbox();
    pollUntil(victim, inbox, () => inbox.cells.length > 0, 'second vote');
    for (let i = 0; i < 20; i++) {
      victim.wait(1_000);
      victim.poll(ALL, inbox);
    }
    expect(inbox.cells.map(({ peer: from, slot }) => [from, slot])).to.deep.equal([[PEER, 0]]);
    peer.rewriteCells(VICTIM);
    const isWhole = (): boolean => inbox.cells.some(({ slot }) => slot === 1);
    pollUntil(victim, inbox, isWhole, 'the lost vote, written again');
    expect(inbox.faults.filter((one) => one.peer !== PEER)).to.deep.equal([]);
    expectWordsOf([peer, other], 4);
  });

  it('that refuse in the name of the peer break that one connection', () => {
    // A peer that has no receive ready keeps the victim's packet open for long enough.
    const stage = new Stage('verbs', { receives: 0, notReadyTimer: 30 });
    try {
      stage.reader.writeCell(vote(1, 1, 1));
      const { pair, sequence } = pairOf((stage.evil.reach as DeviceReach).endpoint);
      const body = acknowledgeHeader(NAK_REMOTE_ACCESS);
      inject({ opcode: OPCODE.ACKNOWLEDGE, pair, sequence, body });
      const [fault] = stage.awaitFaults();
      expect(fault).to.deep.equal({
        kind: 'device',
        reason: 'work completion: remote access error',
      });
      stage.expectOtherPeerUnharmed();
    } finally {
      stage.destroy();
    }
    expectWordsOf([peer, other], 5);
  });
});
