/** W3: what a VIEW-CHANGE and a NEW-VIEW must be to count. Each answers the reason why not, or undefined. */
import { isCertified } from './checkpoint.ts';
import { beginningOf, type CoreState } from './state.ts';
import type { NewView, PreparedCertificate, ViewChange } from './types.ts';

export function newViewFault(state: CoreState, newView: NewView): string | undefined {
  const { changes } = newView;
  if (changes.length !== state.quorum) return `it holds ${changes.length} VIEW-CHANGEs`;
  for (const change of changes) {
    // All for this view and by ascending signer, as the decoder has checked: so they are distinct.
    if (changes.some((other) => outdates(other, change))) {
      return `the VIEW-CHANGE of replica ${change.signer} is of a former life`;
    }
    const fault = viewChangeFault(state, change);
    if (fault !== undefined) return `the VIEW-CHANGE of replica ${change.signer}: ${fault}`;
  }
  return undefined;
}

/** J4: `a` knows that the signer of `b` has begun anew since. */
function outdates(a: ViewChange, b: ViewChange): boolean {
  return (a.lives[b.signer] as number) > (b.lives[b.signer] as number);
}

/**
 * `count` of them that know of no later life of one another: correct replicas always do not, so there are
 * enough in the end. Of two that contradict each other one is left out, then the other.
 */
export function compatibleChanges(
  changes: readonly ViewChange[],
  count: number,
): ViewChange[] | undefined {
  if (changes.length < count) return undefined;
  for (const a of changes) {
    const b = changes.find((other) => outdates(a, other));
    if (b === undefined) continue;
    const without = (out: ViewChange) => changes.filter((one) => one !== out);
    return compatibleChanges(without(b), count) ?? compatibleChanges(without(a), count);
  }
  return changes.slice(0, count);
}

export function viewChangeFault(state: CoreState, change: ViewChange): string | undefined {
  const { signer, checkpoint, reports, signature } = change;
  if (!state.signatures.verify(signer, state.digests.viewChange(change), signature)) {
    return 'its signature does not verify';
  }
  if (checkpoint !== undefined && !isCertified(state, checkpoint)) {
    return 'its checkpoint is not certified';
  }
  const base = checkpoint?.state.slot ?? beginningOf(state);
  if (base < beginningOf(state)) return 'its checkpoint lies before the run';
  for (const report of reports) {
    if (report.slot <= base) return 'it reports a slot below its checkpoint';
    if (report.slot > base + state.limits.windowSlots) return 'it reports a slot beyond its window';
    // That they tell of lower views only is the decoder's to check.
    const { prepared } = report;
    if (prepared !== undefined && !isPrepared(state, prepared)) {
      return `slot ${report.slot}: a certificate that does not verify`;
    }
  }
  return undefined;
}

/** S3: q valid PREPAREs of distinct signers. */
export function isPrepared(state: CoreState, certificate: PreparedCertificate): boolean {
  const { view, slot, digest, signatures } = certificate;
  if (signatures.length < state.quorum) return false;
  return signatures.every(({ signer, signature }) =>
    state.signatures.verify(signer, state.digests.prepare(signer, view, slot, digest), signature),
  );
}
