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

export class BlockBuilder {
  readonly #sha256: Sha256;
  #nextNumber: number;
  #previousHash: Uint8Array;

  constructor(tip: { header: BlockHeader; hash: Uint8Array }, sha256: Sha256) {
    this.#sha256 = sha256;
    this.#nextNumber = tip.header.number + 1;
    this.#previousHash = tip.hash;
  }

  build(envelopes: Uint8Array[], consensus: ConsenterMetadata): CutBlock {
    const header: BlockHeader = {
      number: this.#nextNumber,
      previousHash: this.#previousHash,
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
    this.#nextNumber++;
    this.#previousHash = hash;
    return { block: { header, data: envelopes, metadata }, headerHash: hash };
  }
}
