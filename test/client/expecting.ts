import { ClientError } from '../../api/client/index.ts';

/** Short enough for tests of what goes wrong. */
export const TIMES = {
  attemptTimeoutMs: 2_000,
  backoffMinMs: 5,
  backoffMaxMs: 20,
  timeoutMs: 5_000,
};

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
