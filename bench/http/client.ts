/** A client that submits signed envelopes, one or many in a request or as a stream, and waits for their certified blocks. */
import { request } from 'node:http';
import { encodeFrames, FRAME_MEDIA_TYPE } from '../../api/framing.ts';
import { createAgent, RETRYABLE } from '../../test/load/driver.ts';
import { type StreamOptions, SubmissionStream } from './stream.ts';

const ANSWER_MS = 30_000;
const RETRY_MS = 20;
/** Some of a bulk were refused: it is sent again whole, and what is ordered already is answered with its receipt. */
const PARTLY = 207;
const OVERLOADED = 429;

export class SubmitClient {
  readonly #urls: readonly string[];
  readonly #channel: string;
  readonly #agent = createAgent();
  /** Requests that were answered with "again", or not at all. */
  retries = 0;

  constructor(urls: readonly string[], channel: string) {
    this.#urls = urls;
    this.#channel = channel;
  }

  /** Resolves when all of them are in certified blocks; `home` is asked first, the others when it cannot. */
  async submit(envelopes: readonly Uint8Array[], home: number): Promise<void> {
    await this.#submit(envelopes, home, true);
  }

  /** As `submit`, but takes an overloaded replica's no for an answer: false. */
  async offer(envelopes: readonly Uint8Array[], home: number): Promise<boolean> {
    return await this.#submit(envelopes, home, false);
  }

  async #submit(
    envelopes: readonly Uint8Array[],
    home: number,
    insists: boolean,
  ): Promise<boolean> {
    const [only] = envelopes;
    const isOne = envelopes.length === 1 && only !== undefined;
    const body = isOne ? only : encodeFrames(envelopes);
    const type = isOne ? 'application/octet-stream' : FRAME_MEDIA_TYPE;
    for (let attempt = 0; ; attempt++) {
      const url = this.#urls[(home + attempt) % this.#urls.length] ?? '';
      const status = await this.#post(url, type, body);
      if (status === 200) return true;
      if (status === OVERLOADED && !insists) return false;
      if (status !== undefined && status !== PARTLY && !RETRYABLE.has(status)) {
        throw new Error(`${url} answered ${status}, which a client cannot retry`);
      }
      this.retries++;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** One long request to replica `home`, on a connection of its own. */
  openStream(
    home: number,
    events: Pick<StreamOptions, 'onCommitted' | 'onTold'>,
  ): SubmissionStream {
    const url = this.#urls[home % this.#urls.length] ?? '';
    return new SubmissionStream({ url, channel: this.#channel, ...events });
  }

  close(): void {
    this.#agent.destroy();
  }

  #post(url: string, type: string, body: Uint8Array): Promise<number | undefined> {
    return new Promise((resolve) => {
      const outgoing = request(
        `${url}/v1/channels/${this.#channel}/transactions?wait=commit&timeoutMs=${ANSWER_MS}`,
        {
          method: 'POST',
          agent: this.#agent,
          headers: { 'content-type': type, 'content-length': body.length },
        },
        (incoming) => {
          incoming.on('end', () => resolve(incoming.statusCode));
          incoming.on('error', () => resolve(undefined));
          incoming.resume();
        },
      );
      outgoing.on('error', () => resolve(undefined));
      outgoing.end(body);
    });
  }
}
