/** Rule L4: the held tip of a lane, the end of the chain of valid batches from what is executed. */
import { equalBytes } from './bytes.ts';
import { type LaneState, nextValid } from './lane-store.ts';
import { noteNews } from './progress.ts';
import type { CoreState } from './state.ts';

/** L4, when the chain may go another way than before. */
export function retip(state: CoreState, lane: LaneState): void {
  const before = lane.tip;
  lane.tip = lane.executed;
  let isKept = before.seq <= lane.executed.seq;
  for (let next = nextValid(lane, lane.tip); next !== undefined; next = nextValid(lane, lane.tip)) {
    lane.tip = next.ref;
    if (equalBytes(next.ref.digest, before.digest)) isKept = true;
  }
  // What peers have reported to hold of the other chain says nothing of this one (P1).
  if (!isKept) for (const peer of state.peers) peer.coveredSeq[lane.lane] = 0;
  if (equalBytes(lane.tip.digest, before.digest)) return;
  noteNews(state);
}

/** L4. */
export function advanceTip(state: CoreState, lane: LaneState): void {
  const before = lane.tip;
  for (;;) {
    const next = nextValid(lane, lane.tip);
    if (next === undefined) break;
    lane.tip = next.ref;
  }
  if (lane.tip === before) return;
  noteNews(state);
}
