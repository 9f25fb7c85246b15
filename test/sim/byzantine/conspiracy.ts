/**
 * What the liars of one channel share: whom they show which face, and the second content of each slot that they show
 * to the other side. Lies that do not fit together are easily seen through.
 */
import type { Batch, BatchRef, Digest24, Proposal } from '../../../consensus/core/index.ts';
import type { CoreState } from '../../../consensus/core/state.ts';
import type { Random } from '../random.ts';

export interface SecondFace {
  readonly proposal: Proposal;
  readonly digest: Digest24;
}

const FACES_MAX = 64;

export class Conspiracy {
  readonly liars: readonly number[];
  readonly #random: Random;
  readonly #replicas: number;
  /** By replica: is it shown the second face? */
  #sides: boolean[] = [];
  /** By digest of the first face. */
  readonly #faces = new Map<string, SecondFace>();

  /** Batches in others' lanes that nobody made, by digest. */
  readonly #invented = new Map<string, Batch>();

  constructor(random: Random, replicas: number, liars: readonly number[]) {
    this.#random = random;
    this.#replicas = replicas;
    this.liars = liars;
    this.redraw();
  }

  /** Now and then the sides change; more often one is kept small. */
  redraw(): void {
    const share = this.#random.pick([0.2, 0.35, 0.5]);
    this.#sides = Array.from({ length: this.#replicas }, () => this.#random.chance(share));
  }

  isOtherSide(replica: number): boolean {
    return this.#sides[replica] === true;
  }

  isLiar(replica: number): boolean {
    return this.liars.includes(replica);
  }

  /** What the other side is shown instead of a content with this digest; undefined: the same. */
  faceOf(digest: Digest24): SecondFace | undefined {
    return this.#faces.get(keyOf(digest));
  }

  addFace(digest: Digest24, face: SecondFace): void {
    addBounded(this.#faces, keyOf(digest), face);
  }

  /** Batches carry no signature (L7): what the others would have to believe, if enough of them did. */
  inventBatch(state: CoreState, lane: number, after: BatchRef, payload: Uint8Array): BatchRef {
    const batch: Batch = { lane, seq: after.seq + 1, previous: after.digest, payload };
    const digest = state.digests.batch(lane, batch.seq, batch.previous, payload);
    addBounded(this.#invented, keyOf(digest), batch);
    return { seq: batch.seq, digest };
  }

  inventedBatch(digest: Uint8Array): Batch | undefined {
    return this.#invented.get(keyOf(digest));
  }
}

function addBounded<T>(map: Map<string, T>, key: string, value: T): void {
  map.set(key, value);
  if (map.size <= FACES_MAX) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

function keyOf(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('hex');
}
