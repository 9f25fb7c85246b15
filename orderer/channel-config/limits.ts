/**
 * Bounds of what a channel configuration may say: block 0 comes from outside like any other block.
 */

export const CONFIG_LIMITS = {
  /** Serialized genesis block. */
  genesisBytesMax: 16 * 1024 * 1024,
  /** Nesting of configuration groups. */
  groupDepthMax: 8,
  consentersMax: 64,
  organizationsMax: 256,
  /** Certificates in one list of an organization. */
  certificatesMax: 256,
  channelNameMax: 249,
  /** A consenter number must fit everywhere it is carried (16 bits). */
  consenterNumberMax: 65_535,
  /** Envelopes are checked as whole buffers; more than this per block is not a block any more. */
  absoluteMaxBytesMax: 99 * 1024 * 1024,
  maxMessageCountMax: 1_000_000,
  batchTimeoutMsMax: 3_600_000,
} as const;
