/** A client of a submission stream: sends what it is told to, collects what comes. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { expect } from 'chai';
import { Value } from 'typebox/value';
import type { ErrorBody } from '../../api/errors.ts';
import { encodeFrames, FRAME_MEDIA_TYPE } from '../../api/framing.ts';
import { StreamItemSchema, type StreamItemView } from '../../api/schemas.ts';
import { until } from '../support/until.ts';
import type { Harness } from './harness.ts';

export const PATH = 'transactions/stream';

export class StreamClient {
  readonly request: ClientRequest;
  readonly lines: Record<string, unknown>[] = [];
  heartbeats = 0;
  response: IncomingMessage | undefined;
  ended = false;
  #rest = '';

  constructor(t: Harness, query = '') {
    this.request = request(t.url(`${PATH}${query}`), {
      method: 'POST',
      headers: { 'content-type': FRAME_MEDIA_TYPE },
    });
    this.request.on('error', () => {});
    this.request.on('response', (response) => {
      this.response = response;
      response.setEncoding('utf8');
      response.on('data', (text: string) => this.#take(text));
      response.on('error', () => {});
      response.on('end', () => {
        this.ended = true;
      });
    });
    this.request.flushHeaders();
  }

  send(...envelopes: Uint8Array[]): void {
    this.request.write(encodeFrames(envelopes));
  }

  async opened(): Promise<void> {
    await until('the head of the answer', () => this.response !== undefined);
  }

  async results(count: number): Promise<StreamItemView[]> {
    await until(`${count} results`, () => this.lines.length >= count);
    for (const line of this.lines.slice(0, count)) {
      expect(Value.Errors(StreamItemSchema, line), JSON.stringify(line)).to.deep.equal([]);
    }
    return this.lines as unknown as StreamItemView[];
  }

  /** The last line of a stream that ended early. */
  async last(): Promise<ErrorBody> {
    await until('the end of the stream', () => this.ended);
    return this.lines.at(-1) as unknown as ErrorBody;
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') this.heartbeats++;
      else this.lines.push(JSON.parse(line) as Record<string, unknown>);
    }
  }
}

export function byItem(lines: readonly StreamItemView[]): StreamItemView[] {
  return [...lines].sort((a, b) => a.item - b.item);
}
