/**
 * Bounded state: however long a run is and whatever peers send, no map, set or array that a core holds may
 * outgrow its limits. Walks everything that a core's state reaches, so that a new field is covered too.
 */
import type { Life } from './life.ts';
import type { World } from './world.ts';

/** Containers that belong to one step, or count by constant texts. */
const EXEMPT = new Set(['effects', 'ignored', 'bytes']);
const SMALL_MAX = 128;
/** Of an array, a set or a map. */
const ELEMENT = 'element';

export function checkBounds(world: World): void {
  for (const group of world.groups) {
    for (const { self, lives } of group.correct) {
      for (const life of lives) {
        const found = firstOversized(life, sizeMax(world));
        if (found !== undefined) group.oracle.violation(`not bounded: ${found}`, self);
      }
    }
  }
}

/** The largest container that any limit allows. */
function sizeMax({ scenario }: World): number {
  const { limits, replicas } = scenario;
  const retained = limits.retainedBytesMax / 1_024 + limits.laneBatchesHeldMax * 2;
  return Math.max(
    SMALL_MAX,
    4 * limits.windowSlots * replicas,
    limits.decidedLogSlotsMax,
    2 * retained,
    limits.wantsMax,
    limits.verifiedSignaturesMax,
  );
}

function firstOversized(life: Life, max: number): string | undefined {
  let found: string | undefined;
  forContainers(life, (size, path) => {
    if (size > max) found ??= `${path()} has ${size} entries`;
  });
  if (found !== undefined) return found;
  const book = life.orderer.book.size;
  return book > max * 4 ? `the orderer keeps ${book} batches` : undefined;
}

/** How much a core remembers, in entries of its containers. */
export function entriesOf(life: Life): number {
  let entries = 0;
  forContainers(life, (size) => {
    entries += size;
  });
  return entries;
}

/** An object on the way, and by which name it was reached from where: paths are for messages, which are rare. */
interface Step {
  readonly value: object;
  readonly name: string;
  readonly from: Step | undefined;
}

function forContainers(life: Life, visit: (size: number, path: () => string) => void): void {
  const seen = new Set<object>();
  const open: Step[] = [{ value: life.state, name: 'state', from: undefined }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const from = next;
    const { value } = from;
    if (seen.has(value)) continue;
    seen.add(value);
    const reach = (name: string, child: unknown): void => {
      if (typeof child !== 'object' || child === null || ArrayBuffer.isView(child)) return;
      if (!EXEMPT.has(name)) open.push({ value: child, name, from });
    };
    if (Array.isArray(value)) {
      visit(value.length, () => pathOf(from));
      for (let i = 0; i < value.length; i++) reach(ELEMENT, value[i]);
    } else if (value instanceof Map || value instanceof Set) {
      visit(value.size, () => pathOf(from));
      for (const child of value.values()) reach(ELEMENT, child);
    } else {
      for (const name in value) reach(name, (value as Record<string, unknown>)[name]);
    }
  }
}

function pathOf({ name, from }: Step): string {
  return from === undefined ? name : `${pathOf(from)}.${name}`;
}
