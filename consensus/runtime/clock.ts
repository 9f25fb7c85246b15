/** The clock of a consensus thread. */

/** Reading it anew costs as much as the time itself. */
const { timeOrigin } = performance;

/**
 * Wall-clock milliseconds that never step back while the process lives: ordered time is taken from it,
 * and so are the core's deadlines.
 */
export function clockMs(): number {
  return Math.floor(timeOrigin + performance.now());
}
