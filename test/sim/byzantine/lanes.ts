/** Lies about batches: two for one number, none for some, worthless ones, too many. */
import type { Batch } from '../../../consensus/core/index.ts';
import { encodeEnvelopeList } from '../../../consensus/wire/index.ts';
import { type Means, others, randomBytes, type Strategy } from './strategy.ts';

/** A lane that forks: some are sent another batch of the same number, and what continues it. */
export function forkedLane(means: Means): Strategy {
  const { random, conspiracy, transactions } = means;
  /** Digest of its last batch on the other branch. */
  let tip: { seq: number; digest: Uint8Array } | undefined;
  let branch: Batch | undefined;
  const other = (batch: Batch): Batch => {
    if (branch?.seq === batch.seq) return branch;
    const continues = tip !== undefined && tip.seq === batch.seq - 1 && random.chance(0.7);
    const previous = continues && tip !== undefined ? tip.digest : batch.previous;
    const payload = encodeEnvelopeList([
      transactions.envelope(random.below(Math.max(1, transactions.issued))),
    ]);
    branch = { ...batch, previous, payload };
    const digest = means.state()?.digests.batch(batch.lane, batch.seq, previous, payload);
    tip = digest && { seq: batch.seq, digest };
    return branch;
  };
  return {
    batch: (batch, to) =>
      transactions.issued > 0 && conspiracy.isOtherSide(to) ? other(batch) : batch,
    message(message, to) {
      if (message.kind !== 'batch' || message.batch.lane !== means.self) return message;
      const isOther = transactions.issued > 0 && conspiracy.isOtherSide(to) && random.chance(0.5);
      return isOther ? { ...message, batch: other(message.batch) } : message;
    },
  };
}

/** Tells some peers, or all but one, nothing of its batches, and answers nobody who asks. */
export function withheldBatches(means: Means): Strategy {
  const { random } = means;
  let told = new Set(others(means).slice(0, random.integer(0, means.faults + 1)));
  return {
    batch: (batch, to) => (told.has(to) ? batch : undefined),
    message: (message, to) => (message.kind === 'batch' && !told.has(to) ? undefined : message),
    act() {
      if (!random.chance(0.1)) return;
      told = new Set(random.shuffled(others(means)).slice(0, random.integer(0, means.replicas)));
    },
  };
}

/** Batches with transactions that no client signed, or with no transactions at all. */
export function worthlessBatches(means: Means): Strategy {
  const { random, transactions } = means;
  const spoil = (batch: Batch): Batch => {
    if (random.chance(0.6)) return batch;
    const forged = encodeEnvelopeList([transactions.forged(random.below(1_000))]);
    const payload = random.pick([forged, randomBytes(random, 20), new Uint8Array([0, 0, 0, 0])]);
    return { ...batch, payload };
  };
  return {
    batch: spoil,
    message: (message) =>
      message.kind === 'batch' ? { ...message, batch: spoil(message.batch) } : message,
  };
}

/** Fills its lane far beyond what anybody may hold, and asks for everything, all the time. */
export function flood(means: Means): Strategy {
  const { random, self, replicas, say } = means;
  let seq = 1;
  return {
    act() {
      const to = random.below(replicas);
      if (to === self) return;
      const state = means.state();
      for (let count = random.integer(1, 30); count > 0; count--) {
        const previous = randomBytes(random, 32);
        const payload = randomBytes(random, random.integer(1, 200));
        say.batch(to, { lane: self, seq: ++seq + (state?.executed.slot ?? 0), previous, payload });
      }
      const ref = { seq: random.integer(1, 50), digest: randomBytes(random, 32) };
      say.message(to, { kind: 'fetch-batch', lane: random.below(replicas), ref, after: 0 });
      say.message(to, { kind: 'fetch-decided', fromSlot: 1, toSlot: 2 ** 40 });
      const digest = randomBytes(random, 24);
      const top = (state?.executed.slot ?? 0) + random.integer(1, 100);
      for (const kind of ['vote', 'commit'] as const) {
        say.cell(to, { kind, view: (state?.view ?? 0) + random.below(3), slot: top, digest });
      }
    },
  };
}
