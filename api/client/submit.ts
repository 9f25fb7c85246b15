/** Submission: one attempt at one replica, from the envelope to a checked receipt. */
import { failureOf, jsonObject, sendRequest } from './http.ts';
import {
  channelUrl,
  failed,
  failedAnswer,
  fetchBlock,
  fetchReceipt,
  type RequestContext,
} from './lookup.ts';
import { checkReceipt, type VerifiedReceipt } from './receipt.ts';
import type { Attempt } from './replicas.ts';
import { holdsEnvelope } from './verify.ts';

export interface Submission {
  readonly envelope: Uint8Array;
  readonly txId: string;
  readonly wait: 'commit' | 'queued';
  readonly proof: 'block' | 'certificate';
}

export type SubmitResult =
  | { readonly kind: 'committed'; readonly receipt: VerifiedReceipt }
  | { readonly kind: 'queued'; readonly txId: string; readonly url: string };

/** A replica that waits for a commit gets this much longer to answer than it was asked to wait. */
const ANSWER_MARGIN_MS = 1_000;

/** Already ordered: as good as a success, once the block shows it. */
async function receiptOfDuplicate(
  context: RequestContext,
  url: string,
  submission: Submission,
  timeoutMs: number,
): Promise<Attempt<SubmitResult>> {
  const found = await fetchReceipt(context, url, submission.txId, timeoutMs);
  if (found.kind !== 'done') return found;
  if (found.value === undefined) {
    return failed(url, 'duplicate_transaction', 'ordered, but in no certified block here yet');
  }
  const { receipt, block } = found.value;
  if (!holdsEnvelope(block.block, receipt.index, submission.envelope)) {
    const message = `another envelope with this transaction id is in block ${block.number}`;
    return {
      kind: 'refused',
      failure: { url, code: 'duplicate_transaction', message, retryable: false },
    };
  }
  return { kind: 'done', value: { kind: 'committed', receipt } };
}

async function proveReceipt(
  context: RequestContext,
  url: string,
  submission: Submission,
  receipt: VerifiedReceipt,
  timeoutMs: number,
): Promise<Attempt<SubmitResult>> {
  if (submission.proof === 'certificate') {
    return { kind: 'done', value: { kind: 'committed', receipt } };
  }
  const block = await fetchBlock(context, url, receipt.blockNumber, timeoutMs);
  if (block.kind !== 'done') return block;
  const shown =
    block.value?.hash === receipt.blockHash &&
    holdsEnvelope(block.value.block, receipt.index, submission.envelope);
  if (!shown) return failed(url, 'bad_receipt', 'the block does not hold the transaction there');
  return {
    kind: 'done',
    value: { kind: 'committed', receipt: { ...receipt, proof: 'block' } },
  };
}

/** Submits to one replica. A lie of the replica is a failure of the attempt, never a result. */
export async function attemptSubmit(
  context: RequestContext,
  url: string,
  submission: Submission,
  timeLeftMs: number,
): Promise<Attempt<SubmitResult>> {
  const startedMs = Date.now();
  const waitMs = Math.max(1, Math.floor(Math.min(context.attemptTimeoutMs, timeLeftMs)));
  const query = submission.wait === 'commit' ? `?wait=commit&timeoutMs=${waitMs}` : '';
  const outcome = await sendRequest(context.fetcher, {
    url: channelUrl(url, context.channel, `/transactions${query}`),
    method: 'POST',
    accept: 'application/json',
    contentType: 'application/octet-stream',
    body: submission.envelope,
    timeoutMs: Math.min(timeLeftMs, waitMs + ANSWER_MARGIN_MS),
    signal: context.signal,
  });
  if (outcome.kind === 'failure') return { kind: 'failed', failure: outcome.failure };
  const restMs = Math.max(1, waitMs + ANSWER_MARGIN_MS - (Date.now() - startedMs));
  const body = jsonObject(outcome.body);
  if (outcome.status === 200 && body !== undefined) {
    const expected = { txId: submission.txId, url };
    const receipt = await checkReceipt(body, expected, context.verifier);
    if (receipt.kind === 'invalid') return failed(url, 'bad_receipt', receipt.reason);
    return proveReceipt(context, url, submission, receipt.value, restMs);
  }
  if (outcome.status === 202) {
    if (body?.txId !== submission.txId) {
      return failed(url, 'bad_response', 'it queued another transaction');
    }
    if (submission.wait === 'commit') {
      return failed(url, 'timeout', `not committed within ${waitMs} ms`);
    }
    return { kind: 'done', value: { kind: 'queued', txId: submission.txId, url } };
  }
  if (failureOf(url, outcome).code === 'duplicate_transaction') {
    if (submission.wait === 'queued') {
      return { kind: 'done', value: { kind: 'queued', txId: submission.txId, url } };
    }
    return receiptOfDuplicate(context, url, submission, restMs);
  }
  return failedAnswer(url, outcome);
}
