/**
 * Bounds of the decoders. Each is far above what a channel's BatchSize allows,
 * and far below what would hurt.
 */
export const FORMAT_LIMITS = {
  /** Largest serialized block, bytes. */
  blockBytesMax: 256 * 1024 * 1024,
  /** Envelopes in a block: an entry costs two bytes on the wire but some hundred in memory. */
  blockEntriesMax: 131_072,
  /** Entries of BlockMetadata that the decoder reads; a valid block has `metadataEntries`. */
  metadataEntriesMax: 16,
  /** Entries of BlockMetadata in a valid block. */
  metadataEntries: 5,
  /** Signatures in a certificate. */
  certificateSignaturesMax: 256,
  /** Longest signature, nonce or hash that the decoders of block parts accept, bytes. */
  smallBytesMax: 4096,
} as const;
