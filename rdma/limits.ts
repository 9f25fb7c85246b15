/**
 * Every bound of the transport, with the relations between them checked when a transport is opened.
 * A bound that the native side enforces as well has the same name in `native/layout.h`.
 */

import { TransportError } from './errors.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

export const LIMITS = {
  replicasMin: 2,
  replicasMax: 64,
  windowSlotsMin: 1,
  windowSlotsMax: 4096,
  ringBytesMin: 16 * KIB,
  ringBytesMax: 64 * MIB,
  /** Both rings of every pair are resident at both ends; larger payloads are streamed through them. */
  laneRingBytesDefault: 512 * KIB,
  controlRingBytesDefault: 128 * KIB,
  payloadBytesMaxDefault: 12 * MIB,
  payloadBytesMaxMax: 256 * MIB,
  outQueueBytesMaxDefault: 16 * MIB,
  outQueueBytesMaxMax: 1024 * MIB,
  pollBytesMaxDefault: 8 * MIB,
  pollBytesMaxMin: 64 * KIB,
  pollBytesMaxMax: 256 * MIB,
  /** Packed records of one poll: cells, hashes of payloads, faults. */
  pollRecordBytesMax: 256 * KIB,
  /** One parcel of writes that travel as frames (`WriteShipping`). */
  writesBytesMin: 4 * KIB,
  writesBytesMax: MIB,
  /** What `take` gives at once: little enough that cells do not wait long behind a batch. */
  writesParcelBytes: 256 * KIB,
  spinUsDefault: 100,
  spinUsMax: 1_000_000,
  waitTimeoutUsMax: 60_000_000,
  channelNameBytesMax: 249,
  pairSecretBytes: 32,
} as const;

/** Sizes that a transport is opened with. Rings are powers of two; all are bytes. */
export interface TransportSizes {
  readonly replicas: number;
  readonly windowSlots: number;
  readonly laneRingBytes: number;
  readonly controlRingBytes: number;
  readonly payloadBytesMax: number;
  readonly laneOutQueueBytesMax: number;
  readonly controlOutQueueBytesMax: number;
  readonly pollBytesMax: number;
}

/** Throws `invalid_argument` unless `value` is an integer between `min` and `max`. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw new TransportError(
      'invalid_argument',
      `${name} must be an integer from ${min} to ${max}, but is ${String(value)}`,
      { name, min, max },
    );
  }
  return value;
}

function checkRing(name: string, value: unknown): void {
  const bytes = checkInteger(name, value, LIMITS.ringBytesMin, LIMITS.ringBytesMax);
  if ((bytes & (bytes - 1)) !== 0) {
    throw new TransportError(
      'invalid_argument',
      `${name} must be a power of two, but is ${bytes}`,
      {
        name,
        bytes,
      },
    );
  }
}

/**
 * Checks each size and the relations between them; throws `invalid_argument` naming the first that
 * is wrong.
 */
export function checkSizes(sizes: TransportSizes): void {
  checkInteger('replicas', sizes.replicas, LIMITS.replicasMin, LIMITS.replicasMax);
  checkInteger('windowSlots', sizes.windowSlots, LIMITS.windowSlotsMin, LIMITS.windowSlotsMax);
  checkRing('laneRingBytes', sizes.laneRingBytes);
  checkRing('controlRingBytes', sizes.controlRingBytes);
  checkInteger('payloadBytesMax', sizes.payloadBytesMax, 1, LIMITS.payloadBytesMaxMax);
  checkInteger('pollBytesMax', sizes.pollBytesMax, LIMITS.pollBytesMaxMin, LIMITS.pollBytesMaxMax);
  for (const name of ['laneOutQueueBytesMax', 'controlOutQueueBytesMax'] as const) {
    checkInteger(name, sizes[name], 1, LIMITS.outQueueBytesMaxMax);
    // A payload that can never be queued would be skipped for ever and starve the peer that needs
    // it.
    if (sizes[name] < sizes.payloadBytesMax) {
      throw new TransportError(
        'invalid_argument',
        `${name} (${sizes[name]}) must be at least payloadBytesMax (${sizes.payloadBytesMax})`,
        { name },
      );
    }
  }
}
