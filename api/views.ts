/**
 * JSON forms of what the orderer answers. Their schemas are in schemas.ts, which only the
 * documentation and the tests load.
 */
import type { ChannelInfo, Receipt, TransactionLocation } from '../orderer/service.ts';
import { errorBody, statusOf } from './errors.ts';
import type {
  BulkItemView,
  ChannelView,
  LocationView,
  QueuedView,
  ReceiptView,
  StreamItemView,
} from './schemas.ts';
import type { Submission } from './submit.ts';

export function transactionPath(channel: string, txId: string): string {
  return `/v1/channels/${encodeURIComponent(channel)}/transactions/${txId}`;
}

export function receiptView(receipt: Receipt, duplicate: boolean): ReceiptView {
  return {
    txId: receipt.txId,
    duplicate,
    status: 'committed',
    blockNumber: receipt.blockNumber,
    index: receipt.index,
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

export function bulkItemView(
  channel: string,
  submission: Submission,
  requestId: string,
): BulkItemView {
  const httpStatus = submissionStatus(submission);
  switch (submission.kind) {
    case 'committed':
      return { httpStatus, ...receiptView(submission.receipt, submission.duplicate) };
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
  return { item, ...bulkItemView(channel, submission, requestId) };
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
