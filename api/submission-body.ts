/**
 * What a submitter sent, as envelopes. A body that is wrong anywhere is refused
 * whole, before anything is queued.
 */
import type { Gateway } from '../orderer/service.ts';
import { ApiError } from './errors.ts';
import { decodeMessages } from './framing.ts';

export type ParsedSubmission =
  | { readonly kind: 'one'; readonly envelope: Uint8Array }
  | { readonly kind: 'many'; readonly envelopes: readonly Uint8Array[] };

const UTF8 = new TextDecoder('utf-8', { fatal: true });
const FORMS = '{"envelope": base64}, {"envelopes": [base64, ...]} or {"data": ...}';

/** `application/x-protobuf-seq`, see framing.ts. */
export function parseSequence(body: Buffer, itemsMax: number): ParsedSubmission {
  const decoded = decodeMessages(body, itemsMax);
  if (decoded.kind === 'malformed') {
    throw new ApiError('malformed_body', {
      message: `The sequence is broken: ${decoded.reason}. Nothing of it was queued.`,
    });
  }
  return many(decoded.value, itemsMax);
}

/** `application/json` in one of its three forms. `gateway` signs `data`. */
export function parseJsonSubmission(
  body: Buffer,
  gateway: Gateway | undefined,
  itemsMax: number,
): ParsedSubmission {
  const value = parseJson(body);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongForm('The JSON body must be an object');
  }
  const names = Object.keys(value);
  const [name] = names;
  if (name === undefined || names.length !== 1) {
    throw wrongForm('The JSON body must have exactly one member');
  }
  const member: unknown = (value as Record<string, unknown>)[name];
  switch (name) {
    case 'envelope':
      return { kind: 'one', envelope: decodeBase64(member, 'envelope') };
    case 'envelopes': {
      if (!Array.isArray(member)) {
        throw wrongForm('envelopes must be an array');
      }
      refuseTooMany(member.length, itemsMax);
      const items: unknown[] = member;
      return many(
        items.map((item, index) => decodeBase64(item, `envelopes[${index}]`)),
        itemsMax,
      );
    }
    case 'data':
      if (gateway === undefined) {
        throw new ApiError('gateway_disabled');
      }
      return { kind: 'one', envelope: gateway.wrap(dataBytes(member)) };
    default:
      throw wrongForm(`The JSON body has an unknown member ${JSON.stringify(name.slice(0, 40))}`);
  }
}

/** A string as its UTF-8 bytes; any other JSON value as its JSON text. */
function dataBytes(data: unknown): Uint8Array {
  return Buffer.from(typeof data === 'string' ? data : JSON.stringify(data));
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(UTF8.decode(body));
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message : 'it is not UTF-8';
    throw new ApiError('malformed_json', {
      message: `The body is not valid JSON in UTF-8: ${reason.slice(0, 200)}. Nothing of it was queued.`,
    });
  }
}

/**
 * Buffer.from skips what is not base64; an envelope must not change silently, so it
 * is compared with its encoding.
 */
function decodeBase64(value: unknown, where: string): Uint8Array {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value, 'base64');
    if (bytes.toString('base64') === value) {
      return bytes;
    }
  }
  throw new ApiError('malformed_body', {
    message: `${where} must be a string of standard base64 with padding. Nothing of the request was queued.`,
  });
}

function many(envelopes: readonly Uint8Array[], itemsMax: number): ParsedSubmission {
  refuseTooMany(envelopes.length, itemsMax);
  if (envelopes.length === 0) {
    throw new ApiError('empty_body');
  }
  return { kind: 'many', envelopes };
}

function refuseTooMany(count: number, itemsMax: number): void {
  if (count > itemsMax) {
    throw new ApiError('too_many_items', {
      message: `The request holds more than ${itemsMax} transactions. Split it.`,
      details: { itemsMax },
    });
  }
}

function wrongForm(problem: string): ApiError {
  return new ApiError('malformed_body', {
    message: `${problem}: ${FORMS}. Nothing of it was queued.`,
  });
}
