/** The guest of `npm run test:rdma` is an emulated machine, some thirty times slower than this one. */
export const IN_GUEST = process.env.SLUICE_GUEST !== undefined;

/** What an operator would set for a channel of such machines: time-outs that fit them, and no core burnt by waiting. */
export const CHANNEL_OF_GUEST = {
  viewTimeoutMs: 20_000,
  slowPathAfterMsMin: 500,
  slowPathAfterMsMax: 1_000,
  waitMode: 'block',
} as const;

/** How long to wait for something that takes so long at most on a busy machine. */
export function patience(ms: number): number {
  return IN_GUEST ? 6 * ms : ms;
}
