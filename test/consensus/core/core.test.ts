import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  CoreError,
  createCore,
  DEFAULT_LIMITS,
  type Effect,
} from '../../../consensus/core/index.ts';
import {
  cellBodyBytes,
  encodeLaneBatch,
  writeProposalBody,
} from '../../../consensus/wire/index.ts';
import { testCrypto } from '../support/crypto.ts';
import { RUN_ID } from '../support/replica.ts';
import { createSolo, EMPTY } from '../support/solo.ts';

function summary(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => {
    if (effect.kind === 'persist') return [`${effect.record.kind} stored`];
    if (effect.kind !== 'write-cell') return [effect.kind];
    return effect.cell.kind === 'progress' ? [] : [effect.cell.kind];
  });
}

describe('the core', () => {
  it('of a lone replica decides within the step', () => {
    const solo = createSolo(0, 1);
    solo.tick(0);
    const said = solo.step({ kind: 'submit', payload: Buffer.from('a') });
    expect(summary(said)).to.eql([
      'batch stored',
      'write-batch',
      'vote stored',
      'vote',
      'proposal',
      'deliver',
    ]);
  });

  it('begins with a log', () => {
    const [first] = createSolo(1).tick(0);
    const records = [{ kind: 'checkpoint', certificate: undefined }];
    expect(first).to.eql({ kind: 'rotate-log', records });
  });

  it('stores before it says: batch, vote, then proposal; PREPAREs after the vote', () => {
    const solo = createSolo(0);
    solo.tick(0);
    const said = solo.step({ kind: 'submit', payload: Buffer.from('a') });
    const order = ['batch stored', 'write-batch', 'vote stored', 'vote', 'proposal'];
    expect(summary(said)).to.eql(order);
    solo.openAll();
    const sends = solo.effects.flatMap((effect) => (effect.kind === 'send' ? [effect] : []));
    expect(sends.map(({ to, message }) => [to, message.kind])).to.deep.include([1, 'prepare']);
  });

  it('stores what it votes for, batches first, and the certificate before the COMMIT', () => {
    const solo = createSolo(1);
    solo.openAll();
    const content = solo.content(1, { 2: solo.batch(2, EMPTY, 'a') });
    expect(summary(solo.propose(content)).slice(0, 3)).to.eql([
      'batch stored',
      'vote stored',
      'vote',
    ]);
    for (const from of [0, 2]) {
      solo.message(from, {
        kind: 'prepare',
        request: true,
        prepare: solo.prepareOf(from, content),
      });
    }
    const last = summary(solo.effects).slice(-2);
    expect(last).to.eql(['prepared stored', 'commit']);
  });

  it('wants no tick alone, or while nobody is connected', () => {
    const alone = createSolo(0, 1);
    expect(alone.core.nextTickMs()).to.equal(Infinity);
    expect(alone.tick(0)).to.have.length(1);
    expect(alone.tick(1e9)).to.eql([]);
    expect(alone.core.nextTickMs()).to.equal(Infinity);
    const cutOff = createSolo(1);
    cutOff.tick(0);
    expect(cutOff.core.nextTickMs()).to.equal(Infinity);
  });

  it('wakes an idle leader for its heartbeats, and followers to listen for them', () => {
    const leader = createSolo(0);
    leader.openAll();
    leader.live(500);
    expect(leader.cells('progress')).to.have.length.within(10, 12);
    expect(leader.effects.every(({ kind }) => kind !== 'send')).to.equal(true);
    const follower = createSolo(1);
    follower.openAll();
    const wokenIn = follower.core.nextTickMs() - follower.nowMs;
    expect(wokenIn).to.be.within(1, 100);
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
      baseHeight: 1,
      baseHash: new Uint8Array(32),
      batchTimeoutMs: 1,
      limits: DEFAULT_LIMITS,
      entry: { kind: 'begin' } as const,
    };
    for (const wrong of [
      { self: 4 },
      { replicas: 0 },
      { runId: new Uint8Array(31) },
      { firstSlot: 0 },
      { baseTimeMs: -1 },
      { baseHeight: 0 },
      { baseHash: new Uint8Array(31) },
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
    const body = new Uint8Array(cellBodyBytes('proposal', proposal.frontier.length));
    writeProposalBody(body, 0, proposal);
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
