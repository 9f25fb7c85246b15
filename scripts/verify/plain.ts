/**
 * The transactions of which there is nothing to say, which is nearly all of them, recognized without making an object of any
 * part. Whatever is not recognized goes to the thorough check (audit.ts), which names what is wrong: to refuse costs time, never
 * a finding, and to recognize takes every condition that the thorough check has.
 */
import { hash } from 'node:crypto';
import {
  ED25519_SIGNATURE_BYTES,
  EnvelopeScan,
  HEADER_TYPES,
  ID_WORDS,
  signatureFault,
  toHex,
} from '../../ledger/format/index.ts';
import { type CreatorMemory, NONCE_BYTES_MAX } from './creators.ts';

const ID_DIGITS = 64;
/** The two digits of hex, as they follow each other in text. */
const DIGITS_OF_BYTE = Uint16Array.from({ length: 256 }, (_, byte) => {
  const digits = toHex(Uint8Array.of(byte));
  return (digits.charCodeAt(0) << 8) | digits.charCodeAt(1);
});

/** Types that a Sluice chain may hold after its genesis block: configuration changes are not there yet. */
export const ORDERED_TYPES: ReadonlySet<number> = new Set([
  HEADER_TYPES.ENDORSER_TRANSACTION,
  HEADER_TYPES.MESSAGE,
]);

export class PlainTransactions {
  readonly #channel: Uint8Array;
  readonly #creators: CreatorMemory;
  readonly #scan = new EnvelopeScan();

  constructor(channel: string, creators: CreatorMemory) {
    this.#channel = new TextEncoder().encode(channel);
    this.#creators = creators;
  }

  /**
   * Whether the envelope is canonical, of this channel, of a type that is ordered, written by a member, has the id that nonce and
   * creator give it and a signature in the right form. Whom the signature fits is not asked. The id goes to `idWords`, from `at`
   * on; there may be anything when the answer is no.
   */
  recognizes(envelope: Uint8Array, idWords: Uint32Array, at: number): boolean {
    const scan = this.#scan;
    if (!scan.scan(envelope) || !ORDERED_TYPES.has(scan.type)) return false;
    if (!this.#isChannel(envelope)) return false;
    const nonceBytes = scan.nonceEnd - scan.nonceStart;
    if (scan.txIdEnd - scan.txIdStart !== ID_DIGITS || nonceBytes > NONCE_BYTES_MAX) return false;
    const creator = this.#creators.of(envelope, scan.creatorStart, scan.creatorEnd);
    if (creator === undefined || creator.verdict.kind === 'invalid') return false;
    if (!this.#isSignature(envelope, creator.verdict.publicKey.algorithm)) return false;
    // A string of the 32 bytes costs a third of what a Buffer of them does.
    const digest = hash(
      'sha256',
      creator.withNonce(envelope, scan.nonceStart, nonceBytes),
      'binary',
    );
    return this.#isId(digest, envelope, idWords, at);
  }

  /** Whether `signatureFault` finds nothing; the usual signature is judged without a view of it. */
  #isSignature(envelope: Uint8Array, algorithm: 'ed25519' | 'p256'): boolean {
    const { signatureStart, signatureEnd } = this.#scan;
    if (algorithm === 'ed25519') return signatureEnd - signatureStart === ED25519_SIGNATURE_BYTES;
    return signatureFault(algorithm, envelope.subarray(signatureStart, signatureEnd)) === undefined;
  }

  /** The channel's name is UTF-8, hence so is what equals it, which the scan leaves open. */
  #isChannel(envelope: Uint8Array): boolean {
    const { channelIdStart, channelIdEnd } = this.#scan;
    const channel = this.#channel;
    if (channelIdEnd - channelIdStart !== channel.length) return false;
    for (let at = 0; at < channel.length; at++) {
      if (envelope[channelIdStart + at] !== channel[at]) return false;
    }
    return true;
  }

  /** Whether the envelope names the id of this digest; makes words of it meanwhile. */
  #isId(digest: string, envelope: Uint8Array, idWords: Uint32Array, to: number): boolean {
    let from = this.#scan.txIdStart;
    for (let word = 0; word < ID_WORDS; word++) {
      let value = 0;
      for (let at = 4 * word; at < 4 * word + 4; at++, from += 2) {
        const byte = digest.charCodeAt(at) & 0xff;
        const named = ((envelope[from] as number) << 8) | (envelope[from + 1] as number);
        if (named !== DIGITS_OF_BYTE[byte]) return false;
        value = (value << 8) | byte;
      }
      idWords[to + word] = value;
    }
    return true;
  }
}
