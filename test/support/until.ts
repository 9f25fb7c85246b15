/** Polls until the condition holds; throws naming what was waited for. */
export async function until(
  what: string,
  condition: () => boolean,
  timeoutMs = 8_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
}

/** As `until`, for what is asked over the network: a question that fails counts as "not yet". */
export async function eventually(
  what: string,
  condition: () => Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown = 'the answer was no';
  while (performance.now() < deadline) {
    try {
      if (await condition()) return;
      last = 'the answer was no';
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited ${timeoutMs} ms for: ${what} (${last})`);
}
