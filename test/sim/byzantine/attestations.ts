/** Lies about who has checked what (A1 to A5). That nobody here ever looks at a signature is the orderer's part: `UNSIGNED_WORK`. */
import type { Batch, Message } from '../../../consensus/core/index.ts';
import { type Means, others, randomBytes, type Strategy } from './strategy.ts';

type Attestation = Extract<Message, { kind: 'attest' }>;

function attestationOf(means: Means, batch: Batch): Attestation | undefined {
  const { lane, seq, previous, payload } = batch;
  const digest = means.state()?.digests.batch(lane, seq, previous, payload);
  return digest && { kind: 'attest', lane, ref: { seq, digest } };
}

/** Attests whatever comes, at once and more than once, checker or not, in its own lane too; and what nobody has made. */
export function lyingAttestations(means: Means): Strategy {
  const { random, say } = means;
  const tell = (to: number, attestation: Attestation | undefined): void => {
    if (attestation === undefined) return;
    for (let times = random.integer(1, 3); times > 0; times--) say.message(to, attestation);
  };
  return {
    batch(batch, to) {
      tell(to, attestationOf(means, batch));
      return batch;
    },
    hear(input) {
      if (input.kind !== 'lane-batch') return;
      const attestation = attestationOf(means, input.batch);
      for (const to of others(means)) tell(to, attestation);
    },
    act() {
      const state = means.state();
      if (state === undefined || random.chance(0.5)) return;
      const lane = random.below(means.replicas);
      const near = (state.lanes[lane]?.executed.seq ?? 0) + random.integer(1, 4);
      const seq = random.pick([near, near, near + 1_000, 2 ** 53 - 1]);
      const known = means.heard.batches.at(-1);
      const digest = randomBytes(random, 32);
      for (const to of others(means)) {
        if (random.chance(0.5)) say.message(to, { kind: 'attest', lane, ref: { seq, digest } });
        if (known !== undefined) tell(to, attestationOf(means, known));
      }
    },
  };
}

const KEPT_MAX = 64;

/** Attests late, or never, or to some only. */
export function lateAttestations(means: Means): Strategy {
  const { random, say } = means;
  const kept: { readonly to: number; readonly attestation: Attestation }[] = [];
  return {
    message(message, to) {
      if (message.kind !== 'attest' || random.chance(0.2)) return message;
      if (random.chance(0.6)) kept.push({ to, attestation: message });
      if (kept.length > KEPT_MAX) kept.shift();
      return undefined;
    },
    act() {
      for (const { to, attestation } of kept.splice(0)) say.message(to, attestation);
    },
  };
}
