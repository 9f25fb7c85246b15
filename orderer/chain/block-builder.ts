/** Chains envelope groups into Fabric blocks; deterministic in the ordered stream. */
import {
  type Block,
  type BlockHeader,
  dataHash,
  encodeCertificate,
  encodeOrdererBlockMetadata,
  headerHash,
  type Sha256,
} from '../../ledger/format/index.ts';
import { type ConsenterMetadata, encodeConsenterMetadata } from './consenter-metadata.ts';

/** A block as cut: metadata[0] holds the value that signatures will cover, and no signature yet. */
export interface CutBlock {
  readonly block: Block;
  readonly headerHash: Uint8Array;
}

/** How far a chain goes: so many blocks, the last of which has this header hash. */
export interface ChainTip {
  readonly height: number;
  readonly tipHash: Uint8Array;
}

export class BlockBuilder {
  readonly #sha256: Sha256;
  #height: number;
  #tipHash: Uint8Array;

  constructor(tip: ChainTip, sha256: Sha256) {
    this.#sha256 = sha256;
    this.#height = tip.height;
    this.#tipHash = tip.tipHash;
  }

  /** The last block built, or what the builder began with; `height` is the next block's number. */
  get tip(): ChainTip {
    return { height: this.#height, tipHash: this.#tipHash };
  }

  build(envelopes: Uint8Array[], consensus: ConsenterMetadata): CutBlock {
    const header: BlockHeader = {
      number: this.#height,
      previousHash: this.#tipHash,
      dataHash: dataHash(envelopes, this.#sha256),
    };
    // No configuration updates yet: the genesis block stays the last configuration.
    const value = encodeOrdererBlockMetadata({
      lastConfigIndex: 0,
      consenterMetadata: encodeConsenterMetadata(consensus),
    });
    const empty = new Uint8Array();
    const metadata = [encodeCertificate({ value, signatures: [] }), empty, empty, empty, empty];
    const hash = headerHash(header, this.#sha256);
    this.#height++;
    this.#tipHash = hash;
    return { block: { header, data: envelopes, metadata }, headerHash: hash };
  }
}
