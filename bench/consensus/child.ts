/** What the program of a measured replica says to whoever started it (`processes.ts`), whatever it measures. */
import type { BaseOrder, BaseReport } from './processes.ts';
import { cpuUs } from './usage.ts';

export interface Orders<Order> {
  /** Since the replica began. */
  readonly slotsPassedOver: () => number;
  readonly onOrder: (order: Order) => void;
}

export class Child<Order extends { readonly kind: string }, Report> {
  /** From now on whatever ends this process is told, too. */
  constructor() {
    process.on('disconnect', () => process.exit());
    process.on('uncaughtException', (error) => {
      const { message: reason, stack = '' } = error;
      const failed: BaseReport = { kind: 'failed', reason, stack };
      process.send?.(failed, () => process.exit(1));
    });
  }

  report(message: Report | BaseReport): void {
    process.send?.(message);
  }

  listen({ slotsPassedOver, onOrder }: Orders<Order>): void {
    process.on('message', (order: Order | BaseOrder) => {
      if (order.kind !== 'usage') return onOrder(order as Order);
      this.report({ kind: 'usage', cpuUs: cpuUs(), slotsPassedOver: slotsPassedOver() });
    });
  }
}
