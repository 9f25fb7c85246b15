/** Every route as the OpenAPI document shows it. test/api/contract.test.ts compares this list with what the server serves. */
import { type TSchema, Type } from 'typebox';
import { DELIVER_URL } from './deliver/route.ts';
import type { ErrorCode } from './errors.ts';
import { FRAME_MEDIA_TYPE } from './framing.ts';
import { BLOCK_URL, CHANNEL_URL, CHANNELS_URL } from './routes/channels.ts';
import { HEALTH_URL, LIVE_URL, VERSION_URL } from './routes/health.ts';
import { TRANSACTION_URL, TRANSACTIONS_URL } from './routes/transactions.ts';
import {
  BlockParams,
  BlockQuery,
  BlockSchema,
  BulkSchema,
  ChannelParams,
  ChannelSchema,
  ChannelsSchema,
  DeliverQuery,
  HealthSchema,
  LiveSchema,
  LocationSchema,
  QueuedSchema,
  ReceiptSchema,
  StreamItemSchema,
  SubmitJson,
  SubmitStreamQuery,
  TransactionParams,
  VersionSchema,
  WaitQuery,
} from './schemas.ts';
import { SUBMIT_STREAM_URL } from './submit-stream/route.ts';

export interface RouteDescription {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly tag: 'transactions' | 'channels' | 'operation';
  readonly summary: string;
  readonly description?: string;
  readonly params?: TSchema;
  readonly query?: TSchema;
  readonly body?: Readonly<Record<string, TSchema>>;
  readonly responses: Readonly<
    Record<
      string,
      { readonly description: string; readonly content: Readonly<Record<string, TSchema>> }
    >
  >;
  readonly errors: readonly ErrorCode[];
}

const Bytes = (description: string) => Type.String({ format: 'binary', description });
const json = (description: string, schema: TSchema) => ({
  description,
  content: { 'application/json': schema },
});

const SUBMIT_ERRORS: readonly ErrorCode[] = [
  'empty_envelope',
  'malformed_envelope',
  'not_canonical',
  'unsupported_type',
  'wrong_channel',
  'bad_tx_id',
  'empty_body',
  'malformed_body',
  'malformed_json',
  'invalid_parameter',
  'unknown_writer',
  'expired_certificate',
  'revoked_certificate',
  'bad_signature',
  'policy_denied',
  'gateway_disabled',
  'no_such_channel',
  'duplicate_transaction',
  'envelope_too_large',
  'body_too_large',
  'too_many_items',
  'unsupported_media_type',
  'overloaded',
  'rate_limited',
  'internal_error',
  'not_ready',
  'too_many_waiters',
  'shutting_down',
];

const submit: RouteDescription = {
  method: 'POST',
  url: TRANSACTIONS_URL,
  tag: 'transactions',
  summary: 'Submit one transaction, or many.',
  description:
    'One envelope as bytes or base64, JSON data that the gateway signs, or many envelopes (JSON array or length-prefixed ' +
    'sequence). 202 says that it is queued here; with wait=commit 200 says that it is in a certified block. Many: 200 all ' +
    'committed, 202 all accepted, 207 some refused; each item has its own result, and `blocks` holds header and certificate of the blocks that they name.',
  params: ChannelParams,
  query: WaitQuery,
  body: {
    'application/octet-stream': Bytes('One serialized common.Envelope.'),
    'application/x-protobuf': Bytes('One serialized common.Envelope.'),
    'application/json': SubmitJson,
    [FRAME_MEDIA_TYPE]: Bytes('Each envelope after its length, u32 big-endian.'),
  },
  responses: {
    200: json('Committed.', Type.Union([ReceiptSchema, BulkSchema])),
    202: json('Queued, or not committed within the time.', Type.Union([QueuedSchema, BulkSchema])),
    207: json('Of many, some were refused.', BulkSchema),
  },
  errors: SUBMIT_ERRORS,
};

const submitStream: RouteDescription = {
  method: 'POST',
  url: SUBMIT_STREAM_URL,
  tag: 'transactions',
  summary: 'Submit many over one request, for as long as one likes.',
  description:
    'The body is read as it comes; a result goes out as soon as it is known, in any order, by the position of its envelope. ' +
    'Who sends faster than the replica orders is not read: nothing is refused for load. A zero length is a heart-beat. ' +
    'A stream that ends early says why in a last line of the error shape; `details.items` envelopes have a result then.',
  params: ChannelParams,
  query: SubmitStreamQuery,
  body: { [FRAME_MEDIA_TYPE]: Bytes('Each envelope after its length, u32 big-endian.') },
  responses: {
    200: {
      description: 'Results, one a line; empty line: heart-beat.',
      content: { 'application/x-ndjson': StreamItemSchema },
    },
  },
  errors: [
    'invalid_parameter',
    'no_such_channel',
    'not_acceptable',
    'unsupported_media_type',
    'rate_limited',
    'too_many_streams',
    'shutting_down',
  ],
};

const transaction: RouteDescription = {
  method: 'GET',
  url: TRANSACTION_URL,
  tag: 'transactions',
  summary: 'Where a transaction is; with wait=commit its receipt.',
  params: TransactionParams,
  query: WaitQuery,
  responses: {
    200: json('In a certified block.', Type.Union([LocationSchema, ReceiptSchema])),
    202: json('With wait=commit: not committed within the time.', QueuedSchema),
  },
  errors: [
    'invalid_parameter',
    'no_such_channel',
    'no_such_transaction',
    'internal_error',
    'too_many_waiters',
    'shutting_down',
  ],
};

const channels: RouteDescription = {
  method: 'GET',
  url: CHANNELS_URL,
  tag: 'channels',
  summary: 'The channels of this replica.',
  responses: { 200: json('Channels.', ChannelsSchema) },
  errors: ['invalid_parameter', 'shutting_down'],
};

const channel: RouteDescription = {
  method: 'GET',
  url: CHANNEL_URL,
  tag: 'channels',
  summary: 'What a channel is doing: height, tip, view, leader, window, peers.',
  params: ChannelParams,
  responses: { 200: json('The channel.', ChannelSchema) },
  errors: ['invalid_parameter', 'no_such_channel', 'shutting_down'],
};

const block: RouteDescription = {
  method: 'GET',
  url: BLOCK_URL,
  tag: 'channels',
  summary: 'One block, readable or as its exact bytes.',
  params: BlockParams,
  query: BlockQuery,
  responses: {
    200: {
      description: 'The block; it never changes, so it may be cached for ever.',
      content: {
        'application/json': BlockSchema,
        'application/x-protobuf': Bytes('common.Block.'),
      },
    },
  },
  errors: [
    'invalid_parameter',
    'no_such_channel',
    'block_not_ready',
    'not_acceptable',
    'internal_error',
    'shutting_down',
  ],
};

const deliver: RouteDescription = {
  method: 'GET',
  url: DELIVER_URL,
  tag: 'channels',
  summary: 'Blocks in order, as a stream.',
  description:
    'NDJSON, server-sent events or length-prefixed protobuf by Accept, or a WebSocket on the same URL. Resume with from = last ' +
    'block + 1 (an EventSource does it by itself). A client that does not take a block in time is dropped with stream_too_slow. ' +
    'The last record of a stream that ends early has the error shape.',
  params: ChannelParams,
  query: DeliverQuery,
  responses: {
    200: {
      description: 'Blocks.',
      content: {
        'application/x-ndjson': Type.String({
          description: 'One block a line; empty line: heart-beat.',
        }),
        'text/event-stream': Type.String({ description: 'event: block, id: its number.' }),
        [FRAME_MEDIA_TYPE]: Bytes('Each common.Block after its length, u32 big-endian.'),
      },
    },
  },
  errors: [
    'invalid_parameter',
    'bad_range',
    'origin_not_allowed',
    'no_such_channel',
    'block_not_ready',
    'not_acceptable',
    'too_many_streams',
    'shutting_down',
  ],
};

const health: RouteDescription = {
  method: 'GET',
  url: HEALTH_URL,
  tag: 'operation',
  summary: '200 only when every channel of this replica can order.',
  responses: { 200: json('Healthy.', HealthSchema) },
  errors: ['not_ready', 'shutting_down'],
};

const live: RouteDescription = {
  method: 'GET',
  url: LIVE_URL,
  tag: 'operation',
  summary: '200 as long as the process answers.',
  responses: { 200: json('Alive.', LiveSchema) },
  errors: [],
};

const version: RouteDescription = {
  method: 'GET',
  url: VERSION_URL,
  tag: 'operation',
  summary: 'Version of Sluice, of this API and of Node.',
  responses: { 200: json('Version.', VersionSchema) },
  errors: ['shutting_down'],
};

export const ROUTES: readonly RouteDescription[] = [
  submit,
  submitStream,
  transaction,
  channels,
  channel,
  block,
  deliver,
  health,
  live,
  version,
];
