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
