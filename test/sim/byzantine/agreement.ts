/** Lies about slots: two contents for one, two votes, times and frontiers that no correct leader proposes. */
import type {
  BatchRef,
  Cell,
  Digest24,
  Message,
  Prepare,
  Proposal,
} from '../../../consensus/core/index.ts';
import { encodeEnvelopeList } from '../../../consensus/wire/index.ts';
import { type Means, randomBytes, type Strategy } from './strategy.ts';

/** Shows one side another content for each slot that it leads, and stands to each face: votes, PREPAREs, COMMITs. */
export function twoFaces(means: Means): Strategy {
  const { conspiracy, random } = means;
  const digestFor = (digest: Digest24, to: number): Digest24 => {
    const face = conspiracy.isOtherSide(to) ? conspiracy.faceOf(digest) : undefined;
    return face?.digest ?? digest;
  };
  return {
    cell(cell, to) {
      if (cell.kind === 'progress') return cell;
      if (cell.kind !== 'proposal') return { ...cell, digest: digestFor(cell.digest, to) };
      const state = means.state();
      if (state === undefined) return cell;
      const digest = state.digests.proposal(cell.proposal);
      if (conspiracy.faceOf(digest) === undefined) {
        const proposal = alter(means, cell.proposal);
        conspiracy.addFace(digest, { proposal, digest: state.digests.proposal(proposal) });
      }
      const face = conspiracy.isOtherSide(to) ? conspiracy.faceOf(digest) : undefined;
      return face === undefined ? cell : { ...cell, proposal: face.proposal };
    },
    message(message, to) {
      if (message.kind !== 'prepare') return message;
      const { prepare } = message;
      const digest = digestFor(prepare.digest, to);
      if (digest === prepare.digest) return message;
      const signed = signPrepare(means, prepare, digest);
      return signed === undefined ? message : { ...message, prepare: signed };
    },
    act() {
      if (random.chance(0.1)) conspiracy.redraw();
    },
  };
}

/** Another content that a correct replica can vote for as well. */
function alter({ random, state }: Means, proposal: Proposal): Proposal {
  const roll = random.next();
  if (roll < 0.3) return { ...proposal, timeMs: proposal.timeMs + 1 };
  if (roll < 0.6) return { ...proposal, cut: !proposal.cut };
  // One lane stays where it was.
  const before = state()?.executed.frontier;
  if (before === undefined) return { ...proposal, timeMs: proposal.timeMs + 1 };
  const lane = random.below(proposal.frontier.length);
  const frontier = proposal.frontier.map((tip, index) =>
    index === lane ? (before[index] as BatchRef) : tip,
  );
  return { ...proposal, frontier, timeMs: proposal.timeMs + 2 };
}

export function signPrepare(
  { self, sign, state }: Means,
  prepare: Pick<Prepare, 'view' | 'slot'>,
  digest: Digest24,
): Prepare | undefined {
  const { view, slot } = prepare;
  const digests = state()?.digests;
  if (digests === undefined) return undefined;
  const signature = sign(digests.prepare(self, view, slot, digest));
  return { view, slot, digest, signer: self, signature };
}

/** Votes at random for what nobody proposed, or for nothing; signs PREPAREs for several digests. */
export function splitVotes(means: Means): Strategy {
  const { random } = means;
  return {
    cell(cell) {
      if (cell.kind !== 'vote' && cell.kind !== 'commit') return cell;
      const roll = random.next();
      if (roll < 0.2) return undefined;
      return roll < 0.5 ? { ...cell, digest: randomBytes(random, 24) } : cell;
    },
    message(message) {
      if (message.kind !== 'prepare' || random.chance(0.6)) return message;
      const prepare = signPrepare(means, message.prepare, randomBytes(random, 24));
      return prepare === undefined ? message : { ...message, prepare };
    },
  };
}

/** COMMITs and PREPAREs of what it never saw prepared: for any content that it has heard of. */
export function eagerCommits(means: Means): Strategy {
  const { heard, random, say } = means;
  return {
    cell(cell, to) {
      const state = means.state();
      if (cell.kind !== 'proposal' && cell.kind !== 'vote') return cell;
      if (state === undefined || !random.chance(0.3)) return cell;
      const slot = cell.kind === 'vote' ? cell.slot : cell.proposal.slot;
      const digest = cell.kind === 'vote' ? cell.digest : state.digests.proposal(cell.proposal);
      say.cell(to, { kind: 'commit', view: cell.view, slot, digest });
      return cell;
    },
    act() {
      const state = means.state();
      const proposal = heard.proposals.at(-1);
      if (state === undefined || proposal === undefined) return;
      const digest = state.digests.proposal(proposal);
      const to = random.below(means.replicas);
      if (to === means.self) return;
      const { view } = state;
      say.cell(to, { kind: 'commit', view, slot: proposal.slot, digest });
      const prepare = signPrepare(means, { view, slot: proposal.slot }, digest);
      if (prepare !== undefined) say.message(to, { kind: 'prepare', request: true, prepare });
    },
  };
}

/** Moves ordered time: as far ahead as it may, further, and back. */
export function timeGames(means: Means): Strategy {
  const { random } = means;
  const shifts = [1_500, 1_990, 2_500, 100_000, -1, -5_000, 2 ** 40];
  return leaderLies(means, (proposal) => {
    const timeMs = Math.max(0, proposal.timeMs + random.pick(shifts));
    return random.chance(0.5) ? { ...proposal, timeMs } : proposal;
  });
}

/** Leaves the lanes of some out for ever. */
export function censor(means: Means): Strategy {
  const victims = new Set([means.random.below(means.replicas), means.random.below(means.replicas)]);
  const last = new Map<number, BatchRef>();
  return leaderLies(means, (proposal) => ({
    ...proposal,
    frontier: proposal.frontier.map((tip, lane) => {
      if (!victims.has(lane)) return tip;
      const kept = last.get(lane) ?? means.state()?.executed.frontier[lane] ?? tip;
      last.set(lane, kept);
      return kept;
    }),
  }));
}

/** Names batches that nobody made, that do not fit together, or too many at once; hands out what it made up. */
export function badFrontiers(means: Means): Strategy {
  const { random, conspiracy, say, transactions } = means;
  const lies = leaderLies(means, (proposal) => {
    const state = means.state();
    if (state === undefined || transactions.issued === 0 || random.chance(0.6)) return proposal;
    const lane = random.below(proposal.frontier.length);
    const tip = proposal.frontier[lane] as BatchRef;
    const payload = encodeEnvelopeList([transactions.envelope(random.below(transactions.issued))]);
    const invented = conspiracy.inventBatch(state, lane, tip, payload);
    const tips: BatchRef[] = [
      invented,
      invented,
      { seq: tip.seq, digest: randomBytes(random, 32) },
      { seq: 1_000_000, digest: randomBytes(random, 32) },
      { seq: Math.max(1, tip.seq - 1), digest: randomBytes(random, 32) },
    ];
    const told = random.pick(tips);
    const frontier = proposal.frontier.map((other, index) => (index === lane ? told : other));
    return { ...proposal, frontier };
  });
  return {
    ...lies,
    hear(input) {
      if (input.kind !== 'message' || input.message.kind !== 'fetch-batch') return;
      const batch = conspiracy.inventedBatch(input.message.ref.digest);
      if (batch !== undefined) say.message(input.from, { kind: 'batch', batch });
    },
  };
}

/** The same altered content to everybody, and votes for it. */
function leaderLies(means: Means, change: (proposal: Proposal) => Proposal): Strategy {
  /** By the digest of the true content: what was said instead. */
  const instead = new Map<string, { proposal: Proposal; digest: Digest24 }>();
  const lieFor = (proposal: Proposal): { proposal: Proposal; digest: Digest24 } | undefined => {
    const digests = means.state()?.digests;
    if (digests === undefined) return undefined;
    const key = Buffer.from(digests.proposal(proposal)).toString('hex');
    let lie = instead.get(key);
    if (lie === undefined) {
      const changed = change(proposal);
      lie = { proposal: changed, digest: digests.proposal(changed) };
      if (instead.size > 64) instead.clear();
      instead.set(key, lie);
    }
    return lie;
  };
  const digestOf = (digest: Digest24): Digest24 =>
    instead.get(Buffer.from(digest).toString('hex'))?.digest ?? digest;
  return {
    cell(cell: Cell) {
      if (cell.kind === 'progress') return cell;
      if (cell.kind !== 'proposal') return { ...cell, digest: digestOf(cell.digest) };
      const lie = lieFor(cell.proposal);
      return lie === undefined ? cell : { ...cell, proposal: lie.proposal };
    },
    message(message: Message) {
      if (message.kind !== 'prepare') return message;
      const digest = digestOf(message.prepare.digest);
      if (digest === message.prepare.digest) return message;
      const prepare = signPrepare(means, message.prepare, digest);
      return prepare === undefined ? message : { ...message, prepare };
    },
  };
}
