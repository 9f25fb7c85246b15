/** What the threads of the bare pattern (hops.ts) share: a box for each, a word whose bits say what has come. */

export const REPLICAS = 4;
export const QUORUM = 3;
/** A cache line for each. */
export const BOX_WORDS = 16;

/** Main threads, then consensus threads, then whoever submits. */
export const CLIENT = 2 * REPLICAS;
export const BOXES = CLIENT + 1;

export function boxOf(thread: 'main' | 'consensus', replica: number): number {
  return thread === 'main' ? replica : REPLICAS + replica;
}

/** `...First`: of four bits, one for each replica. */
export const BIT = {
  request: 1 << 0,
  check: 1 << 1,
  ordered: 1 << 2,
  signatureFirst: 3,
  submit: 1 << 7,
  batch: 1 << 8,
  checked: 1 << 9,
  attested: 1 << 10,
  proposal: 1 << 11,
  signature: 1 << 12,
  voteFirst: 13,
  relayFirst: 17,
  answer: 1 << 21,
  quiet: 1 << 22,
} as const;

export interface HopsThread {
  readonly shared: SharedArrayBuffer;
  readonly id: number;
  readonly rate: number | undefined;
  readonly count: number;
}
