/**
 * Every error that the API can answer: stable code, HTTP status, sentence. docs/errors.md is generated from this table
 * (`renderErrorsPage` in errors-page.ts). A code is never renamed or reused.
 */
import type { Refusal, RefusalCode } from '../orderer/service.ts';

export interface ErrorEntry {
  /** HTTP status; `'stream'` for a code that only ends a stream, after its 200. */
  readonly status: number | 'stream';
  /** What it means and what to do about it. */
  readonly sentence: string;
  /** The same request may succeed later, unchanged. */
  readonly retry: boolean;
}

const refusals = {
  empty_envelope: entry(400, 'The envelope has no bytes. Send a serialized common.Envelope.'),
  envelope_too_large: entry(
    413,
    'The envelope is larger than the channel allows (AbsoluteMaxBytes). Send a smaller one.',
  ),
  malformed_envelope: entry(
    400,
    'The bytes are not a complete common.Envelope with its payload and headers. Check how it was serialized.',
  ),
  not_canonical: entry(
    400,
    'The envelope does not serialize to the same bytes again. Serialize it with a standard protobuf library, without unknown fields.',
  ),
  unsupported_type: entry(
    400,
    'The channel header names a transaction type that this channel does not order. Send an ENDORSER_TRANSACTION.',
  ),
  wrong_channel: entry(
    400,
    'The channel header names another channel than the URL. Send it to its own channel.',
  ),
  bad_tx_id: entry(
    400,
    'The transaction id is not the hex SHA-256 of nonce and creator. Compute it again.',
  ),
  unknown_writer: entry(
    403,
    'The creator is no member of an organization of this channel. Use a certificate that one of them issued.',
  ),
  expired_certificate: entry(
    403,
    'The certificate of the creator is not valid at this time. Renew it, or check the clock.',
  ),
  revoked_certificate: entry(
    403,
    'The certificate of the creator, or of an authority above it, has been revoked. Use another.',
  ),
  bad_signature: entry(
    403,
    'The signature does not match the payload and the certificate of the creator. Sign the payload bytes as they are sent.',
  ),
  policy_denied: entry(
    403,
    'The creator is known but the policy of this channel does not let it write. Ask the administrator of the channel.',
  ),
  duplicate_transaction: entry(
    409,
    'A transaction with this id is already ordered. `details.location` says where, when it is known. Use a new nonce for a new transaction.',
  ),
  overloaded: entry(
    429,
    'This replica has as much queued as it may hold. Send again after the time in Retry-After.',
    true,
  ),
  not_ready: entry(
    503,
    'This replica takes no part in ordering now; the message says why. Send to another replica, or again after the time in Retry-After.',
    true,
  ),
  shutting_down: entry(503, 'This replica is stopping. Send to another replica.', true),
} as const satisfies Record<RefusalCode, ErrorEntry>;

export const ERRORS = {
  ...refusals,
  gateway_disabled: entry(
    403,
    'This replica has no gateway identity, so it signs nothing for others. Send a signed envelope, or configure the gateway.',
  ),
  origin_not_allowed: entry(
    403,
    'A page from this origin may not open a WebSocket here. Add the origin to the allow-list of the API.',
  ),
  empty_body: entry(400, 'The request has no transaction. Send one, with its Content-Type.'),
  malformed_body: entry(
    400,
    'The body is not what its Content-Type says. Nothing of it was queued.',
  ),
  malformed_json: entry(400, 'The body is not valid JSON in UTF-8. Nothing of it was queued.'),
  malformed_url: entry(400, 'The path cannot be decoded. Check its percent-encoding.'),
  malformed_http: entry(400, 'The bytes are not an HTTP/1.1 request.'),
  invalid_parameter: entry(
    400,
    'A parameter of the path or the query is unknown or has no legal value. The message names it.',
  ),
  bad_range: entry(400, '`from` is greater than `to`. Swap them.'),
  websocket_unsupported: entry(400, 'This URL takes no WebSocket; only the deliver stream does.'),
  no_such_route: entry(
    404,
    'There is nothing at this path. GET /openapi.json lists what there is.',
  ),
  no_such_channel: entry(
    404,
    'This replica does not serve this channel. GET /v1/channels lists what it serves.',
  ),
  no_such_transaction: entry(
    404,
    'No certified block here holds this transaction (yet). Ask with wait=commit to be told when one does.',
    true,
  ),
  block_not_ready: entry(
    404,
    'This block does not exist here yet. Use follow=true to wait for it.',
    true,
  ),
  method_not_allowed: entry(
    405,
    'The path exists, but not for this method. The Allow header lists the methods.',
  ),
  not_acceptable: entry(
    406,
    'None of the media types in Accept can be served. The message lists what can.',
  ),
  request_timeout: entry(
    408,
    'The request did not arrive completely in time. Send it again over a new connection.',
    true,
  ),
  body_too_large: entry(413, 'The body is larger than this request may be. Send less at once.'),
  too_many_items: entry(413, 'The request holds more transactions than one request may. Split it.'),
  uri_too_long: entry(414, 'The URL is longer than the limit.'),
  unsupported_media_type: entry(
    415,
    'The Content-Type is not one that this URL takes. The message lists what it takes.',
  ),
  expectation_failed: entry(417, 'The Expect header asks for something other than 100-continue.'),
  rate_limited: entry(
    429,
    'This client sent more requests than the configured rate. Send again after the time in Retry-After.',
    true,
  ),
  headers_too_large: entry(
    431,
    'The request headers are larger than the limit. Send fewer or shorter ones.',
  ),
  internal_error: entry(
    500,
    'A fault in this replica. Its log has the details under the requestId.',
    true,
  ),
  too_many_waiters: entry(
    503,
    'Too many clients wait for a commit here; the transaction was not queued. Send without wait, or again later.',
    true,
  ),
  too_many_streams: entry(
    503,
    'As many streams of this kind are open as this replica allows. Try again later, or another replica.',
    true,
  ),
  stream_too_slow: entry(
    'stream',
    'The client did not take what the stream sends in time, so it was ended. Connect again, for blocks from `details.next`, or send what has no result once more.',
    true,
  ),
  stream_idle: entry(
    'stream',
    'Nothing came on the submission stream for too long, not even a heart-beat. Open another when there is something to submit.',
    true,
  ),
  unexpected_message: entry(
    'stream',
    'The client sent a message on a deliver WebSocket, which takes none.',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** The one shape of every error, in HTTP answers, bulk items and at the end of streams. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly requestId: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface ApiErrorOptions {
  readonly message?: string | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Ends the handling of a request with a coded answer. It is an expected outcome, so it carries no stack. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly retryAfterMs: number | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;

  constructor(code: ErrorCode, options: ApiErrorOptions = {}) {
    const stackFrames = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(options.message ?? ERRORS[code].sentence);
    Error.stackTraceLimit = stackFrames;
    this.name = 'ApiError';
    this.code = code;
    this.details = options.details;
    this.retryAfterMs = options.retryAfterMs;
    this.headers = options.headers;
  }
}

/** A refusal of the orderer as the API answers it. */
export function refusalError(refusal: Refusal): ApiError {
  const retryAfterMs = refusal.retryAfterMs;
  return new ApiError(refusal.code, {
    message: refusal.message,
    ...(refusal.location === undefined ? {} : { details: { location: refusal.location } }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** HTTP status of a code; a code of the stream has none of its own and counts as 500 where one is needed. */
export function statusOf(code: ErrorCode): number {
  const { status } = ERRORS[code];
  return status === 'stream' ? 500 : status;
}

/** Seconds for Retry-After, or undefined when the code is not one that asks to come back. */
export function retryAfterSeconds(error: ApiError): number | undefined {
  const status = statusOf(error.code);
  if (status !== 429 && status !== 503) {
    return undefined;
  }
  return Math.max(1, Math.ceil((error.retryAfterMs ?? 1000) / 1000));
}

export function errorBody(error: ApiError, requestId: string): ErrorBody {
  const details =
    error.retryAfterMs === undefined
      ? error.details
      : { ...error.details, retryAfterMs: error.retryAfterMs };
  return {
    code: error.code,
    message: error.message,
    requestId,
    ...(details === undefined ? {} : { details }),
  };
}

function entry<S extends number | 'stream'>(status: S, sentence: string, retry = false) {
  return Object.freeze({ status, sentence, retry });
}
