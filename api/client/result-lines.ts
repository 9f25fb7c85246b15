/** The response of a submission stream as lines of JSON, bounded, with a look at the clock while nothing comes. */
import { StreamError } from './deliver.ts';
import { reasonOf } from './http.ts';
import { CLIENT_LIMITS } from './limits.ts';

export type ResultLine = Readonly<Record<string, unknown>>;

export interface ResultLines {
  /** The lines that came, none when nothing did within `timeoutMs`; undefined at the end. Throws StreamError. */
  next(timeoutMs: number): Promise<ResultLine[] | undefined>;
}

type Read = { readonly done: boolean; readonly value?: Uint8Array | undefined };

export function createResultLines(reader: { read(): Promise<Read> }): ResultLines {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let reading: Promise<Read> | undefined;
  let rest = '';

  function parse(text: string): ResultLine[] {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > CLIENT_LIMITS.jsonBytesMax) {
      throw new StreamError('bad_response', `a line longer than ${CLIENT_LIMITS.jsonBytesMax}`);
    }
    // An empty line is a heart-beat.
    return lines.filter((line) => line !== '').map(parseLine);
  }

  return {
    async next(timeoutMs) {
      reading ??= reader.read();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const silence = new Promise<undefined>((resolve) => {
        timer = setTimeout(() => resolve(undefined), Math.max(0, timeoutMs));
      });
      try {
        const read = await Promise.race([reading, silence]);
        if (read === undefined) return [];
        reading = undefined;
        if (!read.done) return parse(decoder.decode(read.value, { stream: true }));
        if (rest !== '') throw new StreamError('bad_response', 'it ended in the middle of a line');
        return undefined;
      } catch (error) {
        if (error instanceof StreamError) throw error;
        throw new StreamError('unreachable', reasonOf(error));
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function parseLine(line: string): ResultLine {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value as ResultLine;
  } catch {
    // Said below.
  }
  throw new StreamError('bad_response', 'a line that is no JSON object');
}
