/**
 * Parameters of path and query: total parsers that answer `invalid_parameter`, naming
 * the parameter and what is legal.
 */
import { ApiError } from './errors.ts';

export type Query = Readonly<Record<string, string | undefined>>;

/** The query with only known names, each given once. */
export function readQuery(query: unknown, allowed: readonly string[]): Query {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(query as Record<string, unknown>)) {
    if (!allowed.includes(name)) {
      throw invalid(name, `is not known here. Known: ${allowed.join(', ') || 'none'}`);
    }
    if (typeof value !== 'string') {
      throw invalid(name, 'is given more than once');
    }
    result[name] = value;
  }
  return result;
}

/** Whole number from 0 to 2^53 - 1 in plain decimal digits. */
export function readNumber(name: string, text: string, max = Number.MAX_SAFE_INTEGER): number {
  const value = /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value > max) {
    throw invalid(name, `must be a whole number from 0 to ${max}, not ${quote(text)}`);
  }
  return value;
}

export type BlockReference = number | 'newest' | 'oldest';

export function readBlockReference(name: string, text: string): BlockReference {
  if (text === 'newest' || text === 'oldest') {
    return text;
  }
  if (!/^[0-9]/.test(text)) {
    throw invalid(name, `must be a block number, newest or oldest, not ${quote(text)}`);
  }
  return readNumber(name, text);
}

export function readFlag(name: string, text: string | undefined): boolean {
  if (text === undefined || text === 'false') {
    return false;
  }
  if (text === 'true') {
    return true;
  }
  throw invalid(name, `must be true or false, not ${quote(text)}`);
}

export function readChoice<T extends string>(
  name: string,
  text: string | undefined,
  choices: readonly T[],
): T | undefined {
  const choice = choices.find((candidate) => candidate === text);
  if (text !== undefined && choice === undefined) {
    throw invalid(name, `must be one of ${choices.join(', ')}, not ${quote(text)}`);
  }
  return choice;
}

export function readTxId(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw invalid('txId', `must be 64 lower-case hex digits, not ${quote(text)}`);
  }
  return text;
}

export function invalid(name: string, problem: string): ApiError {
  return new ApiError('invalid_parameter', {
    message: `Parameter ${name.slice(0, 64)} ${problem}.`,
    details: { parameter: name.slice(0, 64) },
  });
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
