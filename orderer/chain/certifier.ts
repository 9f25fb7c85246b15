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
  bytesEqual,
  type ConsenterKey,
  type ConsenterSignature,
  decodeCertificate,
  encodeCertificate,
  encodeIdentifierHeader,
  quorumOf,
  signedBytes,
} from '../../ledger/format/index.ts';
import type { VerifyItem, VerifyPool } from '../signature/index.ts';
import {
  CERTIFICATE_BYTES_MAX,
  decodeSignatureMessage,
  encodeSignatureMessage,
  SIGNATURE_NONCE_BYTES,
  type SignatureMessage,
} from './signature-message.ts';

/** Signatures for blocks not stored here yet are kept this far ahead, per peer; beyond it they are asked for again. */
export const SIGNATURES_AHEAD_MAX = 256;
/** Blocks that one request is answered for. */
const BLOCKS_PER_REQUEST_MAX = 64;

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
  /** The stored certificate of a block that is certified here, for a replica that was away when it was signed. */
  readonly certificate: (blockNumber: number) => Promise<Uint8Array | undefined>;
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
  /** Being verified. */
  underWay: number;
  /** Not looked at while those verified and under way are a quorum: one of the latter may turn out bad. */
  readonly spare: {
    readonly from: number;
    readonly key: ConsenterKey;
    readonly message: PeerSignature;
  }[];
  /** Senders whose signature is here, or was bad: none costs more than one verification a block. */
  readonly tried: Set<number>;
  /** The same for whole certificates. */
  readonly relayed: Set<number>;
}

type PeerSignature = Extract<SignatureMessage, { kind: 'signature' }>;
type PeerCertificate = Extract<SignatureMessage, { kind: 'certificate' }>;

export class Certifier {
  readonly #options: CertifierOptions;
  readonly #dependencies: CertifierDependencies;
  readonly #quorum: number;
  /** Stored and not certified. Bounded by `AppliedGate`. */
  readonly #open = new Map<number, OpenBlock>();
  /** Signatures that came before the block, per peer by block number. */
  readonly #early: Map<number, PeerSignature>[];
  /** Peers whose request is being answered; another one meanwhile is dropped, they ask again. */
  readonly #answering = new Set<number>();
  /** Peers that sent a bad certificate: a correct replica never does, so no more of theirs are verified. */
  readonly #badCertificates = new Set<number>();
  #storedHeight: number;
  /** End of the blocks that the last request asked for. */
  #askedUntil = 0;

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

  /** The block is on disk: signs it, spreads the signature and takes those that came early. */
  onStored(stored: StoredHeader): void {
    const number = stored.block.header.number;
    const certificate = decodeCertificate(stored.block.metadata[0] ?? new Uint8Array());
    if (certificate.kind === 'malformed') {
      throw new Error(`block ${number} was stored with unreadable metadata: ${certificate.reason}`);
    }
    const value = certificate.value.value;
    const open: OpenBlock = {
      stored,
      value,
      signatures: new Map(),
      underWay: 0,
      spare: [],
      tried: new Set(),
      relayed: new Set(),
    };
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

  /** Blocks below this height came with their certificates: nothing more is wanted for them. */
  onFetched(height: number): void {
    this.#storedHeight = Math.max(this.#storedHeight, height);
    for (const early of this.#early) {
      for (const number of early.keys()) if (number < height) early.delete(number);
    }
  }

  onMessage(from: number, body: Uint8Array): void {
    const decoded = decodeSignatureMessage(body);
    if (decoded.kind === 'malformed') return this.#dependencies.onFault(from, decoded.reason);
    const message = decoded.value;
    if (message.kind === 'request') return this.#onRequest(from, message.blockNumber);
    const open = this.#open.get(message.blockNumber);
    if (message.kind === 'certificate') {
      if (open !== undefined) this.#checkCertificate(from, open, message);
      return;
    }
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
    this.#askedUntil = oldest + BLOCKS_PER_REQUEST_MAX;
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
    this.#sendOwn(open);
  }

  #sendOwn(open: OpenBlock, to?: number): void {
    const own = open.signatures.get(this.#options.consenters[this.#options.self]?.number ?? -1);
    if (own === undefined) return;
    const { nonce, signature } = own;
    const { headerHash, block } = open.stored;
    const blockNumber = block.header.number;
    this.#dependencies.send(
      encodeSignatureMessage({ kind: 'signature', blockNumber, headerHash, nonce, signature }),
      to,
    );
  }

  #onRequest(to: number, fromBlock: number): void {
    if (this.#answering.has(to)) return;
    this.#answering.add(to);
    this.#answer(to, fromBlock).then(
      () => this.#answering.delete(to),
      // The ledger is closing, or failing, which its writes report; the peer asks again, or another.
      () => this.#answering.delete(to),
    );
  }

  /** The own signature of what is open here, the certificate of what is not any more. */
  async #answer(to: number, fromBlock: number): Promise<void> {
    const end = Math.min(fromBlock + BLOCKS_PER_REQUEST_MAX, this.#storedHeight);
    for (let number = fromBlock; number < end; number++) {
      const open = this.#open.get(number);
      if (open !== undefined) {
        this.#sendOwn(open, to);
        continue;
      }
      const metadata = await this.#dependencies.certificate(number);
      if (metadata === undefined || metadata.length > CERTIFICATE_BYTES_MAX) continue;
      const body = encodeSignatureMessage({ kind: 'certificate', blockNumber: number, metadata });
      this.#dependencies.send(body, to);
    }
  }

  #check(from: number, open: OpenBlock, message: PeerSignature): void {
    const key = this.#options.consenters[from];
    if (key === undefined || open.signatures.has(key.number) || open.tried.has(from)) return;
    const { number } = open.stored.block.header;
    open.tried.add(from);
    if (!bytesEqual(message.headerHash, open.stored.headerHash)) {
      return this.#dependencies.onFault(from, `signed another header of block ${number}`);
    }
    if (open.signatures.size + open.underWay < this.#quorum) this.#verify(from, key, open, message);
    else open.spare.push({ from, key, message });
  }

  #verify(from: number, key: ConsenterKey, open: OpenBlock, message: PeerSignature): void {
    const { nonce, signature } = message;
    open.underWay++;
    this.#dependencies.pool.verify([this.#verifyItem(key, open, nonce, signature)]).then(
      ([valid]) => {
        open.underWay--;
        if (valid === true) {
          return this.#add(open, { identifier: key.number, nonce, signature });
        }
        const { number } = open.stored.block.header;
        this.#dependencies.onFault(from, `its signature of block ${number} does not verify`);
        this.#verifySpare(open);
      },
      // The pool is closing or full; the signature is asked for again while the block is uncertified.
      () => {
        open.underWay--;
        open.tried.delete(from);
        this.#verifySpare(open);
      },
    );
  }

  /** One that was counted on is none. */
  #verifySpare(open: OpenBlock): void {
    if (this.#open.get(open.stored.block.header.number) !== open) return;
    const next = open.spare.shift();
    if (next !== undefined) this.#verify(next.from, next.key, open, next.message);
  }

  /** A certificate is its signatures, relayed: those that are missing are verified like any other. */
  #checkCertificate(from: number, open: OpenBlock, message: PeerCertificate): void {
    if (open.relayed.has(from) || this.#badCertificates.has(from)) return;
    const bad = (what: string): void => {
      this.#badCertificates.add(from);
      this.#dependencies.onFault(from, `its certificate of block ${message.blockNumber} ${what}`);
    };
    const decoded = decodeCertificate(message.metadata);
    if (decoded.kind === 'malformed') return bad(`is malformed: ${decoded.reason}`);
    const { value, signatures } = decoded.value;
    if (!bytesEqual(value, open.value)) return bad('has another value than this replica stored');
    const keys = new Map(this.#options.consenters.map((key) => [key.number, key]));
    const missing: ConsenterSignature[] = [];
    const items: VerifyItem[] = [];
    for (const one of signatures) {
      const key = keys.get(one.identifier);
      if (key === undefined) return bad('names an unknown or repeated signer');
      keys.delete(one.identifier);
      if (open.signatures.has(one.identifier)) continue;
      missing.push(one);
      items.push(this.#verifyItem(key, open, one.nonce, one.signature));
    }
    open.relayed.add(from);
    this.#dependencies.pool.verify(items).then(
      (verdicts) => {
        if (verdicts.includes(false)) return bad('holds a signature that does not verify');
        for (const one of missing) this.#add(open, one);
      },
      () => {
        open.relayed.delete(from);
      },
    );
  }

  #verifyItem(
    key: ConsenterKey,
    open: OpenBlock,
    nonce: Uint8Array,
    signature: Uint8Array,
  ): VerifyItem {
    const identifierHeader = encodeIdentifierHeader(key.number, nonce);
    return {
      key: { algorithm: key.algorithm, bytes: key.publicKey },
      message: signedBytes(open.value, identifierHeader, open.stored.block.header),
      signature,
    };
  }

  #add(open: OpenBlock, signature: ConsenterSignature): void {
    const { number } = open.stored.block.header;
    if (this.#open.get(number) !== open) return;
    open.signatures.set(signature.identifier, signature);
    this.#finishIfQuorum(open);
  }

  #finishIfQuorum(open: OpenBlock): void {
    const { number } = open.stored.block.header;
    if (open.signatures.size < this.#quorum || !this.#open.has(number)) return;
    this.#open.delete(number);
    const signatures = [...open.signatures.values()].sort((a, b) => a.identifier - b.identifier);
    const metadata = encodeCertificate({ value: open.value, signatures });
    this.#dependencies.onCertified(number, metadata);
    // The last of what was asked for, and more is open: this replica is catching up.
    if (number + 1 === this.#askedUntil && this.#open.size > 0) this.requestMissing();
  }
}
