import { ClientError, type ClientOptions, SluiceClient } from '../../api/client/index.ts';
import type { TestChain } from '../support/chain.ts';

/** Short enough for tests of what goes wrong. */
export const TIMES = {
  attemptTimeoutMs: 2_000,
  backoffMinMs: 5,
  backoffMaxMs: 20,
  timeoutMs: 5_000,
};

/** A client that trusts the chain's genesis block and is soon out of patience. */
export function clientFor(
  chain: TestChain,
  urls: readonly string[],
  options: Partial<ClientOptions> = {},
): SluiceClient {
  const trust = chain.blocks[0] as Uint8Array;
  return new SluiceClient({ urls, channel: 'main', trust, times: TIMES, ...options });
}

/** The error of the client library that this work ends with; anything else fails the test. */
export async function errorOf(work: Promise<unknown>): Promise<ClientError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ClientError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
