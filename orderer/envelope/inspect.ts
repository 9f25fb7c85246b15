/**
 * What an envelope says, judged without its signature: everything cheap, in the order of Fabric's
 * orderer (orderer/common/msgprocessor) with the transaction id, which Fabric leaves to the peers
 * (core/common/validation), because de-duplication here rests on it.
 *
 * A pure function of the bytes and the channel's configuration: it reads no clock. Whether the
 * writer's certificate was valid at the time of ordering is decided later, from the ordered time
 * (see `check.ts`).
 */
import {
  HEADER_TYPES,
  isHexOf,
  type ParsedEnvelope,
  parseEnvelope,
  toHex,
} from '../../ledger/format/index.ts';
import { sha256 } from '../../rdma/index.ts';
import { refusal } from '../errors.ts';
import { ENVELOPE_FRAMING_BYTES_MAX, ORDERER_LIMITS } from '../limits.ts';
import type { Refusal } from '../service.ts';
import type { VerifyItem } from '../signature/index.ts';
import type { CheckedTransaction } from './transaction.ts';
import type { WriterJudgement } from './writers.ts';

/** What a channel's configuration decides about its envelopes. */
export interface InspectContext {
  readonly channel: string;
  /** Payload and signature together, as Fabric counts. */
  readonly absoluteMaxBytes: number;
  /** Identity and right to write of a serialized creator, the clock left aside. */
  readonly judgeWriter: (creator: Uint8Array) => WriterJudgement;
}

export interface Inspected {
  readonly kind: 'inspected';
  readonly unverified: CheckedTransaction;
  /** What is left to check. */
  readonly verify: VerifyItem;
}

/** Longest piece of an envelope that a refusal quotes. */
const QUOTE_LENGTH_MAX = 64;

/** Refuses what its length alone rules out; undefined when the bytes are worth reading. */
function inspectLength(bytes: Uint8Array, absoluteMaxBytes: number): Refusal | undefined {
  if (bytes.length === 0) return refusal('empty_envelope');
  if (bytes.length > absoluteMaxBytes + ENVELOPE_FRAMING_BYTES_MAX) {
    return tooLarge(bytes.length, absoluteMaxBytes);
  }
  return undefined;
}

/**
 * Reads and judges an envelope up to its signature. Total: nothing throws, whatever the bytes are.
 */
export function inspectEnvelope(bytes: Uint8Array, context: InspectContext): Inspected | Refusal {
  const badLength = inspectLength(bytes, context.absoluteMaxBytes);
  if (badLength !== undefined) return badLength;
  const parsed = parseEnvelope(bytes);
  if (parsed.kind === 'malformed') {
    const code = parsed.reason.startsWith('not canonical') ? 'not_canonical' : 'malformed_envelope';
    return refusal(code, parsed.reason);
  }
  const envelope = parsed.value;
  const sizeBytes = envelope.payload.length + envelope.signature.length;
  if (sizeBytes > context.absoluteMaxBytes) return tooLarge(sizeBytes, context.absoluteMaxBytes);
  const badHeader = inspectHeader(envelope, context.channel);
  if (badHeader !== undefined) return badHeader;
  const badTxId = inspectTxId(envelope);
  if (badTxId !== undefined) return badTxId;
  const writer = context.judgeWriter(envelope.signatureHeader.creator);
  if (writer.kind === 'refused') return refusal(writer.code, writer.message);
  if (!writer.mayWrite) return refusal('policy_denied', `the creator belongs to ${writer.mspId}`);
  return {
    kind: 'inspected',
    unverified: {
      bytes,
      txId: envelope.channelHeader.txId,
      sizeBytes,
      validity: writer.validity,
    },
    verify: { key: writer.key, message: envelope.payload, signature: envelope.signature },
  };
}

function tooLarge(bytes: number, bytesMax: number): Refusal {
  return refusal('envelope_too_large', `it has ${bytes} bytes, at most ${bytesMax} are allowed`);
}

function inspectHeader(envelope: ParsedEnvelope, channel: string): Refusal | undefined {
  const { type, channelId } = envelope.channelHeader;
  switch (type) {
    case HEADER_TYPES.ENDORSER_TRANSACTION:
    case HEADER_TYPES.MESSAGE:
      break;
    case HEADER_TYPES.CONFIG:
    case HEADER_TYPES.CONFIG_UPDATE:
      return refusal(
        'unsupported_type',
        `it has type ${type}, and configuration updates are not there yet`,
      );
    default:
      return refusal('unsupported_type', `it has type ${type}`);
  }
  if (channelId === channel) return undefined;
  return refusal(
    'wrong_channel',
    `its header names ${quote(channelId)}, this is ${quote(channel)}`,
  );
}

/** tx_id = hex(SHA-256(nonce || creator)) (Fabric: protoutil.CheckTxID). */
function inspectTxId(envelope: ParsedEnvelope): Refusal | undefined {
  const { nonce, creator } = envelope.signatureHeader;
  const { nonceBytesMax, creatorBytesMax } = ORDERER_LIMITS;
  if (nonce.length === 0) return refusal('bad_tx_id', 'the nonce is empty');
  if (nonce.length > nonceBytesMax) {
    return refusal(
      'bad_tx_id',
      `the nonce has ${nonce.length} bytes, at most ${nonceBytesMax} are allowed`,
    );
  }
  if (creator.length === 0) return refusal('unknown_writer', 'the creator is empty');
  if (creator.length > creatorBytesMax) {
    return refusal(
      'unknown_writer',
      `the creator has ${creator.length} bytes, at most ${creatorBytesMax} are allowed`,
    );
  }
  const digest = sha256(nonce, creator);
  const { txId } = envelope.channelHeader;
  if (isHexOf(txId, digest)) return undefined;
  return refusal(
    'bad_tx_id',
    `the header names ${quote(txId)}, nonce and creator give ${quote(toHex(digest))}`,
  );
}

function quote(text: string): string {
  return JSON.stringify(
    text.length > QUOTE_LENGTH_MAX ? `${text.slice(0, QUOTE_LENGTH_MAX)}...` : text,
  );
}
