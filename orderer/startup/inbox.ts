/**
 * What peers sent and nobody has looked at yet: at most one message of each kind a peer, the newest. A peer that
 * sends faster than the disk answers costs no more memory than one that waits.
 */
import type { StartMessage } from './wire.ts';

export class StartInbox {
  readonly #waiting = new Map<string, { readonly peer: number; message: StartMessage }>();

  get size(): number {
    return this.#waiting.size;
  }

  /** False: it took the place of an older message, whose turn it gets. */
  put(peer: number, message: StartMessage): boolean {
    const key = `${peer}/${message.kind}`;
    const older = this.#waiting.get(key);
    if (older === undefined) {
      this.#waiting.set(key, { peer, message });
      return true;
    }
    const owesReply =
      message.kind === 'report' && older.message.kind === 'report' && older.message.wantsReply;
    older.message = owesReply ? { ...message, wantsReply: true } : message;
    return false;
  }

  /** The message that has waited longest. */
  take(): { readonly peer: number; readonly message: StartMessage } | undefined {
    const [first] = this.#waiting;
    if (first === undefined) return undefined;
    this.#waiting.delete(first[0]);
    return first[1];
  }
}
