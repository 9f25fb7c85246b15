/**
 * Transactions through the orderer: what happened to each, as data, the same for a single
 * request and for an item of many.
 */
import type { Socket } from 'node:net';
import { type Block, decodeBlock } from '../ledger/format/index.ts';
import type { Accepted, ChannelService, Receipt, Refusal } from '../orderer/service.ts';
import type { ApiContext } from './context.ts';
import { ApiError, refusalError } from './errors.ts';

export type Submission =
  | { readonly kind: 'queued' | 'pending'; readonly txId: string; readonly duplicate: boolean }
  | { readonly kind: 'committed'; readonly receipt: Receipt; readonly duplicate: boolean }
  | { readonly kind: 'refused'; readonly error: ApiError };

/** Queues the envelopes. Rejects only for bugs. */
export async function submitEnvelopes(
  channel: ChannelService,
  envelopes: readonly Uint8Array[],
): Promise<Submission[]> {
  const outcomes = await channel.submit(envelopes);
  return outcomes.map((outcome) =>
    outcome.kind === 'accepted'
      ? { kind: 'queued', txId: outcome.txId, duplicate: outcome.duplicate }
      : { kind: 'refused', error: refusalError(outcome) },
  );
}

/**
 * Queues the envelopes and waits for their receipts. Sending the very same envelope again is answered
 * with the receipt of the first time; another envelope under the same transaction id is a
 * `duplicate_transaction`. Needs a reserved place among the waiters for each.
 */
export async function submitAndWait(
  context: ApiContext,
  channel: ChannelService,
  envelopes: readonly Uint8Array[],
  timeoutMs: number,
  socket: Socket,
): Promise<Submission[]> {
  const outcomes = await channel.submit(envelopes);
  const accepted = outcomes.filter((outcome) => outcome.kind === 'accepted');
  const txIds = accepted.map(({ txId }) => txId);
  const receipts =
    txIds.length === 0 ? [] : await context.waiters.wait(channel, txIds, timeoutMs, socket);
  let next = 0;
  return Promise.all(
    outcomes.map((outcome, index) => {
      const envelope = envelopes[index] ?? new Uint8Array();
      return outcome.kind === 'accepted'
        ? afterWaiting(channel, envelope, outcome, receipts[next++])
        : afterRefusal(channel, envelope, outcome);
    }),
  );
}

/** What an accepted envelope has become: `receipt` is undefined when the time for it is over. */
export function afterWaiting(
  channel: ChannelService,
  envelope: Uint8Array,
  { txId, duplicate }: Accepted,
  receipt: Receipt | undefined,
): Submission | Promise<Submission> {
  if (receipt === undefined) return { kind: 'pending', txId, duplicate };
  const committed: Submission = { kind: 'committed', receipt, duplicate };
  if (!duplicate) return committed;
  return holdsEnvelope(channel, receipt, envelope).then((holds) =>
    holds ? committed : { kind: 'refused', error: otherTransaction(receipt) },
  );
}

/** What a refused envelope gets: the receipt of the first time when it is that very one which was ordered. */
export async function afterRefusal(
  channel: ChannelService,
  envelope: Uint8Array,
  refusal: Refusal,
): Promise<Submission> {
  const error = refusalError(refusal);
  const txId = refusal.location?.txId;
  if (error.code === 'duplicate_transaction' && txId !== undefined) {
    // It is in a certified block, so this settles at once; the timer
    // only guards against a bug there.
    const [receipt] = await channel.committed([txId], AbortSignal.timeout(1000));
    if (receipt !== undefined && (await holdsEnvelope(channel, receipt, envelope))) {
      return { kind: 'committed', receipt, duplicate: true };
    }
  }
  return { kind: 'refused', error };
}

async function holdsEnvelope(
  channel: ChannelService,
  receipt: Receipt,
  envelope: Uint8Array,
): Promise<boolean> {
  const stored = await channel.block(receipt.blockNumber);
  const block: Block | undefined = stored && valueIfOk(decodeBlock(stored.bytes));
  const ordered = block?.data[receipt.index];
  return ordered !== undefined && Buffer.compare(ordered, envelope) === 0;
}

function valueIfOk<T>(decoded: { kind: 'ok'; value: T } | { kind: 'malformed' }): T | undefined {
  return decoded.kind === 'ok' ? decoded.value : undefined;
}

function otherTransaction({ txId, blockNumber, index }: Receipt): ApiError {
  return new ApiError('duplicate_transaction', {
    message: 'Another transaction with the same id was ordered. Use a new nonce.',
    details: { location: { txId, blockNumber, index } },
  });
}
