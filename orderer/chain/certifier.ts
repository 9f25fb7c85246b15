/**
 * Gathers block certificates, off the ordering path: each replica signs the header of every block that it
 * has stored (synced) and spreads the signature; q of them make the certificate.
 *
 * Signing only what is stored is what makes a receipt lasting: a certificate says that q replicas hold the
 * block on disk, at least q - f of them correct.
 */
import { randomBytes } from 'node:crypto';
import {
  type Block,
  type ConsenterKey,
  type ConsenterSignature,
  decodeCertificate,
  encodeCertificate,
  encodeIdentifierHeader,
  quorumOf,
  signedBytes,
} from '../../ledger/format/index.ts';
import type { VerifyPool } from '../signature/pool.ts';
import {
  decodeSignatureMessage,
  encodeSignatureMessage,
  SIGNATURE_NONCE_BYTES,
  type SignatureMessage,
} from './signature-message.ts';

/** Signatures for blocks not stored here yet are kept this far ahead, per peer; beyond it they are asked for again. */
export const SIGNATURES_AHEAD_MAX = 256;
/** Own signatures sent in answer to one request. */
const SIGNATURES_PER_REQUEST_MAX = 32;
/** Blocks whose own signature is kept at hand for peers that ask. */
const OWN_SIGNATURES_KEPT_MAX = 256;

export interface CertifierOptions {
  /** Position of this replica in `consenters`. */
  readonly self: number;
  readonly consenters: readonly ConsenterKey[];
  /** Ed25519 with this replica's consenter key. */
  readonly sign: (message: Uint8Array) => Uint8Array;
}

export interface CertifierDependencies {
  readonly pool: Pick<VerifyPool, 'verify'>;
  /** To every connected replica when `to` is undefined. */
  readonly send: (body: Uint8Array, to?: number) => void;
  /** Called once per block, when its certificate is complete. */
  readonly onCertified: (blockNumber: number, signaturesMetadata: Uint8Array) => void;
  /** A replica sent a signature that does not verify, or something undecodable. */
  readonly onFault: (peer: number, reason: string) => void;
}

/** What the certifier needs of a stored block. */
export interface StoredHeader {
  readonly block: Pick<Block, 'header' | 'metadata'>;
  readonly headerHash: Uint8Array;
}

interface OpenBlock {
  readonly stored: StoredHeader;
  readonly value: Uint8Array;
  /** Verified signatures by consenter number. */
  readonly signatures: Map<number, ConsenterSignature>;
}

type PeerSignature = Extract<SignatureMessage, { kind: 'signature' }>;

export class Certifier {
  readonly #options: CertifierOptions;
  readonly #dependencies: CertifierDependencies;
  readonly #quorum: number;
  /** Stored and not certified. Bounded by the orderer's back-pressure on uncertified blocks. */
  readonly #open = new Map<number, OpenBlock>();
  /** Signatures that came before the block, per peer by block number. */
  readonly #early: Map<number, PeerSignature>[];
  readonly #own = new Map<number, Uint8Array>();
  #storedHeight: number;

  constructor(
    options: CertifierOptions,
    storedHeight: number,
    dependencies: CertifierDependencies,
  ) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#quorum = quorumOf(options.consenters.length);
    this.#early = options.consenters.map(() => new Map());
    this.#storedHeight = storedHeight;
  }

  /** Blocks stored and waiting for their quorum. */
  get uncertified(): number {
    return this.#open.size;
  }

  /** The block is on disk: signs it, spreads the signature and takes those that came early. */
  onStored(stored: StoredHeader): void {
    const number = stored.block.header.number;
    const certificate = decodeCertificate(stored.block.metadata[0] ?? new Uint8Array());
    if (certificate.kind === 'malformed') {
      throw new Error(`block ${number} was stored with unreadable metadata: ${certificate.reason}`);
    }
    const value = certificate.value.value;
    const open: OpenBlock = { stored, value, signatures: new Map() };
    this.#open.set(number, open);
    this.#storedHeight = Math.max(this.#storedHeight, number + 1);
    this.#signOwn(open);
    for (const [peer, early] of this.#early.entries()) {
      const signature = early.get(number);
      if (signature === undefined) continue;
      early.delete(number);
      this.#check(peer, open, signature);
    }
    this.#finishIfQuorum(open);
  }

  onMessage(from: number, body: Uint8Array): void {
    const decoded = decodeSignatureMessage(body);
    if (decoded.kind === 'malformed') return this.#dependencies.onFault(from, decoded.reason);
    const message = decoded.value;
    if (message.kind === 'request') return this.#answer(from, message.blockNumber);
    const open = this.#open.get(message.blockNumber);
    if (open !== undefined) return this.#check(from, open, message);
    // Certified already: late signatures of the other replicas are the normal case.
    if (message.blockNumber < this.#storedHeight) return;
    if (message.blockNumber >= this.#storedHeight + SIGNATURES_AHEAD_MAX) return;
    this.#early[from]?.set(message.blockNumber, message);
  }

  /** Asks a replica for what is missing; called when its session opens and while blocks stay uncertified. */
  requestMissing(to?: number): void {
    let oldest = this.#storedHeight;
    for (const number of this.#open.keys()) oldest = Math.min(oldest, number);
    if (this.#open.size === 0 && to === undefined) return;
    this.#dependencies.send(encodeSignatureMessage({ kind: 'request', blockNumber: oldest }), to);
  }

  #signOwn(open: OpenBlock): void {
    const { header } = open.stored.block;
    const self = this.#options.consenters[this.#options.self];
    if (self === undefined) throw new Error('this replica is not among the consenters');
    const nonce = new Uint8Array(randomBytes(SIGNATURE_NONCE_BYTES));
    const identifierHeader = encodeIdentifierHeader(self.number, nonce);
    const signature = this.#options.sign(signedBytes(open.value, identifierHeader, header));
    open.signatures.set(self.number, { identifier: self.number, nonce, signature });
    const body = encodeSignatureMessage({
      kind: 'signature',
      blockNumber: header.number,
      headerHash: open.stored.headerHash,
      nonce,
      signature,
    });
    this.#own.set(header.number, body);
    this.#own.delete(header.number - OWN_SIGNATURES_KEPT_MAX);
    this.#dependencies.send(body);
  }

  #answer(to: number, fromBlock: number): void {
    const end = Math.min(fromBlock + SIGNATURES_PER_REQUEST_MAX, this.#storedHeight);
    for (let number = fromBlock; number < end; number++) {
      const body = this.#own.get(number);
      if (body !== undefined) this.#dependencies.send(body, to);
    }
  }

  #check(from: number, open: OpenBlock, message: PeerSignature): void {
    const key = this.#options.consenters[from];
    if (key === undefined || open.signatures.has(key.number)) return;
    if (!equalBytes(message.headerHash, open.stored.headerHash)) {
      return this.#dependencies.onFault(
        from,
        `signed another header of block ${message.blockNumber}`,
      );
    }
    const identifierHeader = encodeIdentifierHeader(key.number, message.nonce);
    const signed = signedBytes(open.value, identifierHeader, open.stored.block.header);
    const item = {
      key: { algorithm: key.algorithm, bytes: key.publicKey },
      message: signed,
      signature: message.signature,
    };
    const { number } = open.stored.block.header;
    this.#dependencies.pool.verify([item]).then(
      ([valid]) => {
        if (valid !== true) {
          return this.#dependencies.onFault(
            from,
            `its signature of block ${number} does not verify`,
          );
        }
        if (this.#open.get(number) !== open) return;
        const { nonce, signature } = message;
        open.signatures.set(key.number, { identifier: key.number, nonce, signature });
        this.#finishIfQuorum(open);
      },
      // The pool is closing or full; the signature is asked for again while the block is uncertified.
      () => undefined,
    );
  }

  #finishIfQuorum(open: OpenBlock): void {
    const { number } = open.stored.block.header;
    if (open.signatures.size < this.#quorum || !this.#open.has(number)) return;
    this.#open.delete(number);
    const signatures = [...open.signatures.values()].sort((a, b) => a.identifier - b.identifier);
    const metadata = encodeCertificate({ value: open.value, signatures });
    this.#dependencies.onCertified(number, metadata);
  }
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
