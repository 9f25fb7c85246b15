/**
 * Bounds the connections that have not said who they are. Pure bookkeeping: the
 * caller closes what it is told to.
 *
 * Rules, for a newcomer from host h:
 * - h already has `pendingPerHostMax`: the oldest of h's must give
 *   way, else the newcomer is refused;
 * - all places are taken: the oldest of the host that holds most must give
 *   way, else the newcomer is refused;
 * - one gives way only when it is older than `pendingGraceMs`.
 *
 * So slow connections, however many, hold a place for the grace period only and cannot keep peers
 * out; other hosts cannot take the share of a peer's host; and the rate of TLS handshakes that
 * strangers can make us do stays under pendingConnectionsMax / pendingGraceMs. A peer that is
 * refused in a fast flood tries again with jitter.
 */
import type { LinkLimits } from './limits.ts';

export interface PendingConnection {
  readonly host: string;
  readonly sinceMs: number;
  /** Closes it; the owner then calls `release`. */
  readonly evict: () => void;
}

export type AdmissionLimits = Pick<
  LinkLimits,
  'pendingConnectionsMax' | 'pendingPerHostMax' | 'pendingGraceMs'
>;

export class Admission {
  readonly #limits: AdmissionLimits;
  /** Insertion order is age; bounded by `pendingConnectionsMax`. */
  readonly #pending = new Set<PendingConnection>();

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#pending.size;
  }

  /**
   * False: refuse the newcomer. True: it is counted until `release`;
   * another may have been evicted for it.
   */
  admit(newcomer: PendingConnection): boolean {
    const perHost = this.#countByHost();
    const own = perHost.get(newcomer.host) ?? 0;
    let crowded: string | undefined;
    if (own >= this.#limits.pendingPerHostMax) crowded = newcomer.host;
    else if (this.#pending.size >= this.#limits.pendingConnectionsMax) crowded = largest(perHost);
    if (crowded !== undefined && !this.#evictOldestOf(crowded, newcomer.sinceMs)) return false;
    this.#pending.add(newcomer);
    return true;
  }

  /** Idempotent. */
  release(connection: PendingConnection): void {
    this.#pending.delete(connection);
  }

  #evictOldestOf(host: string, nowMs: number): boolean {
    for (const connection of this.#pending) {
      if (connection.host !== host) continue;
      if (nowMs - connection.sinceMs < this.#limits.pendingGraceMs) return false;
      this.#pending.delete(connection);
      connection.evict();
      return true;
    }
    return false;
  }

  #countByHost(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { host } of this.#pending) counts.set(host, (counts.get(host) ?? 0) + 1);
    return counts;
  }
}

function largest(counts: ReadonlyMap<string, number>): string | undefined {
  let best: string | undefined;
  let bestCount = 0;
  for (const [host, count] of counts) {
    if (count > bestCount) {
      best = host;
      bestCount = count;
    }
  }
  return best;
}
