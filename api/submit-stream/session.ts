/**
 * One submission stream: envelopes that came together go to the orderer together, and each gets its result as soon as
 * it is known. Whoever sends faster than the replica orders, or reads its results too slowly, is not read any more:
 * nothing is refused for load, and what one stream may hold is bounded.
 */
import type { Socket } from 'node:net';
import type { Accepted, ChannelService, Refusal } from '../../orderer/service.ts';
import type { ApiContext } from '../context.ts';
import type { Waker } from '../deliver/waker.ts';
import { ApiError, type ErrorCode, errorBody, refusalError } from '../errors.ts';
import { receivesTooMuch } from '../request-body.ts';
import { afterRefusal, afterWaiting, type Submission } from '../submit.ts';
import { streamItemView } from '../views.ts';
import type { ResultSink } from './results.ts';
import type { SubmissionSource } from './source.ts';

/** `complete`: everything is answered; `left`: the client went; otherwise the code of the last line. */
export type SubmitStreamEnd = 'complete' | 'left' | ErrorCode;

export interface SessionDependencies {
  readonly context: ApiContext;
  readonly channel: ChannelService;
  readonly source: SubmissionSource;
  readonly results: ResultSink;
  /** Woken by source and results. */
  readonly waker: Waker;
  readonly socket: Socket;
  readonly waitMs: number;
  readonly requestId: string;
}

interface Item {
  /** Position in the stream. */
  readonly number: number;
  /** On the stream's account as long as it is held: see `#bytes`. */
  readonly envelope: Uint8Array;
}

interface Waiting extends Item {
  readonly accepted: Accepted;
}

/** In place of what the orderer has taken over and this stream has no more use for. */
const TAKEN_OVER = new Uint8Array();
/** Handed to the orderer at once: the next part is read while the signatures of the one before are checked. */
const PARTS_UNDER_WAY_MAX = 2;
const PART_ITEMS_MAX = 256;
/** No room among the waiters, or no word from the orderer when to come back. */
const ROOM_RETRY_MS = 200;

export class SubmitSession {
  readonly #deps: SessionDependencies;
  /** Read, and not handed to the orderer. */
  #queue: Item[] = [];
  /**
   * Bytes of the queue, of the parts under way, and of what has to be compared with the ordered envelope of its id.
   */
  #bytes = 0;
  /** Bytes on the common account of request bodies: `#bytes` and what the source holds. */
  #accountedBytes = 0;
  #itemsRead = 0;
  #unanswered = 0;
  #partsUnderWay = 0;
  /** Why the stream ends early. */
  #fault: ApiError | undefined;
  /** The orderer is asked again then, or when it has stored a block. */
  #roomAtMs = 0;
  #forgetHeight: (() => void) | undefined;
  /** Parts may still be under way, whose results nobody gets any more. */
  #over = false;

  constructor(deps: SessionDependencies) {
    this.#deps = deps;
  }

  take(envelopes: readonly Uint8Array[]): void {
    for (const envelope of envelopes) {
      this.#queue.push({ number: this.#itemsRead++, envelope });
      this.#unanswered++;
      this.#bytes += envelope.length;
    }
    if (!this.#account()) this.#fault ??= receivesTooMuch();
    this.#deps.waker.wake();
  }

  /** Settles when the last words are said or the client is gone. Rejects only for bugs. */
  async run(): Promise<SubmitStreamEnd> {
    const { context, source, results, waker } = this.#deps;
    const onClosing = (): void => waker.wake();
    context.closing.addEventListener('abort', onClosing);
    try {
      for (;;) {
        if (results.closed) return 'left';
        this.#notice();
        if (this.#fault !== undefined && isBeyond(this.#fault)) return this.#end();
        this.#dispatch();
        if (this.#unanswered === 0 && (source.ended || this.#fault !== undefined)) {
          return this.#end();
        }
        source.flow(this.#wantsMore());
        await waker.sleep(Math.max(0, this.#nextDueMs() - performance.now()));
      }
    } finally {
      context.closing.removeEventListener('abort', onClosing);
      this.#forgetHeight?.();
      source.flow(false);
      this.#over = true;
      this.#queue = [];
      context.bodies.release(this.#accountedBytes);
    }
  }

  /** What has come to pass since the last look. */
  #notice(): void {
    const { context, source, results } = this.#deps;
    const nowMs = performance.now();
    this.#account();
    this.#fault ??= source.fault;
    if (context.closing.aborted) this.#fault ??= new ApiError('shutting_down');
    if (results.takenByMs <= nowMs) this.#fault = new ApiError('stream_too_slow');
    if (this.#isIdle() && nowMs >= this.#idleAtMs()) this.#fault ??= new ApiError('stream_idle');
    if (results.ready && nowMs >= this.#heartbeatAtMs()) results.heartbeat();
  }

  #wantsMore(): boolean {
    const { limits } = this.#deps.context;
    return (
      this.#fault === undefined &&
      this.#deps.results.ready &&
      this.#unanswered < limits.submitStreamItemsMax &&
      this.#bytes < limits.submitStreamBytesMax
    );
  }

  #isIdle(): boolean {
    return this.#unanswered === 0 && !this.#deps.source.ended;
  }

  #idleAtMs(): number {
    return this.#deps.source.silentSinceMs + this.#deps.context.limits.submitStreamIdleMsMax;
  }

  #heartbeatAtMs(): number {
    return this.#deps.results.lastSentMs + this.#deps.context.limits.deliverHeartbeatMs;
  }

  #nextDueMs(): number {
    const { results } = this.#deps;
    const due = [results.ready ? this.#heartbeatAtMs() : results.takenByMs];
    if (this.#isIdle()) due.push(this.#idleAtMs());
    if (this.#mayHandOn()) due.push(this.#roomAtMs);
    return Math.min(...due);
  }

  #dispatch(): void {
    const { waiters } = this.#deps.context;
    const fault = this.#fault;
    if (fault !== undefined && takesNothing(fault)) {
      for (const item of this.#takeFromQueue(this.#queue.length)) {
        this.#answer(item, { kind: 'refused', error: fault });
      }
    }
    while (this.#mayHandOn() && performance.now() >= this.#roomAtMs) {
      const count = Math.min(this.#queue.length, PART_ITEMS_MAX, this.#placesLeft(), waiters.room);
      if (count < 1) this.#waitForRoom(ROOM_RETRY_MS);
      else void this.#submit(this.#takeFromQueue(count));
    }
  }

  #mayHandOn(): boolean {
    return (
      this.#queue.length > 0 &&
      this.#partsUnderWay < PARTS_UNDER_WAY_MAX &&
      this.#placesLeft() > 0 &&
      this.#deps.results.ready
    );
  }

  /** A piece of the body may hold thousands of tiny envelopes; so many more may be on their way to a result. */
  #placesLeft(): number {
    const handedOn = this.#unanswered - this.#queue.length;
    return this.#deps.context.limits.submitStreamItemsMax - handedOn;
  }

  #takeFromQueue(count: number): Item[] {
    return this.#queue.splice(0, count);
  }

  async #submit(items: readonly Item[]): Promise<void> {
    const { context, channel, waker } = this.#deps;
    context.waiters.reserve(items.length);
    this.#partsUnderWay++;
    let waiting: Waiting[] = [];
    try {
      const outcomes = await channel.submit(
        items.map(({ envelope }) => envelope),
        { canWait: true },
      );
      waiting = this.#sort(items, outcomes);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#partsUnderWay--;
      waker.wake();
    }
    context.waiters.free(items.length - waiting.length);
    if (waiting.length === 0) return;
    try {
      await this.#awaitReceipts(waiting);
    } catch (error) {
      this.#failed(error);
    } finally {
      context.waiters.free(waiting.length);
    }
  }

  /** What is accepted, to wait for; what is refused is answered, what there was no room for is queued again. */
  #sort(items: readonly Item[], outcomes: readonly (Accepted | Refusal)[]): Waiting[] {
    const waiting: Waiting[] = [];
    const again: Item[] = [];
    for (const [index, item] of items.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined) throw new Error('the orderer left an envelope without an answer');
      if (outcome.kind === 'refused' && outcome.code === 'overloaded') {
        this.#waitForRoom(outcome.retryAfterMs ?? ROOM_RETRY_MS);
        again.push(item);
        continue;
      }
      if (outcome.kind === 'refused') this.#onRefusal(item, outcome);
      else waiting.push(this.#accepted(item, outcome));
    }
    this.#queue.unshift(...again);
    return waiting;
  }

  #accepted({ number, envelope }: Item, accepted: Accepted): Waiting {
    if (accepted.duplicate) return { number, envelope, accepted };
    this.#bytes -= envelope.length;
    return { number, envelope: TAKEN_OVER, accepted };
  }

  #onRefusal(item: Item, refusal: Refusal): void {
    const error = refusalError(refusal);
    if (takesNothing(error)) {
      this.#fault ??= error;
      this.#answer(item, { kind: 'refused', error });
      return;
    }
    this.#answerWith(item, afterRefusal(this.#deps.channel, item.envelope, refusal));
  }

  async #awaitReceipts(items: readonly Waiting[]): Promise<void> {
    const { context, channel, socket, waitMs } = this.#deps;
    const txIds = items.map(({ accepted }) => accepted.txId);
    const answered = new Set<number>();
    await context.waiters.wait(channel, txIds, waitMs, socket, (index, receipt) => {
      const item = items[index];
      if (item === undefined) return;
      answered.add(index);
      this.#answerWith(item, afterWaiting(channel, item.envelope, item.accepted, receipt));
    });
    for (const [index, item] of items.entries()) {
      const { txId, duplicate } = item.accepted;
      if (!answered.has(index)) this.#answer(item, { kind: 'pending', txId, duplicate });
    }
  }

  #answerWith(item: Item, submission: Submission | Promise<Submission>): void {
    if (!(submission instanceof Promise)) {
      this.#answer(item, submission);
      return;
    }
    submission.then(
      (known) => this.#answer(item, known),
      (error: unknown) => this.#failed(error),
    );
  }

  #answer({ number, envelope }: Item, submission: Submission): void {
    const { channel, requestId, results, waker } = this.#deps;
    this.#unanswered--;
    this.#bytes -= envelope.length;
    if (!results.closed) {
      results.send(streamItemView(channel.channel, number, submission, requestId));
    }
    waker.wake();
  }

  /** A fault of this replica: what it concerns stays without a result, so nothing more can be waited for. */
  #failed(error: unknown): void {
    const { context, requestId, waker } = this.#deps;
    context.log.error({ err: error, reqId: requestId }, 'submission stream failed');
    this.#fault = new ApiError('internal_error');
    waker.wake();
  }

  #waitForRoom(retryAfterMs: number): void {
    if (this.#over) return;
    const { channel, waker } = this.#deps;
    this.#roomAtMs = performance.now() + retryAfterMs;
    this.#forgetHeight ??= channel.onHeight(() => {
      this.#forgetHeight?.();
      this.#forgetHeight = undefined;
      this.#roomAtMs = 0;
      waker.wake();
    });
  }

  /** Brings the common account up to date; false when there is no room on it for what has arrived. */
  #account(): boolean {
    if (this.#over) return true;
    const { bodies } = this.#deps.context;
    const bytes = this.#bytes + this.#deps.source.heldBytes;
    const grown = bytes - this.#accountedBytes;
    if (grown > 0 && !bodies.take(grown)) return false;
    if (grown < 0) bodies.release(-grown);
    this.#accountedBytes = bytes;
    return true;
  }

  #end(): SubmitStreamEnd {
    const fault = this.#fault;
    if (fault === undefined) {
      this.#deps.results.end(undefined);
      return 'complete';
    }
    const { code, message, retryAfterMs } = fault;
    const details = {
      ...fault.details,
      ...(isBeyond(fault) ? {} : { items: this.#itemsRead }),
    };
    const last = new ApiError(code, { message, details, retryAfterMs });
    this.#deps.results.end(errorBody(last, this.#deps.requestId));
    return code;
  }
}

/** Some of what was read will get no result, so there is nothing to wait for. */
function isBeyond({ code }: ApiError): boolean {
  return code === 'stream_too_slow' || code === 'internal_error';
}

/** The replica orders nothing at present: what is queued here is answered with it, and the client goes elsewhere. */
function takesNothing({ code }: ApiError): boolean {
  return code === 'not_ready' || code === 'shutting_down';
}
