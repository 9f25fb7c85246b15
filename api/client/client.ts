/**
 * `SluiceClient`: submit to one or several replicas, follow the chain, look things up; every answer
 * checked against the trust root.
 */
import { type DeliverContext, type DeliverRange, deliverBlocks } from './deliver.ts';
import { transactionIdOf } from './envelope.ts';
import { ClientError, type ReplicaFailure } from './errors.ts';
import { readTrustRoot, type TrustRoot } from './genesis.ts';
import { type Fetch, jsonObject, sendRequest } from './http.ts';
import { CLIENT_LIMITS, CLIENT_TIMES } from './limits.ts';
import {
  channelUrl,
  failedAnswer,
  fetchBlock,
  fetchReceipt,
  type RequestContext,
} from './lookup.ts';
import type { VerifiedReceipt } from './receipt.ts';
import { type Attempt, type ClientTimes, tryReplicas } from './replicas.ts';
import { attemptSubmit, type SubmitResult } from './submit.ts';
import { type StreamResult, type StreamSubmitOptions, streamSubmissions } from './submit-stream.ts';
import { type BlockVerifier, createBlockVerifier, type VerifiedBlock } from './verify.ts';

/** Whom to trust: the bytes of block 0, or what was read of it before (or is known otherwise). */
export type Trust = Uint8Array | TrustRoot;

export interface ClientOptions {
  /** Base URLs of the replicas' APIs, `http://127.0.0.1:7051`; the first is asked first. */
  readonly urls: readonly string[];
  readonly channel: string;
  readonly trust: Trust;
  /** Instead of the global `fetch`. */
  readonly fetch?: Fetch;
  readonly times?: Partial<ClientTimes>;
}

export interface SubmitOptions {
  /**
   * `commit` (default): until the transaction is in a certified block.
   * `queued`: until a replica has taken it.
   */
  readonly wait?: 'commit' | 'queued';
  /** The client's own deadline. */
  readonly timeoutMs?: number;
  /**
   * How many replicas are given the transaction at once. With 1, a single replica's refusal is
   * believed; with f + 1 at least one of them is honest. It is ordered once in any case.
   */
  readonly replicas?: number;
  /**
   * `block` fetches the block and looks for the envelope in it; see
   * `VerifiedReceipt.proof`. Default `certificate`.
   */
  readonly proof?: 'block' | 'certificate';
  readonly signal?: AbortSignal;
}

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

type AttemptAt<T> = (
  url: string,
  timeLeftMs: number,
  context: RequestContext,
) => Promise<Attempt<T>>;

function checkUrls(urls: readonly string[]): string[] {
  if (urls.length === 0 || urls.length > CLIENT_LIMITS.urlsMax) {
    const message = `give 1 to ${CLIENT_LIMITS.urlsMax} replica URLs, not ${urls.length}`;
    throw new ClientError('invalid_argument', message);
  }
  return urls.map((url) => {
    if (!/^https?:\/\/[^/]/.test(url) || !URL.canParse(url)) {
      throw new ClientError('invalid_argument', `${JSON.stringify(url)} is no http(s) URL`);
    }
    return url.replace(/\/+$/, '');
  });
}

function rootOf(trust: Trust): TrustRoot {
  // Not `instanceof`: the bytes may come from another realm (a frame, a worker's vm).
  if ('consenters' in trust) return trust;
  const root = readTrustRoot(trust);
  if (root.kind === 'malformed') throw new ClientError('malformed_genesis', root.reason);
  return root.value;
}

/** A client of one channel. It holds no connection of its own and needs no closing. */
export class SluiceClient {
  readonly urls: readonly string[];
  readonly channel: string;
  readonly trust: TrustRoot;
  readonly #fetcher: Fetch;
  readonly #times: ClientTimes;
  readonly #verifier: BlockVerifier;
  /** Index of the replica that served last. */
  #preferred = 0;

  /** Throws `ClientError`: `invalid_argument`, `malformed_genesis`. */
  constructor(options: ClientOptions) {
    this.urls = checkUrls(options.urls);
    this.channel = options.channel;
    this.trust = rootOf(options.trust);
    if (this.trust.channel !== options.channel) {
      throw new ClientError(
        'invalid_argument',
        `the trust root is that of channel ${this.trust.channel}, not of ${options.channel}`,
      );
    }
    this.#fetcher = options.fetch ?? ((input, init) => fetch(input, init));
    this.#times = { ...CLIENT_TIMES, ...options.times };
    this.#verifier = createBlockVerifier(this.trust);
  }

  /**
   * Submits a serialized envelope, again and elsewhere as long as that may help: the same
   * envelope is never ordered twice. Throws `ClientError`: a replica's refusal code,
   * `deadline_exceeded` (retryable), `aborted`.
   */
  async submit(envelope: Uint8Array, options: SubmitOptions = {}): Promise<SubmitResult> {
    const { wait = 'commit', proof = 'certificate', replicas = 1 } = options;
    if (!Number.isInteger(replicas) || replicas < 1 || replicas > this.urls.length) {
      const message = `replicas must be 1 to ${this.urls.length} (the number of URLs)`;
      throw new ClientError('invalid_argument', message);
    }
    const submission = { envelope, txId: transactionIdOf(envelope), wait, proof };
    const causes: ReplicaFailure[] = [];
    const others = new AbortController();
    const signal =
      options.signal === undefined
        ? others.signal
        : AbortSignal.any([options.signal, others.signal]);
    const plans = Array.from({ length: replicas }, (_, offset) =>
      this.#try({ ...options, signal }, causes, offset, (url, timeLeftMs, context) =>
        attemptSubmit(context, url, submission, timeLeftMs),
      ),
    );
    try {
      // Who does not wait for the commit wants all the chosen replicas to have it.
      if (wait === 'queued') await Promise.allSettled(plans);
      return await Promise.any(plans);
    } catch (error) {
      throw error instanceof AggregateError ? worstOf(error.errors, causes) : error;
    } finally {
      others.abort();
    }
  }

  /**
   * Submits any number of envelopes over one request at a time, taking them from the source as fast as they are ordered;
   * results come as they are known, one for each envelope, each receipt checked. What a replica left without an answer is
   * sent to the next one. Needs a `fetch` that sends and receives at once: Node's does, those of browsers do not. Throws
   * `ClientError`: `invalid_argument`, `aborted`, a replica's code when it takes no stream at all; and what the source throws.
   */
  submitStream(
    envelopes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    options: StreamSubmitOptions = {},
  ): AsyncGenerator<StreamResult> {
    return streamSubmissions(this.#streamContext(), envelopes, options);
  }

  /** Checked blocks in order from `from` to `to`, or to the newest, or for ever with `follow`. */
  deliver(range: DeliverRange & { signal?: AbortSignal }): AsyncGenerator<VerifiedBlock> {
    return deliverBlocks(this.#streamContext(), range, range.signal);
  }

  /** A checked block; undefined when no replica that answers has it. */
  block(number: number, options: CallOptions = {}): Promise<VerifiedBlock | undefined> {
    return this.#everyReplica(options, (url, timeLeftMs, context) =>
      fetchBlock(context, url, number, Math.min(timeLeftMs, this.#times.attemptTimeoutMs)),
    );
  }

  /**
   * Where a transaction is, proven by its block; undefined when no replica that
   * answers has it in a certified block.
   */
  async transaction(txId: string, options: CallOptions = {}): Promise<VerifiedReceipt | undefined> {
    const found = await this.#everyReplica(options, (url, timeLeftMs, context) =>
      fetchReceipt(context, url, txId, Math.min(timeLeftMs, this.#times.attemptTimeoutMs)),
    );
    return found?.receipt;
  }

  /**
   * What one replica says of the channel and itself (`GET
   * /v1/channels/{channel}`): its word, unproven.
   */
  info(options: CallOptions = {}): Promise<Record<string, unknown>> {
    return this.#try<Record<string, unknown>>(options, [], 0, async (url, timeLeftMs, context) => {
      const { fetcher, signal } = context;
      const outcome = await sendRequest(fetcher, {
        url: channelUrl(url, this.channel, ''),
        accept: 'application/json',
        timeoutMs: Math.min(timeLeftMs, this.#times.attemptTimeoutMs),
        signal,
      });
      if (outcome.kind === 'failure') return { kind: 'failed', failure: outcome.failure };
      const body = jsonObject(outcome.body);
      if (outcome.status !== 200 || body === undefined) return failedAnswer(url, outcome);
      return { kind: 'done', value: body };
    });
  }

  async #try<T>(
    options: CallOptions,
    causes: ReplicaFailure[],
    offset: number,
    attempt: AttemptAt<T>,
  ): Promise<T> {
    const context: RequestContext = {
      fetcher: this.#fetcher,
      channel: this.channel,
      verifier: this.#verifier,
      attemptTimeoutMs: this.#times.attemptTimeoutMs,
      signal: options.signal,
    };
    const plan = {
      urls: this.urls,
      first: (this.#preferred + offset) % this.urls.length,
      times: this.#times,
      deadlineMs: Date.now() + (options.timeoutMs ?? this.#times.timeoutMs),
      signal: options.signal,
      causes,
    };
    const { value, index } = await tryReplicas(plan, (url, timeLeftMs) =>
      attempt(url, timeLeftMs, context),
    );
    if (offset === 0) this.#preferred = index;
    return value;
  }

  /** What a stream goes on with at any of the replicas. */
  #streamContext(): DeliverContext {
    return {
      urls: this.urls,
      first: this.#preferred,
      fetcher: this.#fetcher,
      channel: this.channel,
      verifier: this.#verifier,
      times: this.#times,
    };
  }

  /** Asks until one replica has it; undefined once every replica has said that it does not. */
  async #everyReplica<T>(
    options: CallOptions,
    attempt: AttemptAt<T | undefined>,
  ): Promise<T | undefined> {
    const without = new Set<string>();
    return this.#try(options, [], 0, async (url, timeLeftMs, context) => {
      const outcome = await attempt(url, timeLeftMs, context);
      if (outcome.kind !== 'done' || outcome.value !== undefined) return outcome;
      without.add(url);
      if (without.size === this.urls.length) return outcome;
      const message = 'does not have it';
      return { kind: 'failed', failure: { url, code: 'not_found', message, retryable: true } };
    });
  }
}

/**
 * Of the errors of parallel plans the one to show: a refusal if there is
 * one, since it says what to change.
 */
function worstOf(errors: readonly unknown[], causes: readonly ReplicaFailure[]): unknown {
  const clientErrors = errors.filter((error) => error instanceof ClientError);
  const worst = clientErrors.find(({ retryable }) => !retryable) ?? clientErrors[0];
  if (worst === undefined) return errors[0];
  const { code, message, retryable } = worst;
  return new ClientError(code, message, { retryable, causes: [...causes] });
}
