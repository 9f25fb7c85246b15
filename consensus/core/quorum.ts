/**
 * Quorum arithmetic, with its proof.
 *
 * n replicas, f = floor((n-1)/3) faulty at most, so n >= 3f + 1. q = ceil((n + f + 1) / 2).
 *
 * Q1, intersection: two quorums share at least f + 1 replicas, hence a correct one.
 *     |A ∩ B| >= 2q - n >= (n + f + 1) - n = f + 1.
 * Q2, availability: the n - f correct replicas are a quorum.
 *     n - f is an integer, so q <= n - f  iff  (n + f + 1) / 2 <= n - f  iff  3f + 1 <= n.
 * Q3, a quorum holds more than f correct replicas' worth of certainty: q > f, since q >= (3f + 1 +
 * f + 1) / 2 = 2f + 1. Q4, f + 1 replicas contain a correct one (by definition of f).
 *
 * The fast quorum is n: then every correct replica is in it, and any quorum of a later view meets
 * it in at least q - f correct ones.
 */

export function faultsTolerated(replicas: number): number {
  return Math.floor((replicas - 1) / 3);
}

export function quorum(replicas: number): number {
  return Math.ceil((replicas + faultsTolerated(replicas) + 1) / 2);
}

export function fastQuorum(replicas: number): number {
  return replicas;
}

/** Leader of `view`. */
export function leaderOf(view: number, replicas: number): number {
  return view % replicas;
}

/**
 * The k-th highest of the first `count` values, k from 1: at least k of them are as high. Sorts
 * them in place, by insertion: they are a handful.
 */
export function kthHighest(values: Float64Array, count: number, k: number): number {
  for (let i = 1; i < count; i++) {
    const value = values[i] as number;
    let at = i;
    for (; at > 0 && (values[at - 1] as number) < value; at--) {
      values[at] = values[at - 1] as number;
    }
    values[at] = value;
  }
  return values[k - 1] as number;
}
