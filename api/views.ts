/**
 * JSON forms of what the orderer answers. Their schemas are in schemas.ts, which only the
 * documentation and the tests load.
 */
import type { ChannelInfo, Receipt, TransactionLocation } from '../orderer/service.ts';
import { errorBody, statusOf } from './errors.ts';
import type {
  BulkView,
  ChannelView,
  CommittedView,
  LocationView,
  ProofView,
  QueuedView,
  ReceiptView,
  ResultView,
  StreamItemView,
} from './schemas.ts';
import type { Submission } from './submit.ts';

export function transactionPath(channel: string, txId: string): string {
  return `/v1/channels/${encodeURIComponent(channel)}/transactions/${txId}`;
}

export function receiptView(receipt: Receipt, duplicate: boolean): ReceiptView {
  return { ...committedView(receipt, duplicate), ...proofView(receipt) };
}

function committedView(receipt: Receipt, duplicate: boolean): CommittedView {
  const { txId, blockNumber, index } = receipt;
  return { txId, duplicate, status: 'committed', blockNumber, index };
}

function proofView(receipt: Receipt): ProofView {
  return {
    blockHash: receipt.blockHash,
    header: sharedBase64(receipt.header),
    certificate: sharedBase64(receipt.certificate),
  };
}

/** `pending`: how to ask again is in `next`. */
export function pendingView(channel: string, txId: string, duplicate: boolean): QueuedView {
  const next = `${transactionPath(channel, txId)}?wait=commit`;
  return { txId, duplicate, status: 'pending', next };
}

export function locationView(channel: string, location: TransactionLocation): LocationView {
  const { txId, blockNumber, index } = location;
  const block = `/v1/channels/${encodeURIComponent(channel)}/blocks/${blockNumber}`;
  return { txId, status: 'committed', blockNumber, index, block };
}

/** HTTP status that this submission would have had alone. */
export function submissionStatus(submission: Submission): number {
  switch (submission.kind) {
    case 'committed':
      return 200;
    case 'queued':
    case 'pending':
      return 202;
    case 'refused':
      return statusOf(submission.error.code);
  }
}

/** What the transactions of a block have in common is said once, however many of them there are: it is the most of a receipt. */
export function bulkView(
  channel: string,
  submissions: readonly Submission[],
  requestId: string,
): BulkView {
  const blocks = new Map<number, BulkView['blocks'][number]>();
  for (const submission of submissions) {
    if (submission.kind !== 'committed') continue;
    const { blockNumber } = submission.receipt;
    if (blocks.has(blockNumber)) continue;
    blocks.set(blockNumber, { blockNumber, ...proofView(submission.receipt) });
  }
  const results = submissions.map((submission) =>
    resultView(channel, submission, requestId, committedView),
  );
  return { results, blocks: [...blocks.values()] };
}

/** `viewOf`: how much is said of a committed one. */
function resultView<Committed extends CommittedView>(
  channel: string,
  submission: Submission,
  requestId: string,
  viewOf: (receipt: Receipt, duplicate: boolean) => Committed,
): ResultView<Committed> {
  const httpStatus = submissionStatus(submission);
  switch (submission.kind) {
    case 'committed':
      return { httpStatus, ...viewOf(submission.receipt, submission.duplicate) };
    case 'pending':
      return { httpStatus, ...pendingView(channel, submission.txId, submission.duplicate) };
    case 'queued':
      return {
        httpStatus,
        txId: submission.txId,
        duplicate: submission.duplicate,
        status: 'queued',
      };
    case 'refused':
      return { httpStatus, status: 'refused', ...errorBody(submission.error, requestId) };
  }
}

/** `item`: position of the envelope in its stream. */
export function streamItemView(
  channel: string,
  item: number,
  submission: Submission,
  requestId: string,
): StreamItemView {
  return { item, ...resultView(channel, submission, requestId, receiptView) };
}

export function channelView(
  info: ChannelInfo,
  envelopeBytesMax: number,
  gateway: boolean,
): ChannelView {
  return {
    ...info,
    peers: info.peers.map((peer) => ({ ...peer, lagSlots: peer.lagSlots ?? null })),
    envelopeBytesMax,
    gateway,
  };
}

/** All receipts of a block share header and certificate: they are written out once. */
const base64Of = new WeakMap<Uint8Array, string>();

function sharedBase64(bytes: Uint8Array): string {
  let text = base64Of.get(bytes);
  if (text === undefined) {
    text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
    base64Of.set(bytes, text);
  }
  return text;
}
