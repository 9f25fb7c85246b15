/** What happened in a run, counted: a simulation in which nothing goes wrong shows nothing. */
import type { Effect, Input } from '../../consensus/core/index.ts';

export class Coverage {
  readonly counts = new Map<string, number>();

  count(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  add(other: Iterable<readonly [string, number]>): void {
    for (const [what, times] of other) this.count(what, times);
  }

  onInput(input: Input): void {
    if (input.kind === 'transferred') this.count('transfers');
    if (input.kind === 'message' && input.message.kind === 'attest') {
      this.count('attestations read');
    }
    if (input.kind === 'message' && input.message.kind === 'new-view') this.count('NEW-VIEWs read');
  }

  /** Of a correct replica. */
  onEffect(effect: Effect): void {
    switch (effect.kind) {
      case 'deliver':
        this.count(`slots delivered ${effect.path}`);
        if (effect.checkpoint) this.count('checkpoints executed');
        if (effect.timeMs > 0 && effect.batches.length === 0) this.count('empty slots delivered');
        return;
      case 'check-batch':
        return this.count(`batches to check: ${effect.extent}`);
      case 'persist':
        return this.count(`records ${effect.record.kind}`);
      case 'rotate-log':
        return this.count('logs rotated');
      case 'drop-batch':
        return this.count('batches dropped');
      case 'evidence':
        return this.count(`evidence ${effect.evidence.kind}`);
      default:
        return;
    }
  }

  /** In order of their names. */
  lines(): string[] {
    return [...this.counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([what, times]) => `  ${what}: ${times}`);
  }
}
