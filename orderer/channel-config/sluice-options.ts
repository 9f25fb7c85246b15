/**
 * Codec of `ConsensusType.metadata`: what is Sluice's alone.
 *
 * The bytes are a protobuf message whose field numbers start at 1000, so that Fabric's
 * tools, which read the metadata of a `BFT` channel as SmartBFT's Options (fields below
 * 100), find only unknown fields in it:
 *
 *   1000 version (2)             1004 batchBytesMax          1008 waitMode (1 spin, 2 adaptive, 3 block)
 *   1001 windowSlots             1005 clockSkewMsMax         1009 viewTimeoutMs
 *   1002 laneAdvanceBatchesMax   1006 slowPathAfterMsMin
 *   1003 laneAdvanceBytesMax     1007 slowPathAfterMsMax     1010 signatureChecks (1 shared; absent: all)
 *
 * Every field is a varint, all but the last are present, in this order: one meaning has one encoding. Channels from before
 * there were shared checks have no such field, and go on as they did.
 */

import { newViewBytesMax } from '../../consensus/wire/view-change.ts';
import type { Decoded } from '../../ledger/format/index.ts';
import type { SluiceOptions } from './types.ts';

const VERSION = 2;
const FIRST_FIELD = 1000;
const WAIT_MODES = ['spin', 'adaptive', 'block'] as const;
const SIGNATURE_CHECKS = ['shared', 'all'] as const;

type NumericOption = Exclude<keyof SluiceOptions, 'waitMode' | 'signatureChecks'>;

interface NumericRule {
  readonly name: NumericOption;
  readonly min: number;
  readonly max: number;
}

const WINDOW_SLOTS_MIN = 8;

/** In the order of their field numbers, with the range that a channel may choose from. */
const BEFORE_WAIT_MODE: readonly NumericRule[] = [
  { name: 'windowSlots', min: WINDOW_SLOTS_MIN, max: 4096 },
  { name: 'laneAdvanceBatchesMax', min: 1, max: 65_536 },
  { name: 'laneAdvanceBytesMax', min: 1024, max: 2 ** 30 },
  { name: 'batchBytesMax', min: 1024, max: 2 ** 30 },
  { name: 'clockSkewMsMax', min: 1, max: 600_000 },
  { name: 'slowPathAfterMsMin', min: 1, max: 60_000 },
  { name: 'slowPathAfterMsMax', min: 1, max: 60_000 },
];
const AFTER_WAIT_MODE: readonly NumericRule[] = [{ name: 'viewTimeoutMs', min: 20, max: 60_000 }];
const NUMERIC_OPTIONS = [...BEFORE_WAIT_MODE, ...AFTER_WAIT_MODE];
const WAIT_MODE_FIELD = FIRST_FIELD + 1 + BEFORE_WAIT_MODE.length;
const SIGNATURE_CHECKS_FIELD = WAIT_MODE_FIELD + 1 + AFTER_WAIT_MODE.length;
const SHARED = 1;

/** What `sluice init` puts into a new channel. */
export const DEFAULT_SLUICE_OPTIONS: SluiceOptions = {
  windowSlots: 256,
  laneAdvanceBatchesMax: 16,
  laneAdvanceBytesMax: 12 * 1024 * 1024,
  batchBytesMax: 256 * 1024,
  clockSkewMsMax: 2_000,
  slowPathAfterMsMin: 4,
  slowPathAfterMsMax: 50,
  waitMode: 'adaptive',
  viewTimeoutMs: 300,
  signatureChecks: 'shared',
};

/** Leaves room in a record of the write-ahead log, which holds at most 64 MiB. */
const NEW_VIEW_BYTES_MAX = 48 * 1024 * 1024;

/**
 * Undefined when the options are good for so many replicas; otherwise the sentence that says which one is not and why.
 */
export function sluiceOptionsProblem(options: SluiceOptions, replicas: number): string | undefined {
  return rangeProblem(options) ?? windowProblem(options.windowSlots, replicas);
}

/** The defaults, with as large a window as so many replicas can have. */
export function defaultSluiceOptions(replicas: number): SluiceOptions {
  const windowSlots = fittingWindow(DEFAULT_SLUICE_OPTIONS.windowSlots, replicas);
  return { ...DEFAULT_SLUICE_OPTIONS, windowSlots };
}

function windowProblem(windowSlots: number, replicas: number): string | undefined {
  const fitting = fittingWindow(windowSlots, replicas);
  if (fitting === windowSlots) return undefined;
  return `windowSlots must be ${fitting} or less for ${replicas} replicas, found ${windowSlots}: a change of view would take too many bytes`;
}

/** A change of view names every slot of the window once for each replica, with signatures of all. */
function fittingWindow(windowSlots: number, replicas: number): number {
  let fitting = windowSlots;
  while (fitting > WINDOW_SLOTS_MIN && newViewBytesMax(replicas, fitting) > NEW_VIEW_BYTES_MAX) {
    fitting /= 2;
  }
  return fitting;
}

function rangeProblem(options: SluiceOptions): string | undefined {
  for (const { name, min, max } of NUMERIC_OPTIONS) {
    const value = options[name];
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      return `${name} must be an integer in ${min}..${max}, found ${value}`;
    }
  }
  if ((options.windowSlots & (options.windowSlots - 1)) !== 0) {
    return `windowSlots must be a power of two, found ${options.windowSlots}`;
  }
  if (options.slowPathAfterMsMin > options.slowPathAfterMsMax) {
    return `slowPathAfterMsMin (${options.slowPathAfterMsMin}) must not be above slowPathAfterMsMax (${options.slowPathAfterMsMax})`;
  }
  if (!WAIT_MODES.includes(options.waitMode)) {
    return `waitMode must be one of ${WAIT_MODES.join(', ')}`;
  }
  if (!SIGNATURE_CHECKS.includes(options.signatureChecks)) {
    return `signatureChecks must be one of ${SIGNATURE_CHECKS.join(', ')}`;
  }
  return undefined;
}

/**
 * Throws RangeError for options out of their range, which `sluiceOptionsProblem` names: checking
 * them first is the caller's work.
 */
export function encodeSluiceOptions(options: SluiceOptions): Uint8Array {
  const problem = rangeProblem(options);
  if (problem !== undefined) throw new RangeError(problem);
  const values = [
    VERSION,
    ...BEFORE_WAIT_MODE.map(({ name }) => options[name]),
    WAIT_MODES.indexOf(options.waitMode) + 1,
    ...AFTER_WAIT_MODE.map(({ name }) => options[name]),
    ...(options.signatureChecks === 'shared' ? [SHARED] : []),
  ];
  const bytes: number[] = [];
  for (const [index, value] of values.entries()) {
    pushVarint(bytes, (FIRST_FIELD + index) * 8);
    pushVarint(bytes, value);
  }
  return Uint8Array.from(bytes);
}

/** `foreign`: not Sluice's bytes at all, e.g. SmartBFT's Options. */
export function decodeSluiceOptions(
  bytes: Uint8Array,
): Decoded<SluiceOptions> | { kind: 'foreign' } {
  const reader = varintReader(bytes);
  if (reader.next() !== FIRST_FIELD * 8) return { kind: 'foreign' };
  const version = reader.next();
  if (version !== VERSION) {
    const advice = 'create the network with this version, or use the version that created it';
    return malformed(
      `version ${version} of the options is not known here, this program reads ${VERSION}: ${advice}`,
    );
  }
  const values: Partial<Record<NumericOption, number>> = {};
  const before = readNumbers(reader, BEFORE_WAIT_MODE, FIRST_FIELD + 1, values);
  if (before !== undefined) return malformed(before);
  const modeTag = reader.next();
  const mode = reader.next();
  const waitMode = WAIT_MODES[(mode ?? 0) - 1];
  if (modeTag !== WAIT_MODE_FIELD * 8 || waitMode === undefined) {
    return malformed('waitMode is missing or unknown');
  }
  const after = readNumbers(reader, AFTER_WAIT_MODE, WAIT_MODE_FIELD + 1, values);
  if (after !== undefined) return malformed(after);
  const signatureChecks = reader.done() ? 'all' : 'shared';
  if (signatureChecks === 'shared') {
    const isKnown = reader.next() === SIGNATURE_CHECKS_FIELD * 8 && reader.next() === SHARED;
    if (!isKnown) return malformed('signatureChecks are unknown');
  }
  if (!reader.done()) return malformed('bytes after the last option');
  const options = {
    ...(values as Record<NumericOption, number>),
    waitMode,
    signatureChecks,
  } as const;
  const problem = rangeProblem(options);
  return problem === undefined ? { kind: 'ok', value: options } : malformed(problem);
}

interface VarintReader {
  next: () => number | undefined;
  done: () => boolean;
}

/** Undefined when all are there; otherwise which is not. */
function readNumbers(
  reader: VarintReader,
  rules: readonly NumericRule[],
  firstField: number,
  values: Partial<Record<NumericOption, number>>,
): string | undefined {
  for (const [index, { name }] of rules.entries()) {
    if (reader.next() !== (firstField + index) * 8) return `${name} is missing`;
    const value = reader.next();
    if (value === undefined) return `${name} is cut off`;
    values[name] = value;
  }
  return undefined;
}

function malformed(reason: string): { kind: 'malformed'; reason: string } {
  return { kind: 'malformed', reason };
}

function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
}

/**
 * `next` gives undefined at the end and for a varint that is cut off, not minimal or above 2^35.
 */
function varintReader(bytes: Uint8Array): VarintReader {
  let at = 0;
  const next = (): number | undefined => {
    let value = 0;
    for (let length = 0; length < 5; length++) {
      const byte = bytes[at + length];
      if (byte === undefined) return undefined;
      value += (byte & 0x7f) * 2 ** (7 * length);
      if (byte >= 0x80) continue;
      if (byte === 0 && length > 0) return undefined;
      at += length + 1;
      return value;
    }
    return undefined;
  };
  return { next, done: () => at === bytes.length };
}
