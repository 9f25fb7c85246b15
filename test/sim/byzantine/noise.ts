/** Silence at the worst moment, words for some only, old words, and plain damage. */
import { type Means, others, randomBytes, type Strategy } from './strategy.ts';

/** Stops in the middle: right after a proposal, a NEW-VIEW or a COMMIT that only some have been told of. */
export function worstSilence(means: Means): Strategy {
  const { random, nowMs } = means;
  let silentUntilMs = 0;
  const isSilent = (): boolean => nowMs() < silentUntilMs;
  const fallSilent = (chance: number): void => {
    if (random.chance(chance)) silentUntilMs = nowMs() + random.magnitude(20, 3_000);
  };
  return {
    cell(cell) {
      if (isSilent()) return undefined;
      if (cell.kind === 'proposal') fallSilent(0.05);
      if (cell.kind === 'commit') fallSilent(0.03);
      return cell;
    },
    message(message) {
      if (isSilent()) return undefined;
      if (message.kind === 'new-view') fallSilent(0.3);
      if (message.kind === 'view-change') fallSilent(0.1);
      return message;
    },
    batch: (batch) => (isSilent() ? undefined : batch),
  };
}

/** Speaks with some peers only, others now and then. */
export function favourites(means: Means): Strategy {
  const { random } = means;
  let deaf = new Set<number>();
  return {
    cell: (cell, to) => (deaf.has(to) ? undefined : cell),
    message: (message, to) => (deaf.has(to) ? undefined : message),
    batch: (batch, to) => (deaf.has(to) ? undefined : batch),
    act() {
      if (!random.chance(0.05)) return;
      deaf = new Set(random.shuffled(others(means)).slice(0, random.below(means.replicas)));
    },
  };
}

/** Writes old cells of its own again over newer ones, and says old messages again. */
export function oldCells(means: Means): Strategy {
  const { random, heard, say } = means;
  return {
    act() {
      for (const to of others(means)) {
        if (heard.ownCells.length > 0) say.frame(to, random.pick(heard.ownCells));
        if (heard.ownMessages.length > 0) say.message(to, random.pick(heard.ownMessages));
      }
    },
  };
}

/** Bits that flip in its own cells and messages; whole cells and messages of nonsense. */
export function damage(means: Means): Strategy {
  const { random, heard, say } = means;
  return {
    act() {
      const to = random.below(means.replicas);
      if (to === means.self) return;
      if (heard.ownCells.length > 0) {
        const { kind, slot, view, flags, body } = random.pick(heard.ownCells);
        const flipped = body.slice();
        const at = random.below(flipped.length);
        flipped[at] = (flipped[at] as number) ^ (1 << random.below(8));
        const wild = random.chance(0.2);
        say.frame(to, {
          kind,
          slot: wild ? random.below(2 ** 40) : slot,
          view: wild ? random.below(2 ** 32) : view,
          flags: wild ? random.below(256) : flags,
          body: random.chance(0.7) ? flipped : body,
        });
      }
      say.bytes(to, randomBytes(random, random.integer(0, 300)));
      const message = heard.ownMessages.at(-1);
      if (message !== undefined) say.message(to, message);
    },
  };
}

/**
 * Writes into memory where another's votes live: what that one wrote, in another view; or any vote in its name. That
 * nothing comes of it is what the MACs are for.
 */
export function spoofedCells(means: Means): Strategy {
  const { random, heard, say, conspiracy } = means;
  return {
    act() {
      const state = means.state();
      if (state === undefined || heard.votes.length === 0) return;
      for (let count = random.integer(1, 6); count > 0; count--) {
        const { from, cell } = random.pick(heard.votes);
        if (cell.kind !== 'vote' && cell.kind !== 'commit') continue;
        const to = random.below(means.replicas);
        if (to === means.self || to === from) continue;
        const view = random.pick([cell.view, state.view, state.view + 1]);
        const digest = conspiracy.faceOf(cell.digest)?.digest ?? cell.digest;
        say.spoofed(from, to, { ...cell, view }, cell);
        say.spoofed(from, to, { ...cell, kind: 'commit', view, digest }, cell);
        say.spoofed(from, to, { ...cell, kind: 'vote', view, digest }, cell);
      }
    },
  };
}
