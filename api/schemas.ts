/**
 * Schemas of parameters and answers: the OpenAPI description is made of them, and the types of the
 * answers. The server itself loads this file only when somebody asks for the description (typebox
 * costs 10 MB of memory); parameters are read by the parsers of parameters.ts, and
 * test/api/contract.test.ts holds both, and every answer in the tests, against these schemas.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { ERRORS, type ErrorBody } from './errors.ts';

const closed = { additionalProperties: false } as const;
const Whole = (description: string) => Type.Integer({ minimum: 0, description });
const Base64 = (description: string) =>
  Type.String({ contentEncoding: 'base64', pattern: '^[A-Za-z0-9+/]*={0,2}$', description });
const Hex32 = (description: string) => Type.String({ pattern: '^[0-9a-f]{64}$', description });
/** Plain, because the types of a union made by `map` are lost on the compiler. */
const OneOf = <T extends string>(values: readonly T[], description: string) =>
  Type.Unsafe<T>({ type: 'string', enum: values, description });
const TxId = Hex32('Transaction id: hex SHA-256 of nonce and creator.');

export const ErrorSchema = Type.Object(
  {
    code: Type.Union(Object.keys(ERRORS).map((code) => Type.Literal(code))),
    message: Type.String({ description: 'For the reader; programs decide by the code.' }),
    requestId: Type.String({ description: 'Finds the request in the log of the replica.' }),
    details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { ...closed, description: 'Every error has this shape; docs/errors.md lists the codes.' },
);

export const QueuedSchema = Type.Object(
  {
    txId: TxId,
    duplicate: Type.Boolean({ description: 'The same envelope was queued here already.' }),
    status: Type.Union([Type.Literal('queued'), Type.Literal('pending')]),
    next: Type.Optional(
      Type.String({ description: 'With status pending: the path to ask for the receipt again.' }),
    ),
  },
  closed,
);
export type QueuedView = Static<typeof QueuedSchema>;

const CommittedSchema = Type.Object(
  {
    txId: TxId,
    duplicate: Type.Boolean({ description: 'The same envelope had been sent before.' }),
    status: Type.Literal('committed'),
    blockNumber: Whole('Number of the block.'),
    index: Whole('Position in the data of the block.'),
  },
  closed,
);
export type CommittedView = Static<typeof CommittedSchema>;

const ProofSchema = Type.Object(
  {
    blockHash: Hex32('SHA-256 of the DER form of the block header.'),
    header: Base64('common.BlockHeader.'),
    certificate: Base64('SIGNATURES metadata of the block: common.Metadata.'),
  },
  closed,
);
export type ProofView = Static<typeof ProofSchema>;

export const ReceiptSchema = Type.Object(
  { ...CommittedSchema.properties, ...ProofSchema.properties },
  closed,
);
export type ReceiptView = Static<typeof ReceiptSchema>;

const HttpStatus = Type.Integer({ minimum: 100, maximum: 599, description: 'Status alone.' });

const resultsWith = (
  properties: Readonly<Record<string, TSchema>>,
  committed: typeof CommittedSchema | typeof ReceiptSchema,
) =>
  Type.Union([
    Type.Object({ ...properties, ...QueuedSchema.properties }, closed),
    Type.Object({ ...properties, ...committed.properties }, closed),
    Type.Object(
      { ...properties, status: Type.Literal('refused'), ...ErrorSchema.properties },
      closed,
    ),
  ]);
const BulkItemSchema = resultsWith({ httpStatus: HttpStatus }, CommittedSchema);
/**
 * Spelled out for the refused ones, because the codes of a union made by
 * `map` are lost on the compiler.
 */
export type ResultView<Committed> = { httpStatus: number } & (
  | QueuedView
  | Committed
  | ({ status: 'refused' } & ErrorBody)
);
export type BulkItemView = ResultView<CommittedView>;

export const StreamItemSchema = resultsWith(
  { item: Whole('Position of the envelope in the stream, from 0.'), httpStatus: HttpStatus },
  ReceiptSchema,
);
export type StreamItemView = { item: number } & ResultView<ReceiptView>;

export const BulkSchema = Type.Object(
  {
    results: Type.Array(BulkItemSchema, { description: 'One result an item, in their order.' }),
    blocks: Type.Array(
      Type.Object(
        { blockNumber: CommittedSchema.properties.blockNumber, ...ProofSchema.properties },
        closed,
      ),
      { description: 'The blocks that results name, each once: with these they are receipts.' },
    ),
  },
  closed,
);
export interface BulkView {
  results: BulkItemView[];
  blocks: ({ blockNumber: number } & ProofView)[];
}

export const LocationSchema = Type.Object(
  {
    txId: TxId,
    status: Type.Literal('committed'),
    blockNumber: Whole('Number of the block.'),
    index: Whole('Position in the data of the block.'),
    block: Type.String({ description: 'Path of the block.' }),
  },
  closed,
);
export type LocationView = Static<typeof LocationSchema>;

export const ChannelSchema = Type.Object(
  {
    channel: Type.String(),
    height: Whole('Number of certified blocks, genesis included; the newest is height - 1.'),
    tipHash: Hex32('Hash of the newest certified block.'),
    replica: Whole('Number of this replica.'),
    replicas: Whole('Replicas of the channel.'),
    faultsTolerated: Whole('Replicas that may be faulty.'),
    quorum: Whole('Signatures in a certificate, at least.'),
    state: OneOf(
      ['starting', 'ordering', 'changing', 'joined', 'transferring', 'stopped'],
      'changing: waits for a new leader; joined: takes part and does not vote yet; transferring: fetches what it missed.',
    ),
    view: Whole('Current view.'),
    leader: Whole('Number of the leader of the view.'),
    changing: Type.Boolean({ description: 'The view is asked for, and not open yet.' }),
    viewChanges: Whole('Views entered since the replica started.'),
    mute: Type.Boolean({ description: 'It lost the memory of its votes and does not vote yet.' }),
    transferring: Type.Boolean({ description: 'It fetches blocks up to a checkpoint.' }),
    path: OneOf(['fast', 'slow'], 'Last commit: all replicas voted, or a signed quorum.'),
    executedSlot: Whole('Last slot that was executed here.'),
    stableSlot: Whole('Slot of the newest stable checkpoint.'),
    windowSlots: Whole('Slots above it that may be open.'),
    durability: OneOf(['wal', 'memory'], 'wal: votes are on disk before they are sent.'),
    disk: OneOf(['ok', 'full'], 'full: the replica stands still until there is room.'),
    transactionsPending: Whole('Transactions queued here and in no block yet.'),
    peers: Type.Array(
      Type.Object(
        {
          replica: Whole('Number of the peer.'),
          connected: Type.Boolean(),
          lagSlots: Type.Union([Type.Integer(), Type.Null()], {
            description: 'Slots that it is behind this replica; null: it has said nothing.',
          }),
          faults: Whole('Faults that this replica has seen of it since it started.'),
        },
        closed,
      ),
    ),
    envelopeBytesMax: Whole('Largest envelope that is accepted, bytes.'),
    gateway: Type.Boolean({ description: 'JSON {"data": ...} is signed by the replica.' }),
  },
  closed,
);
export type ChannelView = Static<typeof ChannelSchema>;

export const ChannelsSchema = Type.Object(
  {
    channels: Type.Array(
      Type.Object({ channel: Type.String(), height: Whole('Certified blocks.') }, closed),
    ),
  },
  closed,
);
export type ChannelsView = Static<typeof ChannelsSchema>;

const TransactionSchema = Type.Object(
  {
    index: Whole('Position in the block.'),
    txId: Type.String(),
    type: Type.String({ description: 'Name of the header type, or its number.' }),
    channel: Type.String(),
    timestamp: Type.String({ description: 'What the client claims, RFC 3339; empty: none.' }),
    creator: Type.Object(
      {
        mspId: Type.String(),
        subject: Type.Optional(Type.String({ description: 'Of the certificate.' })),
      },
      closed,
    ),
    data: Base64('Payload data.'),
    text: Type.Optional(Type.String({ description: 'The data, when it is short readable UTF-8.' })),
  },
  closed,
);
export type TransactionView = Static<typeof TransactionSchema>;

export const BlockSchema = Type.Object(
  {
    number: Whole('Block number.'),
    hash: Hex32('SHA-256 of the DER form of the header.'),
    previousHash: Type.String({ description: 'Hex; empty in block 0.' }),
    dataHash: Hex32('SHA-256 of the envelopes, one after the other.'),
    bytes: Whole('Size of the serialized block.'),
    certificate: Type.Object(
      {
        signers: Type.Array(Whole('Consenter number.'), { description: 'Empty in block 0.' }),
        lastConfig: Whole('Number of the configuration block in force.'),
      },
      closed,
    ),
    transactions: Type.Array(
      Type.Union([
        TransactionSchema,
        Type.Object(
          { index: Whole('Position.'), malformed: Type.String(), data: Base64('Envelope bytes.') },
          closed,
        ),
      ]),
    ),
    raw: Type.Optional(Base64('common.Block, with raw=true.')),
  },
  closed,
);
export type BlockView = Static<typeof BlockSchema>;

export const HealthSchema = Type.Object(
  {
    status: Type.Literal('ok'),
    channels: Type.Array(
      Type.Object(
        { channel: Type.String(), canOrder: Type.Boolean(), reason: Type.String() },
        closed,
      ),
    ),
  },
  closed,
);

export const LiveSchema = Type.Object({ status: Type.Literal('ok') }, closed);

export const VersionSchema = Type.Object(
  {
    name: Type.Literal('sluice'),
    version: Type.String(),
    api: Type.Literal('v1'),
    replica: Whole('Number of this replica.'),
    node: Type.String(),
  },
  closed,
);

const BlockNumber = '0|[1-9][0-9]{0,15}';
const Timeout = (description: string) =>
  Type.Optional(Type.String({ pattern: '^(?:0|[1-9][0-9]{0,15})$', description }));
const Wait = {
  wait: Type.Optional(
    Type.Literal('commit', { description: 'Answer when the transaction is in a certified block.' }),
  ),
  timeoutMs: Timeout('Longest wait, milliseconds; with wait=commit.'),
};
const Flag = (description: string) =>
  Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')], { description }));

export const ChannelParams = Type.Object({ channel: Type.String() });
export const TransactionParams = Type.Object({ channel: Type.String(), txId: TxId });
export const BlockParams = Type.Object({
  channel: Type.String(),
  number: Type.String({
    pattern: `^(?:newest|oldest|${BlockNumber})$`,
    description: 'Number, newest or oldest.',
  }),
});
export const WaitQuery = Type.Object(Wait, closed);
export const SubmitStreamQuery = Type.Object(
  { timeoutMs: Timeout('Longest wait for the commit of an envelope, milliseconds.') },
  closed,
);
export const BlockQuery = Type.Object(
  { raw: Flag('Add the serialized block to the JSON form.') },
  closed,
);
export const DeliverQuery = Type.Object(
  {
    from: Type.Optional(
      Type.String({
        pattern: `^(?:newest|oldest|${BlockNumber})$`,
        description: 'First block: number, oldest, or newest (default).',
      }),
    ),
    to: Type.Optional(
      Type.String({
        pattern: `^(?:newest|oldest|${BlockNumber})$`,
        description: 'Last block; default: the newest at this time, or with follow=true none.',
      }),
    ),
    follow: Flag('Wait for blocks that do not exist yet.'),
    format: Type.Optional(
      Type.Union([Type.Literal('json'), Type.Literal('protobuf')], {
        description: 'Overrides Accept; on a WebSocket: text JSON (default) or binary protobuf.',
      }),
    ),
    raw: Flag('Add the serialized block to the JSON form.'),
  },
  closed,
);

export const SubmitJson = Type.Union([
  Type.Object({ envelope: Base64('One common.Envelope.') }, closed),
  Type.Object({ envelopes: Type.Array(Base64('common.Envelope.'), { minItems: 1 }) }, closed),
  Type.Object(
    {
      data: Type.Unknown({
        description: 'Signed by the gateway: a string as its UTF-8 bytes, anything else as JSON.',
      }),
    },
    closed,
  ),
]);
