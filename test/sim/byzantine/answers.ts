/** Lies in what others ask for, and in what a replica says of itself. */
import type {
  CheckpointCertificate,
  CheckpointState,
  Message,
  Proposal,
} from '../../../consensus/core/index.ts';
import { type Means, others, randomBytes, type Strategy } from './strategy.ts';

/** Claims to be far ahead or behind, and to hold what it does not. */
export function lyingProgress(means: Means): Strategy {
  const { random } = means;
  return {
    cell(cell) {
      if (cell.kind !== 'progress' || random.chance(0.3)) return cell;
      const leap = random.pick([0, 1, 5, 64, 1_000, 2 ** 40]);
      const held = cell.held.map((tip) =>
        random.chance(0.3)
          ? { seq: tip.seq + random.integer(1, 5), digest: randomBytes(random, 32) }
          : tip,
      );
      return { ...cell, appliedSlot: cell.appliedSlot + leap, held, mute: random.chance(0.2) };
    },
  };
}

/** Answers with contents that nobody decided, all liars the same; and tells of them unasked. */
export function lyingAnswers(means: Means): Strategy {
  const { random, conspiracy } = means;
  const other = (proposal: Proposal): Proposal => {
    const digest = means.state()?.digests.proposal(proposal);
    const face = digest && conspiracy.faceOf(digest);
    return face?.proposal ?? { ...proposal, timeMs: proposal.timeMs + 1 };
  };
  return {
    message(message) {
      if (message.kind !== 'decided' && message.kind !== 'proposal') return message;
      return random.chance(0.7) ? { ...message, proposal: other(message.proposal) } : message;
    },
    act() {
      const proposal = means.heard.proposals.at(-1);
      if (proposal === undefined) return;
      for (const to of others(means)) {
        if (random.chance(0.3)) {
          means.say.message(to, { kind: 'decided', proposal: other(proposal) });
        }
      }
    },
  };
}

/** Signs states that it does not have; tells joiners that nothing has happened, or everything. */
export function lyingCheckpoints(means: Means): Strategy {
  const { random, heard } = means;
  return {
    message(message) {
      switch (message.kind) {
        case 'checkpoint':
          return random.chance(0.5)
            ? (otherState(means, message.checkpoint.state) ?? message)
            : message;
        case 'stable-checkpoint': {
          const namedSlot = random.pick([0, message.namedSlot, message.namedSlot + 500, 2 ** 50]);
          const certificate = random.pick([message.certificate, undefined, heard.checkpoints[0]]);
          const forged =
            certificate && random.chance(0.3)
              ? {
                  ...certificate,
                  state: bent(means, certificate.state),
                }
              : certificate;
          return { ...message, namedSlot, certificate: forged };
        }
        case 'fetch-checkpoint':
          return { ...message, life: message.life + random.below(3), ready: random.chance(0.5) };
        default:
          return message;
      }
    },
    act() {
      const known = heard.checkpoints.at(-1);
      if (known === undefined || !random.chance(0.3)) return;
      const { state } = known;
      tellForged(means, known);
      const slot = state.slot + random.pick([0, 1, 4, 8, 16]);
      const lie = otherState(means, { ...state, slot });
      if (lie === undefined) return;
      for (const to of others(means)) if (random.chance(0.5)) means.say.message(to, lie);
    },
  };
}

/** Of the right slot, but not what was signed. */
function bent({ random }: Means, state: CheckpointState): CheckpointState {
  return random.chance(0.5)
    ? { ...state, tipHash: randomBytes(random, 32) }
    : { ...state, height: state.height + 1 };
}

/** A state that nobody reached, with signatures of another one. */
function tellForged(means: Means, known: CheckpointCertificate): void {
  const { random, say } = means;
  const ahead = random.pick([1, 4, 8, 1_000]);
  const { state, signatures } = known;
  const forged = random.chance(0.3)
    ? bent(means, state)
    : { ...state, slot: state.slot + ahead, height: state.height + ahead };
  const certificate = { state: forged, signatures };
  const life = means.state()?.lives[means.self] ?? 0;
  for (const to of others(means)) {
    const message = {
      kind: 'stable-checkpoint',
      certificate,
      namedSlot: forged.slot,
      life,
    } as const;
    if (random.chance(0.3)) say.message(to, message);
  }
}

function otherState(means: Means, state: CheckpointState): Message | undefined {
  const digests = means.state()?.digests;
  if (digests === undefined) return undefined;
  const { random, self, sign } = means;
  const changed: CheckpointState = random.chance(0.5)
    ? { ...state, tipHash: randomBytes(random, 32) }
    : { ...state, timeMs: state.timeMs + 1 };
  const signature = sign(digests.checkpointText(self, digests.checkpoint(changed)));
  return { kind: 'checkpoint', checkpoint: { state: changed, signer: self, signature } };
}
