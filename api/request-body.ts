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
    const chunks: Buffer[] = [];
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
        chunks.length = 0;
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
      chunks.length = 0;
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
      chunks.push(chunk);
    }

    function onEnd(): void {
      if (refusal !== undefined) {
        finish(refusal);
        return;
      }
      const [first] = chunks;
      finish(null, chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks));
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
