/** Waits until replicas say over their own API that they can order. */
export interface WaitReadyOptions {
  readonly timeoutMs: number;
  /** Called with how many are ready and what the others say, when it changes. */
  readonly onProgress?: (ready: number, reasons: readonly string[]) => void;
  /** Gives up early, for example when a replica has exited. */
  readonly signal?: AbortSignal;
}

const POLL_MS = 100;
const PROBE_TIMEOUT_MS = 2_000;

/** True when all are ready in time. */
export async function waitReady(
  urls: readonly string[],
  options: WaitReadyOptions,
): Promise<boolean> {
  const endMs = Date.now() + options.timeoutMs;
  let said = '';
  while (Date.now() < endMs && options.signal?.aborted !== true) {
    const answers = await Promise.all(urls.map(probe));
    const reasons = answers.filter((answer) => answer !== undefined);
    const ready = urls.length - reasons.length;
    const line = `${ready} ${reasons.join('; ')}`;
    if (line !== said) options.onProgress?.(ready, reasons);
    said = line;
    if (ready === urls.length) return true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return false;
}

/** Undefined when the replica can order; otherwise why not. */
async function probe(url: string): Promise<string | undefined> {
  try {
    const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    if (answer.ok) {
      await answer.body?.cancel();
      return undefined;
    }
    return `${url}: ${messageOf(await answer.text())}`;
  } catch {
    return `${url}: no answer yet`;
  }
}

/** The `message` of an answer in the error shape; anything else as it is. */
function messageOf(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    if (typeof message === 'string') return message;
  } catch {
    // Something else listens there.
  }
  return body.slice(0, 200);
}
