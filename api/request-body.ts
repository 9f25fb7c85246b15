/**
 * Request bodies as one Buffer, bounded one by one and all together. Nothing is parsed here: the
 * route knows what the bytes mean. Whoever takes a body gives its bytes back with `release` once
 * the transactions are handed on.
 */
import type { Readable } from 'node:stream';
import { ApiError } from './errors.ts';

type Done = (error: Error | null, body?: Buffer) => void;

export interface BodyBudget {
  /** Reads a body of at most `bytesMax` bytes. `declaredBytes`: Content-Length, NaN without one. */
  read(payload: Readable, declaredBytes: number, bytesMax: number, done: Done): void;
  release(bytes: number): void;
  /** The same account for bytes that arrive by another way than `read`. False: there is no room, and nothing was taken. */
  take(bytes: number): boolean;
  /** Bytes of bodies that are arriving or being handled. */
  readonly heldBytes: number;
}

export function createBodyBudget(options: {
  readonly bodyBytesInFlightMax: number;
  readonly discardBytesMax: number;
}): BodyBudget {
  let heldBytes = 0;

  function read(payload: Readable, declaredBytes: number, bytesMax: number, done: Done): void {
    const pieces = createPieces();
    let arrivedBytes = 0;
    let ownBytes = 0;
    let refusal: ApiError | undefined;

    function finish(error: Error | null, body?: Buffer): void {
      payload.off('data', onData);
      payload.off('end', onEnd);
      payload.off('error', onBroken);
      payload.off('close', onBroken);
      if (error !== null) {
        give(ownBytes);
        pieces.clear();
        payload.resume();
      }
      done(error, body);
    }

    function give(bytes: number): void {
      heldBytes -= bytes;
      ownBytes = 0;
    }

    /**
     * The rest is read and dropped, within reason: a sender that is cut off in
     * mid-sentence never sees the answer.
     */
    function refuse(error: ApiError): void {
      refusal = error;
      pieces.clear();
      give(ownBytes);
      if (Number.isNaN(declaredBytes) || declaredBytes > options.discardBytesMax) {
        finish(error);
      }
    }

    function onData(chunk: Buffer): void {
      arrivedBytes += chunk.length;
      if (refusal !== undefined) {
        return;
      }
      if (arrivedBytes > bytesMax) {
        refuse(bodyTooLarge(bytesMax));
        return;
      }
      if (heldBytes + chunk.length > options.bodyBytesInFlightMax) {
        refuse(receivesTooMuch());
        return;
      }
      heldBytes += chunk.length;
      ownBytes += chunk.length;
      pieces.add(chunk);
    }

    function onEnd(): void {
      if (refusal !== undefined) {
        finish(refusal);
        return;
      }
      finish(null, pieces.whole());
    }

    function onBroken(): void {
      finish(
        refusal ??
          new ApiError('malformed_body', { message: 'The connection ended before the body did.' }),
      );
    }

    payload.on('data', onData);
    payload.on('end', onEnd);
    payload.on('error', onBroken);
    payload.on('close', onBroken);
    if (declaredBytes > bytesMax) {
      refuse(bodyTooLarge(bytesMax));
    }
  }

  return {
    read,
    release(bytes) {
      heldBytes -= bytes;
    },
    take(bytes) {
      if (heldBytes + bytes > options.bodyBytesInFlightMax) return false;
      heldBytes += bytes;
      return true;
    },
    get heldBytes() {
      return heldBytes;
    },
  };
}

interface Pieces {
  add(chunk: Buffer): void;
  whole(): Buffer;
  clear(): void;
}

const SMALL_BYTES = 4 * 1024;
const PAGE_BYTES_MAX = 64 * 1024;

/**
 * What has arrived. Small pieces are copied together: each that is kept by itself costs some 400 bytes, so that a
 * sender of single bytes would fill the memory long before its body is too large.
 */
function createPieces(): Pieces {
  let list: Buffer[] = [];
  let page = Buffer.alloc(0);
  let pageUsed = 0;

  function closePage(): void {
    if (pageUsed > 0) list.push(page.subarray(0, pageUsed));
    page = Buffer.alloc(0);
    pageUsed = 0;
  }

  function makeRoom(bytes: number): void {
    if (pageUsed + bytes <= page.length) return;
    if (pageUsed + bytes > PAGE_BYTES_MAX) closePage();
    const larger = Buffer.alloc(Math.min(PAGE_BYTES_MAX, Math.max(2 * page.length, 2 * bytes)));
    page.copy(larger, 0, 0, pageUsed);
    page = larger;
  }

  return {
    add(chunk) {
      if (chunk.length >= SMALL_BYTES) {
        closePage();
        list.push(chunk);
        return;
      }
      makeRoom(chunk.length);
      chunk.copy(page, pageUsed);
      pageUsed += chunk.length;
    },
    whole() {
      closePage();
      const [first] = list;
      return list.length === 1 && first !== undefined ? first : Buffer.concat(list);
    },
    clear() {
      list = [];
      page = Buffer.alloc(0);
      pageUsed = 0;
    },
  };
}

export function receivesTooMuch(): ApiError {
  return new ApiError('overloaded', {
    message:
      'This replica is receiving as much as it may hold. Send again after the time in Retry-After.',
  });
}

function bodyTooLarge(bytesMax: number): ApiError {
  return new ApiError('body_too_large', {
    message: `The body is larger than the ${bytesMax} bytes that this request may have. Send less at once.`,
    details: { bytesMax },
  });
}
