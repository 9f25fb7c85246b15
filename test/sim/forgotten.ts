/** Holds a core to its word that nothing after a `forget-batch` has the bytes of the batch: the real loop frees them. */
import type { Batch, Effect } from '../../consensus/core/index.ts';

export class Forgotten {
  readonly #batches = new WeakSet<Batch>();

  /** Throws when the effect has a batch that was forgotten before it. */
  note(effect: Effect): void {
    if (effect.kind === 'forget-batch') {
      if (this.#batches.has(effect.batch)) throw new Error('a batch is forgotten twice');
      this.#batches.add(effect.batch);
      return;
    }
    for (const { lane, seq } of batchesIn(effect).filter((batch) => this.#batches.has(batch))) {
      throw new Error(`${effect.kind} of batch ${seq} of lane ${lane}, which was forgotten before`);
    }
  }
}

function batchesIn(effect: Effect): Batch[] {
  switch (effect.kind) {
    case 'write-batch':
    case 'check-batch':
      return [effect.batch];
    case 'send':
      return effect.message.kind === 'batch' ? [effect.message.batch] : [];
    case 'persist':
      return effect.record.kind === 'batch' ? [effect.record.batch] : [];
    case 'rotate-log':
      return effect.records.flatMap((record) => (record.kind === 'batch' ? [record.batch] : []));
    default:
      return [];
  }
}
