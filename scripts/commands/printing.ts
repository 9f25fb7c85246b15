/** Printing what others wrote: control characters of a transaction must not reach the reader's terminal. */

/** Replaces everything but letters, digits, punctuation, symbols and spaces by `\u{..}`. */
export function printable(text: string): string {
  return text.replace(
    /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

const TEXT_BYTES_MAX = 256;

/** Data of a transaction for a reader: quoted text when it is short UTF-8, else undefined. */
export function readableText(data: Uint8Array): string | undefined {
  if (data.length > TEXT_BYTES_MAX) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(data);
    return /\p{C}/u.test(text.replace(/[\n\t]/g, '')) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Writes to stdout and waits while it is full. False when the reader has gone (`| head`). */
export async function writeOut(bytes: string | Uint8Array): Promise<boolean> {
  const { stdout } = process;
  if (stdout.destroyed || stdout.writableEnded) return false;
  if (stdout.write(bytes)) return true;
  await new Promise<void>((resolve) => {
    const done = () => {
      stdout.off('drain', done);
      stdout.off('close', done);
      resolve();
    };
    stdout.on('drain', done);
    stdout.on('close', done);
  });
  return !stdout.destroyed;
}

/** A reader that closes the pipe ends the command quietly. Answers the function that undoes it. */
export function onClosedPipe(stop: () => void): () => void {
  const listener = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') throw error;
    stop();
  };
  process.stdout.on('error', listener);
  return () => process.stdout.off('error', listener);
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
