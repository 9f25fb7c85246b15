/** Submit transactions, and ask where they are. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ChannelService } from '../../orderer/service.ts';
import { type ApiContext, channelOf } from '../context.ts';
import { ApiError, retryAfterSeconds } from '../errors.ts';
import { FRAME_MEDIA_TYPE } from '../framing.ts';
import { mediaTypeOf } from '../media-types.ts';
import { readQuery, readTxId } from '../parameters.ts';
import { type ParsedSubmission, parseJsonSubmission, parseSequence } from '../submission-body.ts';
import { type Submission, submitAndWait, submitEnvelopes } from '../submit.ts';
import {
  bulkView,
  locationView,
  pendingView,
  receiptView,
  submissionStatus,
  transactionPath,
} from '../views.ts';
import { readWait } from '../waiting.ts';

export const TRANSACTIONS_URL = '/v1/channels/:channel/transactions';
export const TRANSACTION_URL = '/v1/channels/:channel/transactions/:txId';

const RAW_TYPES = ['application/octet-stream', 'application/x-protobuf'] as const;
const JSON_TYPE = 'application/json';
export const SUBMIT_TYPES: readonly string[] = [...RAW_TYPES, JSON_TYPE, FRAME_MEDIA_TYPE];
const WAIT_PARAMETERS = ['wait', 'timeoutMs'] as const;

type ChannelRequest = FastifyRequest<{ Params: { channel: string } }>;

export function registerTransactions(app: FastifyInstance, context: ApiContext): void {
  app.register(async (scope) => {
    registerBodyParsers(scope, context);
    scope.post<{ Params: { channel: string } }>(TRANSACTIONS_URL, async (request, reply) => {
      const body = request.body;
      const bytes = Buffer.isBuffer(body) ? body : undefined;
      try {
        return await submit(context, request, reply, bytes);
      } finally {
        if (bytes !== undefined) context.bodies.release(bytes.length);
      }
    });
  });

  app.get<{ Params: { channel: string; txId: string } }>(
    TRANSACTION_URL,
    async (request, reply) => {
      const channel = channelOf(context, request.params.channel);
      const txId = readTxId(request.params.txId);
      const waitMs = readWait(readQuery(request.query, WAIT_PARAMETERS), context.limits);
      if (waitMs !== undefined) {
        return awaitTransaction(context, channel, txId, waitMs, request, reply);
      }
      const location = await channel.transaction(txId);
      if (location === undefined) {
        throw new ApiError('no_such_transaction');
      }
      return locationView(channel.channel, location);
    },
  );
}

/** All bodies arrive as one Buffer; what it means is decided once, by the handler. */
function registerBodyParsers(scope: FastifyInstance, context: ApiContext): void {
  const { limits, bodies } = context;
  scope.removeAllContentTypeParsers();
  for (const type of SUBMIT_TYPES) {
    scope.addContentTypeParser(type, (request, payload, done) => {
      const channel = channelOf(context, (request.params as { channel: string }).channel);
      const declared = request.headers['content-length'];
      const declaredBytes = declared === undefined ? Number.NaN : Number(declared);
      const bytesMax = bodyBytesMax(type, channel.envelopeBytesMax, limits);
      bodies.read(payload, declaredBytes, bytesMax, done);
    });
  }
}

/**
 * @throws RangeError when the bodies of all requests together may not even hold
 * the largest one of this channel.
 */
export function checkBodyLimits(channel: ChannelService, limits: ApiContext['limits']): void {
  const largest = Math.max(
    ...SUBMIT_TYPES.map((type) => bodyBytesMax(type, channel.envelopeBytesMax, limits)),
  );
  if (largest > limits.bodyBytesInFlightMax) {
    throw new RangeError(
      `api limit bodyBytesInFlightMax (${limits.bodyBytesInFlightMax}) is smaller than one request of channel ${channel.channel} may be (${largest}): raise it`,
    );
  }
}

/** JSON carries base64, a third more than the envelope itself. */
function bodyBytesMax(
  type: string,
  envelopeBytesMax: number,
  limits: ApiContext['limits'],
): number {
  const single = envelopeBytesMax + limits.bodySlackBytes;
  if (type === FRAME_MEDIA_TYPE) {
    return Math.max(limits.bulkBytesMax, single);
  }
  return type === JSON_TYPE ? Math.max(limits.bulkBytesMax, Math.ceil((single * 4) / 3)) : single;
}

async function submit(
  context: ApiContext,
  request: ChannelRequest,
  reply: FastifyReply,
  body: Buffer | undefined,
): Promise<FastifyReply> {
  const channel = channelOf(context, request.params.channel);
  const waitMs = readWait(readQuery(request.query, WAIT_PARAMETERS), context.limits);
  if (body === undefined) {
    throw new ApiError('empty_body', {
      message: `The request has no body. Send a transaction as ${SUBMIT_TYPES.join(', ')}.`,
    });
  }
  const parsed = parse(mediaTypeOf(request.headers['content-type']), body, channel, context);
  if (parsed.kind === 'many') {
    return submitMany(context, channel, parsed.envelopes, waitMs, request, reply);
  }
  const [submission] = await submitAll(context, channel, [parsed.envelope], waitMs, request);
  return sendSingle(reply, channel, submission as Submission);
}

/** With `waitMs`: waits for the receipts. */
async function submitAll(
  context: ApiContext,
  channel: ChannelService,
  envelopes: readonly Uint8Array[],
  waitMs: number | undefined,
  request: ChannelRequest,
): Promise<Submission[]> {
  if (waitMs === undefined) return submitEnvelopes(channel, envelopes);
  context.waiters.reserve(envelopes.length);
  try {
    return await submitAndWait(context, channel, envelopes, waitMs, request.raw.socket);
  } finally {
    context.waiters.free(envelopes.length);
  }
}

function parse(
  type: string,
  body: Buffer,
  channel: ChannelService,
  context: ApiContext,
): ParsedSubmission {
  switch (type) {
    case JSON_TYPE:
      return parseJsonSubmission(body, channel.gateway, context.limits.bulkItemsMax);
    case FRAME_MEDIA_TYPE:
      return parseSequence(body, context.limits.bulkItemsMax);
    default:
      return { kind: 'one', envelope: body };
  }
}

function sendSingle(
  reply: FastifyReply,
  channel: ChannelService,
  submission: Submission,
): FastifyReply {
  if (submission.kind === 'refused') {
    throw submission.error;
  }
  reply.code(submissionStatus(submission));
  if (submission.kind === 'committed') {
    return reply.send(receiptView(submission.receipt, submission.duplicate));
  }
  const { txId, duplicate } = submission;
  reply.header('location', transactionPath(channel.channel, txId));
  return submission.kind === 'pending'
    ? reply.send(pendingView(channel.channel, txId, duplicate))
    : reply.send({ txId, duplicate, status: 'queued' });
}

/**
 * Each item stands for itself. Status: 200 all committed; 202 all accepted, some not
 * committed (yet); 207 some refused. A replica that can take nothing at present says that once.
 */
async function submitMany(
  context: ApiContext,
  channel: ChannelService,
  envelopes: readonly Uint8Array[],
  waitMs: number | undefined,
  request: ChannelRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (waitMs !== undefined && envelopes.length > context.limits.waitersMax) {
    // There will never be room for so many, so "later" would be no help.
    throw new ApiError('too_many_items', { details: { itemsMax: context.limits.waitersMax } });
  }
  const submissions = await submitAll(context, channel, envelopes, waitMs, request);
  const refused = submissions.flatMap((item) => (item.kind === 'refused' ? [item.error] : []));
  const [first] = refused;
  if (first !== undefined && refused.length === submissions.length && isForAll(first, refused)) {
    throw first;
  }
  const waiting = submissions.some((item) => item.kind === 'queued' || item.kind === 'pending');
  const retryAfter = Math.max(0, ...refused.map((error) => retryAfterSeconds(error) ?? 0));
  if (retryAfter > 0) reply.header('retry-after', String(retryAfter));
  reply.code(refused.length > 0 ? 207 : waiting ? 202 : 200);
  return reply.send(bulkView(channel.channel, submissions, request.id));
}

/** Would any other envelope have been refused in the same way? Then the request was, and not its items. */
function isForAll(first: ApiError, refused: readonly ApiError[]): boolean {
  return retryAfterSeconds(first) !== undefined && refused.every(({ code }) => code === first.code);
}

async function awaitTransaction(
  context: ApiContext,
  channel: ChannelService,
  txId: string,
  waitMs: number,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  context.waiters.reserve(1);
  try {
    const [receipt] = await context.waiters.wait(channel, [txId], waitMs, request.raw.socket);
    return receipt === undefined
      ? reply.code(202).send(pendingView(channel.channel, txId, false))
      : reply.send(receiptView(receipt, false));
  } finally {
    context.waiters.free(1);
  }
}
