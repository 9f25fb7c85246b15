/** MAC keys of one direction of a session. */

import { hkdfSync } from 'node:crypto';
import type { ReplicaIndex } from '../contract.ts';
import { LAYOUT } from '../layout.ts';

/**
 * Everything that a direction's keys are bound to: tags of one direction mean nothing in any other.
 */
export interface DirectionBinding {
  readonly channel: string;
  readonly writer: ReplicaIndex;
  readonly reader: ReplicaIndex;
  readonly writerIncarnation: bigint;
  readonly readerIncarnation: bigint;
  /**
   * Name of the region written; random, so two sessions of the same two processes differ as well.
   */
  readonly regionName: string;
}

const LABEL = 'sluice/region/1';
/** One key each for cells, lane frames and control frames. */
const DIRECTION_KEY_BYTES = 3 * LAYOUT.MAC_KEY_BYTES;

/**
 * HKDF-SHA256 (RFC 5869) of the pair's secret; the info is LABEL and the binding, each with its
 * length.
 */
export function deriveDirectionKeys(pairSecret: Uint8Array, binding: DirectionBinding): Uint8Array {
  const channel = Buffer.from(binding.channel, 'utf8');
  const region = Buffer.from(binding.regionName, 'utf8');
  const numbers = Buffer.alloc(28);
  numbers.writeUInt32LE(binding.writer, 0);
  numbers.writeUInt32LE(binding.reader, 4);
  numbers.writeBigUInt64LE(binding.writerIncarnation, 8);
  numbers.writeBigUInt64LE(binding.readerIncarnation, 16);
  numbers.writeUInt16LE(channel.length, 24);
  numbers.writeUInt16LE(region.length, 26);
  const info = Buffer.concat([Buffer.from(LABEL, 'utf8'), numbers, channel, region]);
  return new Uint8Array(hkdfSync('sha256', pairSecret, Buffer.alloc(0), info, DIRECTION_KEY_BYTES));
}
