/**
 * The whole check of an envelope: `inspect.ts`, then the signature on the verify pool. For what a
 * client hands to this replica, `checkSubmitted`; for what another replica has
 * spread, `checkBatch`.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { OrdererError, refusal } from '../errors.ts';
import { ORDERER_LIMITS } from '../limits.ts';
import type { Refusal } from '../service.ts';
import type { VerifyItem, VerifyPool } from '../signature/index.ts';
import { type InspectContext, inspectEnvelope } from './inspect.ts';
import { type CheckedTransaction, isWithinValidity } from './transaction.ts';
import { VerifiedCache } from './verified-cache.ts';

export type SubmittedCheck =
  | { readonly kind: 'checked'; readonly transaction: CheckedTransaction }
  | Refusal;

/** `index` is that of the first envelope that is not valid. */
export type BatchCheck =
  | { readonly kind: 'valid'; readonly transactions: readonly CheckedTransaction[] }
  | { readonly kind: 'invalid'; readonly index: number; readonly refusal: Refusal };

export interface BatchCheckOptions {
  /** Whose batch it is. */
  readonly lane?: number;
  /** False: all but the signatures, which other replicas look at. */
  readonly signatures?: boolean;
}

export interface EnvelopeCheckerOptions extends InspectContext {
  /** ORDERER_LIMITS.verifiedEnvelopesCachedMax when absent. */
  readonly verifiedEnvelopesCachedMax?: number;
}

export interface EnvelopeCheckerDependencies {
  readonly pool: Pick<VerifyPool, 'verify'>;
}

/** Bytes, judged up to the signature, the clock left aside. */
type Judged =
  | {
      readonly unverified: CheckedTransaction;
      /** Undefined when these very bytes were found valid lately. */
      readonly verify: VerifyItem | undefined;
    }
  | Refusal;

/**
 * Two parts of a batch are in the queue at a time: the pool has work while this thread reads the
 * next one.
 */
const BATCH_PART_ITEMS = Math.max(1, Math.floor(ORDERER_LIMITS.batchVerifyItemsMax / 2));

export class EnvelopeChecker {
  readonly #context: InspectContext;
  readonly #pool: Pick<VerifyPool, 'verify'>;
  readonly #verified: VerifiedCache;
  /** Of each lane with a batch under check: settles, never rejects, when its newest one is done. */
  readonly #lanes = new Map<number, Promise<void>>();

  constructor(options: EnvelopeCheckerOptions, dependencies: EnvelopeCheckerDependencies) {
    this.#context = options;
    this.#pool = dependencies.pool;
    this.#verified = new VerifiedCache(
      options.verifiedEnvelopesCachedMax ?? ORDERER_LIMITS.verifiedEnvelopesCachedMax,
    );
  }

  /**
   * Checks what a client has handed in, each for itself; answers in the same order. A certificate's validity is held
   * against `nowMs`, this replica's clock, to answer the client at once; what counts in the end is the ordered
   * time. Those whose signature could not be looked at are refused with `overloaded` when too many wait, with
   * `shutting_down` when the pool is closed. Total: nothing throws, whatever the bytes are.
   */
  async checkSubmitted(envelopes: readonly Uint8Array[], nowMs: number): Promise<SubmittedCheck[]> {
    const checks: SubmittedCheck[] = [];
    const items: VerifyItem[] = [];
    /** Of each item: its place among the checks. */
    const open: number[] = [];
    for (const bytes of envelopes) {
      const judged = this.#judge(bytes);
      if ('code' in judged) checks.push(judged);
      else if (!isWithinValidity(judged.unverified, nowMs)) checks.push(expired(judged.unverified));
      else {
        if (judged.verify !== undefined) {
          items.push(judged.verify);
          open.push(checks.length);
        }
        checks.push({ kind: 'checked', transaction: judged.unverified });
      }
    }
    const verdicts = await this.#verifySubmitted(items);
    for (const [i, place] of open.entries()) {
      const check = checks[place];
      const verdict = Array.isArray(verdicts) ? verdicts[i] : verdicts;
      if (verdict !== true) checks[place] = verdict || refusal('bad_signature');
      else if (check?.kind === 'checked') this.#verified.add(check.transaction);
    }
    return checks;
  }

  /** Verdicts, or why there are none. */
  async #verifySubmitted(items: readonly VerifyItem[]): Promise<boolean[] | Refusal> {
    try {
      return await this.#pool.verify(items);
    } catch (error) {
      if (!(error instanceof OrdererError)) throw error;
      if (error.code === 'closed') return refusal('shutting_down');
      const detail =
        error.code === 'overloaded' ? 'too many signatures wait to be checked' : error.message;
      return refusal('overloaded', detail, { retryAfterMs: ORDERER_LIMITS.retryAfterMs });
    }
  }

  /**
   * Checks every envelope of a peer's batch.
   *
   * The answer is a function of the bytes and the channel's configuration alone: no clock, and
   * caches that only save time. All correct replicas must give the same answer, whenever they come
   * to look and whatever they saw before: a batch that some hold for valid and others do not would
   * stall its lane, and the slots that refer to it. An overloaded replica therefore waits instead
   * of refusing, and a dead verify thread is no verdict. Expiry is decided at execution, from the
   * ordered time (`isWithinValidity`), where all see the same.
   *
   * Rejects with OrdererError `closed` or `worker_failed` when no answer can be had.
   *
   * Batches of one lane are checked one after the other, so that a lane full of them takes no more than its share of
   * the pool. How many wait is bounded by consensus (laneBatchesHeldMax).
   */
  checkBatch(
    envelopes: readonly Uint8Array[],
    { lane = 0, signatures = true }: BatchCheckOptions = {},
  ): Promise<BatchCheck> {
    const check = (): Promise<BatchCheck> =>
      signatures ? this.#checkEnvelopes(envelopes) : this.#readEnvelopes(envelopes);
    const before = this.#lanes.get(lane);
    const result = before === undefined ? check() : before.then(check);
    const done: Promise<void> = result.then(
      () => this.#leaveLane(lane, done),
      () => this.#leaveLane(lane, done),
    );
    this.#lanes.set(lane, done);
    return result;
  }

  /**
   * The envelopes of a batch from this replica's own log, where only batches are that it found valid: read again, with
   * no signature checked. A refusal means that the log or the configuration is not what it was.
   */
  parseTrusted(envelopes: readonly Uint8Array[]): BatchCheck {
    const transactions: CheckedTransaction[] = [];
    for (const [index, bytes] of envelopes.entries()) {
      const inspected = inspectEnvelope(bytes, this.#context);
      if (inspected.kind === 'refused') return { kind: 'invalid', index, refusal: inspected };
      transactions.push(inspected.unverified);
    }
    return { kind: 'valid', transactions };
  }

  /** Remembers none of them as verified: nobody has looked at their signatures here. */
  async #readEnvelopes(envelopes: readonly Uint8Array[]): Promise<BatchCheck> {
    const transactions: CheckedTransaction[] = [];
    for (const [index, bytes] of envelopes.entries()) {
      // No thread is waited for, so other work of this one has to be let in.
      if (index > 0 && index % BATCH_PART_ITEMS === 0) await nextTurn();
      const inspected = inspectEnvelope(bytes, this.#context);
      if (inspected.kind === 'refused') return { kind: 'invalid', index, refusal: inspected };
      transactions.push(inspected.unverified);
    }
    return { kind: 'valid', transactions };
  }

  #leaveLane(lane: number, done: Promise<void>): void {
    if (this.#lanes.get(lane) === done) this.#lanes.delete(lane);
  }

  async #checkEnvelopes(envelopes: readonly Uint8Array[]): Promise<BatchCheck> {
    const transactions: CheckedTransaction[] = [];
    let previous: Promise<BatchCheck> | undefined;
    for (let from = 0; from < envelopes.length; from += BATCH_PART_ITEMS) {
      const part = this.#checkPart(envelopes.slice(from, from + BATCH_PART_ITEMS), from);
      // Awaited in the next round, unless the part before it decides or fails first.
      part.catch(() => {});
      const settled = await previous;
      if (settled?.kind === 'invalid') return settled;
      if (settled !== undefined) transactions.push(...settled.transactions);
      previous = part;
    }
    const last = await previous;
    if (last?.kind === 'invalid') return last;
    if (last !== undefined) transactions.push(...last.transactions);
    return { kind: 'valid', transactions };
  }

  /** @param offset position of the first of these in the batch */
  async #checkPart(envelopes: readonly Uint8Array[], offset: number): Promise<BatchCheck> {
    const transactions: CheckedTransaction[] = [];
    const items: VerifyItem[] = [];
    /** Of each item: its position in the part. */
    const open: number[] = [];
    let refused: Refusal | undefined;
    for (const [position, bytes] of envelopes.entries()) {
      const judged = this.#judge(bytes);
      if ('code' in judged) {
        refused = judged;
        break;
      }
      transactions.push(judged.unverified);
      if (judged.verify === undefined) continue;
      items.push(judged.verify);
      open.push(position);
    }
    // Those before a refused one are verified all the same: the first that is not valid is to be
    // named.
    const verdicts = await this.#verifyPart(items);
    for (const [i, position] of open.entries()) {
      if (verdicts[i] !== true) {
        return { kind: 'invalid', index: offset + position, refusal: refusal('bad_signature') };
      }
      this.#verified.add(transactions[position] as CheckedTransaction);
    }
    if (refused !== undefined) {
      return { kind: 'invalid', index: offset + transactions.length, refusal: refused };
    }
    return { kind: 'valid', transactions };
  }

  #judge(bytes: Uint8Array): Judged {
    const inspected = inspectEnvelope(bytes, this.#context);
    if (inspected.kind === 'refused') return inspected;
    const { unverified, verify } = inspected;
    return { unverified, verify: this.#verified.has(unverified) ? undefined : verify };
  }

  /** A thread that died is started again by the pool: asks a second time, once. */
  async #verifyPart(items: readonly VerifyItem[]): Promise<boolean[]> {
    try {
      return await this.#pool.verify(items, { whenFull: 'wait' });
    } catch (error) {
      if (!(error instanceof OrdererError) || error.code !== 'worker_failed') throw error;
      return await this.#pool.verify(items, { whenFull: 'wait' });
    }
  }
}

function expired({ validity }: CheckedTransaction): Refusal {
  const from = isoTime(validity.notBeforeMs);
  const until = isoTime(validity.notAfterMs);
  return refusal('expired_certificate', `it is valid from ${from} to ${until}`);
}

function isoTime(timeMs: number): string {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime()) ? String(timeMs) : date.toISOString();
}
