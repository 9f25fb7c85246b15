/**
 * Bounded state: however long a run is and whatever peers send, no map, set or array that a core holds may
 * outgrow its limits. Walks everything that a core's state reaches, so that a new field is covered too.
 */
import type { Life } from './life.ts';
import type { World } from './world.ts';

/** Containers that belong to one step, or count by constant texts. */
const EXEMPT = new Set(['effects', 'ignored', 'bytes']);
const SMALL_MAX = 128;

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
  for (const { path, size } of containersOf(life)) {
    if (size > max) return `${path} has ${size} entries`;
  }
  const book = life.orderer.book.size;
  return book > max * 4 ? `the orderer keeps ${book} batches` : undefined;
}

/** How much a core remembers, in entries of its containers. */
export function entriesOf(life: Life): number {
  let entries = 0;
  for (const { size } of containersOf(life)) entries += size;
  return entries;
}

function* containersOf(life: Life): Generator<{ path: string; size: number }, undefined> {
  const seen = new Set<object>();
  const open: { path: string; value: object }[] = [{ path: 'state', value: life.state }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { path, value } = next;
    if (seen.has(value) || ArrayBuffer.isView(value)) continue;
    seen.add(value);
    const size = sizeOf(value);
    if (size > 0) yield { path, size };
    for (const [name, child] of childrenOf(value)) {
      if (typeof child !== 'object' || child === null || EXEMPT.has(name)) continue;
      open.push({ path: `${path}.${name}`, value: child });
    }
  }
  return undefined;
}

function sizeOf(value: object): number {
  if (Array.isArray(value)) return value.length;
  return value instanceof Map || value instanceof Set ? value.size : 0;
}

function childrenOf(value: object): Iterable<[string, unknown]> {
  if (value instanceof Map) return [...value].map(([, child]) => ['value', child]);
  if (value instanceof Set) return [...value].map((child) => ['value', child]);
  return Object.entries(value);
}
