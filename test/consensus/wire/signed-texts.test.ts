/** What is hashed and signed, byte by byte: built here a second time, from the protocol's text. */
import { createHash } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { createDigests } from '../../../consensus/core/digests.ts';
import type { ViewChange } from '../../../consensus/core/index.ts';
import {
  encodeCheckpointState,
  encodeNewViewBody,
  encodeViewChangeBody,
} from '../../../consensus/wire/index.ts';
import { bytes, checkpointState, newView, REPLICAS, u64, viewChange } from './arbitraries.ts';

function sha256(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

const RUN = new Uint8Array(32).fill(9);
const digests = createDigests(RUN, REPLICAS, {
  sha256: (first, second, bytes = 32) =>
    sha256(first, second ?? new Uint8Array(0)).subarray(0, bytes),
  sign: () => new Uint8Array(64),
  verify: () => false,
});

function text(tag: string, ...parts: Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from(tag), RUN, ...parts]);
}

function u16Bytes(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16LE(value);
  return buffer;
}

const same = (a: Uint8Array, b: Uint8Array) => expect(Buffer.from(a)).to.eql(Buffer.from(b));
const signer = fc.integer({ min: 0, max: 0xffff });

describe('signed texts', () => {
  it('of a PREPARE name signer, view, slot and digest', () => {
    const view = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(signer, view, u64, bytes(24), (by, inView, slot, digest) => {
        const numbers = Buffer.alloc(12);
        numbers.writeUInt32LE(inView);
        numbers.writeBigUInt64LE(BigInt(slot), 4);
        const expected = text('sluice/prepare/2', u16Bytes(by), numbers, digest);
        same(digests.prepare(by, inView, slot, digest), expected);
      }),
    );
  });

  it('of a CHECKPOINT name the signer and the hash of the state', () => {
    fc.assert(
      fc.property(checkpointState, signer, (state, by) => {
        const digest = digests.checkpoint(state);
        same(digest, sha256(text('sluice/checkpoint/1', encodeCheckpointState(state))));
        expect(digest.buffer.byteLength).to.equal(32);
        const expected = text('sluice/checkpoint-signature/1', u16Bytes(by), digest);
        same(digests.checkpointText(by, digest), expected);
      }),
    );
  });

  it('of a VIEW-CHANGE and a NEW-VIEW are the hash of the body', () => {
    fc.assert(
      fc.property(viewChange, newView, (change, next) => {
        const changeHash = sha256(encodeViewChangeBody(change));
        same(digests.viewChange(change), text('sluice/view-change/1', changeHash));
        const newViewHash = sha256(encodeNewViewBody(next));
        same(digests.newView(next), text('sluice/new-view/1', newViewHash));
      }),
    );
  });

  it('do not depend on the signature that they are for', () => {
    fc.assert(
      fc.property(viewChange, bytes(64), (change, signature) => {
        const other: ViewChange = { ...change, signature };
        same(digests.viewChange(other), digests.viewChange(change));
      }),
    );
  });
});
