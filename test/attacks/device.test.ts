/** Attackers with a queue pair of their own: every one holds a real session with the victim. */
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import type { RegionOffer, Transport } from '../../rdma/index.ts';
import {
  ALL,
  describeProvider,
  Inbox,
  open,
  pollUntil,
  sessionKeys,
} from '../rdma/support/pair.ts';

const VICTIM = 0;
const ATTACKER = 1;
const BYSTANDER = 2;
/** Of `VerbsEndpoint` (native/verbs.h), in bytes. */
const ADDRESS = 16;
const RKEY = 24;
const GUESSES = 25;

function bent(offer: RegionOffer, bend: (endpoint: Buffer) => void): RegionOffer {
  const endpoint = Buffer.from(offer.endpoint ?? '', 'hex');
  bend(endpoint);
  return { ...offer, endpoint: endpoint.toString('hex') };
}

function vote(view: number) {
  return { kind: 'vote', slot: 1, view, flags: 0, body: Buffer.alloc(24, view) } as const;
}

describeProvider('verbs', 'attacks with a device', () => {
  let victim: Transport;
  let attacker: Transport;
  let bystander: Transport;

  beforeEach(() => {
    [victim, attacker, bystander] = [open(VICTIM, 3), open(ATTACKER, 3), open(BYSTANDER, 3)];
  });
  afterEach(() => {
    for (const transport of [victim, attacker, bystander]) transport.destroy();
  });

  /** A session in which `to` is told what `bend` makes of the victim's offer. */
  function meet(
    to: Transport,
    bend: (offer: RegionOffer) => RegionOffer = (offer) => offer,
  ): RegionOffer {
    const [ours, theirs] = sessionKeys(VICTIM, to.self, randomBytes(32));
    const offer = victim.offer(to.self, ours);
    victim.accept(to.self, to.offer(VICTIM, theirs));
    to.accept(VICTIM, bend(offer));
    victim.confirm(to.self);
    to.confirm(VICTIM);
    return offer;
  }

  /** The attacker writes; its device is told that it may not, and the victim sees nothing but a dead connection. */
  function expectRefused(): void {
    const own = new Inbox();
    const seen = new Inbox();
    attacker.writeCell(vote(66));
    attacker.writeLane(Buffer.from('forged'));
    const isDead = (): boolean => own.faults.some(({ fault }) => fault.kind === 'device');
    const poll = (): boolean => {
      victim.poll(ALL, seen);
      return isDead();
    };
    pollUntil(attacker, own, poll, 'refusal of the device');
    const fault = own.faults.find((one) => one.fault.kind === 'device')?.fault;
    expect(fault)
      .to.have.property('reason')
      .that.matches(/remote access error|remote operation error/);
    victim.poll(ALL, seen);
    expect(seen.cells.filter(({ peer }) => peer === ATTACKER)).to.eql([]);
    expect(seen.lanes.filter(({ peer }) => peer === ATTACKER)).to.eql([]);
  }

  /** Both ways, with what came to the victim while it was attacked. */
  function expectUntouched(): void {
    const atVictim = new Inbox();
    const atBystander = new Inbox();
    bystander.writeCell(vote(9));
    bystander.writeLane(Buffer.from('honest'));
    victim.writeCell(vote(8));
    pollUntil(
      victim,
      atVictim,
      () => atVictim.lanes.length > 0 && atVictim.cells.length > 0,
      'words',
    );
    pollUntil(bystander, atBystander, () => atBystander.cells.length > 0, 'answer');
    expect(atVictim.cells.map(({ peer, view }) => [peer, view])).to.eql([[BYSTANDER, 9]]);
    expect(atVictim.faults.filter(({ peer }) => peer === BYSTANDER)).to.eql([]);
    expect(atBystander.faults).to.eql([]);
  }

  it("another peer's key is worth nothing on the attacker's connection", () => {
    const forBystander = bent(meet(bystander), () => {});
    const stolen = Buffer.from(forBystander.endpoint ?? '', 'hex').subarray(ADDRESS, RKEY + 4);
    meet(attacker, (offer) => bent(offer, (endpoint) => endpoint.set(stolen, ADDRESS)));
    expectRefused();
    expectUntouched();
  });

  it('a guessed key costs the connection: one guess for each session', () => {
    meet(bystander);
    for (let guess = 0; guess < GUESSES; guess++) {
      meet(attacker, (offer) =>
        bent(offer, (endpoint) => {
          const key = endpoint.readUInt32LE(RKEY);
          // Its neighbours first: keys are often given out in order.
          endpoint.writeUInt32LE((key + 1 + guess * 257) >>> 0, RKEY);
        }),
      );
      expectRefused();
      attacker.close(VICTIM);
      victim.close(ATTACKER);
    }
    expectUntouched();
  });

  it('memory beyond the region is out of reach', () => {
    meet(bystander);
    for (const away of [1n << 20n, -(1n << 20n), 1n << 40n]) {
      meet(attacker, (offer) =>
        bent(offer, (endpoint) => {
          const address = endpoint.readBigUInt64LE(ADDRESS);
          endpoint.writeBigUInt64LE(BigInt.asUintN(64, address + away), ADDRESS);
        }),
      );
      expectRefused();
      attacker.close(VICTIM);
      victim.close(ATTACKER);
    }
    expectUntouched();
  });

  it('cells moved within the own region are not taken for others', () => {
    meet(bystander);
    // Everything lands 64 bytes further: votes of one slot in the place of the next.
    meet(attacker, (offer) =>
      bent(offer, (endpoint) => {
        endpoint.writeBigUInt64LE(endpoint.readBigUInt64LE(ADDRESS) + 64n, ADDRESS);
      }),
    );
    const seen = new Inbox();
    attacker.writeCell(vote(66));
    // The hint comes for a place that holds nothing.
    for (let i = 0; i < 20; i++) {
      attacker.poll(ALL, new Inbox());
      victim.wait(1_000);
      victim.poll(ALL, seen);
    }
    expect(seen.cells).to.eql([]);
    expectUntouched();
  });

  it('a peer that goes away in the middle costs nobody else anything', () => {
    meet(bystander);
    meet(attacker);
    attacker.writeLane(Buffer.alloc(1_000));
    attacker.destroy();
    const seen = new Inbox();
    for (let view = 1; view <= 30; view++) victim.writeCell(vote(view));
    victim.poll(ALL, seen);
    attacker = open(ATTACKER, 3);
    const atBystander = new Inbox();
    const isNewest = (): boolean => atBystander.cells.at(-1)?.view === 30;
    pollUntil(bystander, atBystander, isNewest, 'newest vote');
    expect(atBystander.faults).to.eql([]);
  });
});
