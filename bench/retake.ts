/** What is done with a figure during which a replica did not do its part of the work. */
import type { Parameters, Series } from './result.ts';

interface Taken {
  /** That a replica has not executed, because it had fallen behind what the others keep. */
  readonly slotsPassedOver: number;
}

export interface Take<T extends Taken> {
  readonly figures: T;
  readonly again: boolean;
}

/** For the text of a section with such figures. */
export const PASSED_OVER_TEXT =
  'A replica that has fallen behind what the others keep goes on from their checkpoint, as a real one does with blocks of their ledgers; the slots that it passes over are counted, and such a figure is taken once more.';

/** The better of two, when slots were passed over in the first. */
export async function takeFigures<T extends Taken>(
  measure: () => Promise<T>,
  say: (line: string) => void,
): Promise<Take<T>> {
  const first = await measure();
  if (first.slotsPassedOver === 0) return { figures: first, again: false };
  say(`once more: a replica fell behind and passed over ${first.slotsPassedOver} slots`);
  const second = await measure();
  const isBetter = second.slotsPassedOver < first.slotsPassedOver;
  return { figures: isBetter ? second : first, again: true };
}

/** For the parameters of a series that is made of these. */
export function retaken(takes: readonly Take<Taken>[]): Parameters {
  const count = takes.filter(({ again }) => again).length;
  return count === 0 ? {} : { 'taken again': `${count} of ${takes.length}, a replica fell behind` };
}

/** For its figures. */
export function passedOver(takes: readonly Take<Taken>[]): NonNullable<Series['figures']> {
  return {
    'slots passed over': takes.reduce((sum, { figures }) => sum + figures.slotsPassedOver, 0),
  };
}
