/**
 * D3: what of the own log is still alive. At a new base the log is written anew with it, so that it never holds
 * more than the window.
 */
import type { CoreState } from './state.ts';
import type { BatchRef, LogRecord } from './types.ts';

/** The log of a replica that stands where it stands now. A mute one has none: it must not be restored (J3). */
export function rotateLog(state: CoreState): void {
  if (state.mute !== undefined) return;
  state.views.logged = 0;
  state.effects.push({ kind: 'rotate-log', records: liveRecords(state) });
}

/** Views that come and go without a checkpoint must not fill the log: it is written anew now and then. */
const VIEWS_LOGGED_MAX = 32;

/** The state of the views has become this; on disk before what follows from it. */
export function logView(
  state: CoreState,
  record: Extract<LogRecord, { kind: 'view-change' | 'new-view' }>,
): void {
  if (state.mute !== undefined) return;
  if (++state.views.logged > VIEWS_LOGGED_MAX) rotateLog(state);
  else state.effects.push({ kind: 'persist', record });
}

function liveRecords(state: CoreState): LogRecord[] {
  const { base } = state.checkpoints;
  const records: LogRecord[] = [{ kind: 'checkpoint', certificate: base.certificate }];
  const { stable } = state.checkpoints;
  if (stable.slot > base.slot && stable.certificate !== undefined) {
    records.push({ kind: 'stable', certificate: stable.certificate });
  }
  if (state.lives.some((life) => life > 0))
    records.push({ kind: 'lives', lives: [...state.lives] });
  const view = viewRecord(state);
  if (view !== undefined) records.push(view);
  pushBatches(state, records);
  for (const slotRecord of state.slots.records) {
    if (slotRecord === undefined || slotRecord.slot <= base.slot) continue;
    const { vote, prepared } = slotRecord;
    if (prepared !== undefined) records.push({ kind: 'prepared', certificate: prepared });
    if (vote !== undefined) {
      records.push({ kind: 'vote', view: vote.view, proposal: vote.proposal });
    }
  }
  return records;
}

function viewRecord(state: CoreState): LogRecord | undefined {
  const { own, newView } = state.views;
  if (own !== undefined) return { kind: 'view-change', viewChange: own };
  // However old its outcomes: were all to restart, nobody else could show it to one who missed it (W8).
  return newView && { kind: 'new-view', newView };
}

/** Batches above the base: executed ones too, since a restart executes them again. */
function pushBatches(state: CoreState, records: LogRecord[]): void {
  const frontier = state.checkpoints.base.certificate?.state.frontier;
  for (const lane of state.lanes) {
    const after = (frontier?.[lane.lane] as BatchRef | undefined)?.seq ?? 0;
    const seqs: number[] = [];
    for (const seq of lane.batches.keys()) if (seq > after) seqs.push(seq);
    seqs.sort((a, b) => a - b);
    for (const seq of seqs) {
      for (let held = lane.batches.get(seq); held !== undefined; held = held.sibling) {
        if (held.logged && !held.dead) records.push({ kind: 'batch', batch: held.batch });
      }
    }
  }
}
