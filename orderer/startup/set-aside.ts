/** Peers that did not keep what their report promised, each for a time that doubles (docs/protocol.md, B2). */
const SET_ASIDE_MS_MIN = 2_000;
const SET_ASIDE_MS_MAX = 60_000;

export class SetAside {
  readonly #peers = new Map<number, { untilMs: number; forMs: number }>();

  add(peer: number, nowMs: number): void {
    const before = this.#peers.get(peer)?.forMs ?? SET_ASIDE_MS_MIN / 2;
    const forMs = Math.min(2 * before, SET_ASIDE_MS_MAX);
    this.#peers.set(peer, { untilMs: nowMs + forMs, forMs });
  }

  /** It gave what was asked for. */
  forgive(peer: number): void {
    this.#peers.delete(peer);
  }

  current(nowMs: number): ReadonlySet<number> {
    const set = new Set<number>();
    for (const [peer, { untilMs }] of this.#peers) if (nowMs < untilMs) set.add(peer);
    return set;
  }
}
