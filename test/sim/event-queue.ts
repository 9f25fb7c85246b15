/**
 * Virtual time: events in order of time, then of scheduling. A binary heap over plain arrays; event
 * objects are used again, because a run has millions of them.
 */

/** Whoever has scheduled something. What the numbers and the payload mean is its own affair. */
export interface Actor {
  onEvent(kind: number, a: number, b: number, payload: unknown): void;
}

interface ScheduledEvent {
  atMs: number;
  order: number;
  actor: Actor;
  kind: number;
  a: number;
  b: number;
  payload: unknown;
}

export class EventQueue {
  nowMs: number;
  /** Events handled. */
  handled = 0;
  readonly #heap: ScheduledEvent[] = [];
  readonly #free: ScheduledEvent[] = [];
  #orders = 0;

  constructor(startMs: number) {
    this.nowMs = startMs;
  }

  /** When the next event is due; Infinity when there is none. */
  get nextMs(): number {
    return this.#heap.length === 0 ? Infinity : (this.#heap[0] as ScheduledEvent).atMs;
  }

  schedule(atMs: number, actor: Actor, kind: number, a = 0, b = 0, payload?: unknown): void {
    const due = Math.max(atMs, this.nowMs);
    const order = this.#orders++;
    const reused = this.#free.pop();
    if (reused === undefined) {
      this.#siftUp({ atMs: due, order, actor, kind, a, b, payload });
      return;
    }
    reused.atMs = due;
    reused.order = order;
    reused.actor = actor;
    reused.kind = kind;
    reused.a = a;
    reused.b = b;
    reused.payload = payload;
    this.#siftUp(reused);
  }

  /** Handles the next event. The caller has looked at `nextMs`. */
  runNext(): void {
    const event = this.#heap[0] as ScheduledEvent;
    const last = this.#heap.pop() as ScheduledEvent;
    if (this.#heap.length > 0) this.#siftDown(last);
    this.nowMs = event.atMs;
    this.handled++;
    const { actor, kind, a, b, payload } = event;
    event.payload = undefined;
    this.#free.push(event);
    actor.onEvent(kind, a, b, payload);
  }

  #siftUp(event: ScheduledEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as ScheduledEvent;
      if (!isBefore(event, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  #siftDown(event: ScheduledEvent): void {
    const heap = this.#heap;
    const { length } = heap;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= length) break;
      const right = below + 1;
      if (
        right < length &&
        isBefore(heap[right] as ScheduledEvent, heap[below] as ScheduledEvent)
      ) {
        below = right;
      }
      const child = heap[below] as ScheduledEvent;
      if (!isBefore(child, event)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = event;
  }
}

function isBefore(a: ScheduledEvent, b: ScheduledEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
