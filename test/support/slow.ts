/** The guest of `npm run test:rdma` is an emulated machine, some thirty times slower than this one. */
export const IN_GUEST = process.env.SLUICE_GUEST !== undefined;

/** How long to wait for something that takes so long at most on a busy machine. */
export function patience(ms: number): number {
  return IN_GUEST ? 6 * ms : ms;
}
