/** A submission stream to one replica: as many envelopes under way as it is told, more as results come. */
import { type ClientRequest, request } from 'node:http';
import { encodeFrames, FRAME_MEDIA_TYPE } from '../../api/framing.ts';

const ANSWER_MS = 30_000;
const LINE_FEED = 10;
/** `{"item":12,"httpStatus":200,`: no more of a line is looked at, as little as of the other answers. */
const RESULT = /^\{"item":(\d+),"httpStatus":(\d+),/;
const RESULT_BYTES = 64;
const COMMITTED = 200;

export interface StreamOptions {
  readonly url: string;
  readonly channel: string;
  /** What one calls when the envelope at this position is in a certified block. */
  readonly onCommitted: (item: number) => void;
  /** What came together has been told. */
  readonly onTold: () => void;
}

export class SubmissionStream {
  readonly #request: ClientRequest;
  readonly #options: StreamOptions;
  /** Settles when the response has ended; rejects when not all of it was receipts. */
  readonly ended: Promise<void>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(options: StreamOptions) {
    this.#options = options;
    const { url, channel } = options;
    this.#request = request(
      `${url}/v1/channels/${channel}/transactions/stream?timeoutMs=${ANSWER_MS}`,
      { method: 'POST', headers: { 'content-type': FRAME_MEDIA_TYPE }, agent: false },
    );
    this.ended = new Promise((resolve, reject) => {
      this.#request.on('error', reject);
      this.#request.on('response', (response) => {
        response.on('error', reject);
        response.on('data', (chunk: Buffer) => {
          try {
            this.#take(chunk);
          } catch (error) {
            this.#request.destroy(error as Error);
          }
        });
        response.on('end', resolve);
      });
    });
    this.#request.flushHeaders();
  }

  send(envelopes: readonly Uint8Array[]): void {
    this.#request.write(encodeFrames(envelopes));
  }

  end(): void {
    this.#request.end();
  }

  #take(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
      if (end > start) this.#onLine(bytes, start, end);
      start = end + 1;
    }
    this.#rest = bytes.subarray(start);
    this.#options.onTold();
  }

  #onLine(bytes: Buffer, start: number, end: number): void {
    const head = bytes.toString('latin1', start, Math.min(end, start + RESULT_BYTES));
    const [, item, status] = RESULT.exec(head) ?? [];
    if (Number(status) !== COMMITTED) {
      throw new Error(`${this.#options.url} said ${bytes.toString('latin1', start, end)}`);
    }
    this.#options.onCommitted(Number(item));
  }
}
