import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { CoreError, createCore, DEFAULT_LIMITS } from '../../../consensus/core/index.ts';
import { encodeLaneBatch, encodeProposalBody } from '../../../consensus/wire/index.ts';
import { testCrypto } from '../support/crypto.ts';
import { RUN_ID } from '../support/replica.ts';
import { createSolo, EMPTY } from '../support/solo.ts';

const kinds = (effects: readonly { kind: string }[]) => effects.map(({ kind }) => kind);

describe('the core', () => {
  it('of a lone replica decides within the step', () => {
    const solo = createSolo(0, 1);
    const said = solo.step({ kind: 'submit', payload: Buffer.from('a') });
    const what = said.map((effect) =>
      effect.kind === 'write-cell' ? effect.cell.kind : effect.kind,
    );
    expect(what).to.eql(['write-batch', 'proposal', 'vote', 'deliver']);
  });

  it('says a proposal before the vote for it, and a vote before the PREPARE', () => {
    const solo = createSolo(0);
    const said = solo.step({ kind: 'submit', payload: Buffer.from('a') });
    expect(kinds(said).slice(0, 3)).to.eql(['write-batch', 'write-cell', 'write-cell']);
    solo.openAll();
    const sends = solo.effects.flatMap((effect) => (effect.kind === 'send' ? [effect] : []));
    expect(sends.map(({ to, message }) => [to, message.kind])).to.deep.include([1, 'prepare']);
  });

  it('wants no tick while there is nothing to do', () => {
    const solo = createSolo(0);
    expect(solo.core.nextTickMs()).to.equal(Infinity);
    solo.openAll();
    expect(solo.core.nextTickMs()).to.equal(Infinity);
    expect(solo.tick(1e9)).to.eql([]);
    solo.step({ kind: 'submit', payload: Buffer.from('a') });
    expect(solo.core.nextTickMs()).to.be.within(solo.nowMs, solo.nowMs + 50);
  });

  it('counts a clock that steps back as time that stands still', () => {
    const solo = createSolo(0);
    solo.openAll();
    solo.step({ kind: 'submit', payload: Buffer.from('a') });
    const dueInMs = solo.core.nextTickMs() - solo.nowMs;
    solo.tick(-3_600_000);
    expect(solo.core.nextTickMs() - solo.nowMs).to.equal(dueInMs);
  });

  it('refuses what its own caller does wrong', () => {
    const solo = createSolo(1, 4, { ownBatchesPendingMax: 2, batchBytesMax: 10 });
    const submit = (bytes: number) => () =>
      solo.step({ kind: 'submit', payload: new Uint8Array(bytes) });
    expect(submit(0)).to.throw(CoreError, 'payload').with.property('code', 'invalid_input');
    expect(submit(11)).to.throw(CoreError, 'payload');
    submit(10)();
    submit(10)();
    expect(submit(10)).to.throw(CoreError, 'wait until own batches');
    const applied = () => solo.step({ kind: 'applied', slot: 1, blocksUncertified: 0 });
    expect(applied).to.throw(CoreError, 'applied');
  });

  it('refuses options that contradict each other', () => {
    const options = {
      self: 0,
      replicas: 4,
      runId: RUN_ID,
      firstSlot: 1,
      baseTimeMs: 0,
      batchTimeoutMs: 1,
      limits: DEFAULT_LIMITS,
    };
    for (const wrong of [
      { self: 4 },
      { replicas: 0 },
      { runId: new Uint8Array(31) },
      { firstSlot: 0 },
      { baseTimeMs: -1 },
      { batchTimeoutMs: 0 },
      { limits: { ...DEFAULT_LIMITS, windowSlots: 1 } },
    ]) {
      expect(() => createCore({ ...options, ...wrong }, testCrypto(0)))
        .to.throw(CoreError)
        .with.property('code', 'invalid_options');
    }
  });

  it('hashes what docs/protocol.md says', () => {
    const { state } = createSolo(0);
    const sha256 = (...parts: (Uint8Array | string)[]) => {
      const hash = createHash('sha256');
      for (const part of parts) hash.update(part);
      return hash.digest();
    };
    const previous = new Uint8Array(32).fill(3);
    const payload = Buffer.from('payload');
    const frame = encodeLaneBatch({ lane: 2, seq: 5, previous, payload });
    const digest = sha256('sluice/batch/1', RUN_ID, Buffer.from([2, 0]), sha256(frame));
    expect(Buffer.from(state.digests.batch(2, 5, previous, payload))).to.eql(digest);
    const given = state.digests.batch(2, 5, previous, payload, sha256(frame));
    expect(Buffer.from(given)).to.eql(digest);
    const tip = { seq: 5, digest };
    const proposal = { slot: 7, timeMs: 9, cut: true, frontier: [EMPTY, tip, EMPTY, EMPTY] };
    const body = encodeProposalBody(proposal);
    const slot = Buffer.alloc(8);
    slot.writeBigUInt64LE(7n);
    const text = [RUN_ID, slot, Buffer.from([1]), body];
    expect(Buffer.from(state.digests.proposal(proposal))).to.eql(
      sha256('sluice/proposal/1', ...text).subarray(0, 24),
    );
  });

  it('imports nothing from outside of core and wire', () => {
    for (const folder of ['core', 'wire']) {
      const path = join(process.cwd(), 'consensus', folder);
      for (const file of readdirSync(path).filter((name) => name.endsWith('.ts'))) {
        const source = readFileSync(join(path, file), 'utf8');
        for (const [, from] of source.matchAll(/from '([^']+)'/g)) {
          expect(from, `${folder}/${file}`).to.match(
            /^\.\/[a-z-]+\.ts$|^\.\.\/(core|wire)\/[a-z-]+\.ts$/,
          );
        }
      }
    }
  });
});
