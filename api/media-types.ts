/**
 * Content negotiation: Accept (RFC 9110 section 12.5.1) against what a route offers, and
 * the bare type of Content-Type.
 */

/** Lower-case media type without parameters; empty when the header is absent. */
export function mediaTypeOf(header: string | undefined): string {
  if (header === undefined) {
    return '';
  }
  const semicolon = header.indexOf(';');
  return (semicolon === -1 ? header : header.slice(0, semicolon)).trim().toLowerCase();
}

/**
 * The offered type that Accept ranks highest; the first offered wins a tie and an absent header.
 * Undefined when none is acceptable.
 */
export function negotiate<T extends string>(
  accept: string | undefined,
  offered: readonly [T, ...T[]],
): T | undefined {
  if (accept === undefined || accept === '*/*' || accept.trim() === '') {
    return offered[0];
  }
  const ranges = accept.split(',').map(parseRange);
  let best: T | undefined;
  let bestQuality = 0;
  for (const type of offered) {
    const quality = qualityOf(type, ranges);
    if (quality > bestQuality) {
      best = type;
      bestQuality = quality;
    }
  }
  return best;
}

interface MediaRange {
  readonly type: string;
  readonly quality: number;
}

function parseRange(text: string): MediaRange {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const q = parameters.find((parameter) => parameter.startsWith('q='));
  const quality = q === undefined ? 1 : Number(q.slice(2));
  return { type, quality: Number.isFinite(quality) ? Math.min(1, Math.max(0, quality)) : 0 };
}

/** The most specific range that matches decides: exact, then `type/*`, then any. */
function qualityOf(type: string, ranges: readonly MediaRange[]): number {
  const family = `${type.slice(0, type.indexOf('/'))}/*`;
  for (const candidate of [type, family, '*/*']) {
    const match = ranges.find((range) => range.type === candidate);
    if (match !== undefined) {
      return match.quality;
    }
  }
  return 0;
}
