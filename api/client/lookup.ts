/** Requests that look something up at one replica: a block, a transaction; each answer checked. */
import { METADATA } from '../../ledger/format/index.ts';
import type { ReplicaFailure } from './errors.ts';
import { type Fetch, failureOf, type HttpAnswer, jsonObject, sendRequest } from './http.ts';
import { CLIENT_LIMITS } from './limits.ts';
import type { VerifiedReceipt } from './receipt.ts';
import type { Attempt } from './replicas.ts';
import { type BlockVerifier, indexOfTransaction, type VerifiedBlock } from './verify.ts';

export interface RequestContext {
  readonly fetcher: Fetch;
  readonly channel: string;
  readonly verifier: BlockVerifier;
  readonly attemptTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export function channelUrl(url: string, channel: string, path: string): string {
  return `${url}/v1/channels/${encodeURIComponent(channel)}${path}`;
}

/** A failure after which the same is tried elsewhere, and later here again. */
export function failed(url: string, code: string, message: string): Attempt<never> {
  return { kind: 'failed', failure: { url, code, message, retryable: true } };
}

/** An error answer as an attempt: refusals are final, "not now" is not. */
export function failedAnswer(url: string, answer: HttpAnswer): Attempt<never> {
  const failure: ReplicaFailure = failureOf(url, answer);
  if (!failure.retryable && failure.code !== 'bad_response') return { kind: 'refused', failure };
  const { retryAfterMs } = answer;
  return { kind: 'failed', failure, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** Fetches and checks one block. `undefined` when the replica does not have it. */
export async function fetchBlock(
  context: RequestContext,
  url: string,
  number: number,
  timeoutMs: number,
): Promise<Attempt<VerifiedBlock | undefined>> {
  const outcome = await sendRequest(context.fetcher, {
    url: channelUrl(url, context.channel, `/blocks/${number}`),
    accept: 'application/x-protobuf',
    timeoutMs,
    signal: context.signal,
    bytesMax: CLIENT_LIMITS.blockBytesMax,
  });
  if (outcome.kind === 'failure') return { kind: 'failed', failure: outcome.failure };
  if (outcome.status === 404 && failureOf(url, outcome).code === 'block_not_ready') {
    return { kind: 'done', value: undefined };
  }
  if (outcome.status !== 200) return failedAnswer(url, outcome);
  const checked = await context.verifier.block(outcome.body, number, undefined);
  if (checked.kind === 'invalid') return failed(url, 'bad_block', checked.reason);
  return { kind: 'done', value: checked.value };
}

/** Where a replica says that a transaction is. */
async function locateTransaction(
  context: RequestContext,
  url: string,
  txId: string,
  timeoutMs: number,
): Promise<Attempt<{ blockNumber: number } | undefined>> {
  const outcome = await sendRequest(context.fetcher, {
    url: channelUrl(url, context.channel, `/transactions/${txId}`),
    accept: 'application/json',
    timeoutMs,
    signal: context.signal,
  });
  if (outcome.kind === 'failure') return { kind: 'failed', failure: outcome.failure };
  if (outcome.status === 404 && failureOf(url, outcome).code === 'no_such_transaction') {
    return { kind: 'done', value: undefined };
  }
  if (outcome.status !== 200) return failedAnswer(url, outcome);
  const blockNumber = jsonObject(outcome.body)?.blockNumber;
  if (!Number.isSafeInteger(blockNumber) || (blockNumber as number) < 1) {
    return failed(url, 'bad_response', 'the answer names no block');
  }
  return { kind: 'done', value: { blockNumber: blockNumber as number } };
}

/** The receipt that a checked block is for a transaction in it. */
function receiptFromBlock(
  url: string,
  block: VerifiedBlock,
  txId: string,
): VerifiedReceipt | undefined {
  const index = indexOfTransaction(block.block, txId);
  if (index === undefined) return undefined;
  return {
    txId,
    blockNumber: block.number,
    index,
    blockHash: block.hash,
    header: block.block.header,
    certificate: block.block.metadata[METADATA.SIGNATURES] ?? new Uint8Array(0),
    signers: block.signers,
    proof: 'block',
    url,
  };
}

/**
 * Finds a transaction at one replica and proves it by its block; `undefined` when it
 * is in no certified block there.
 */
export async function fetchReceipt(
  context: RequestContext,
  url: string,
  txId: string,
  timeoutMs: number,
): Promise<Attempt<{ receipt: VerifiedReceipt; block: VerifiedBlock } | undefined>> {
  const location = await locateTransaction(context, url, txId, timeoutMs);
  if (location.kind !== 'done') return location;
  if (location.value === undefined) return { kind: 'done', value: undefined };
  const { blockNumber } = location.value;
  const block = await fetchBlock(context, url, blockNumber, timeoutMs);
  if (block.kind !== 'done') return block;
  if (block.value === undefined) return failed(url, 'bad_response', 'names a block it has not');
  const receipt = receiptFromBlock(url, block.value, txId);
  if (receipt === undefined) {
    return failed(url, 'bad_receipt', `block ${blockNumber} does not hold the transaction`);
  }
  return { kind: 'done', value: { receipt, block: block.value } };
}
