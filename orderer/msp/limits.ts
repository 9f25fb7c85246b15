/** Bounds of membership. */

export const MSP_LIMITS = {
  /** CA certificates above an identity's own. */
  chainDepthMax: 5,
  /** Longest name that a message quotes. */
  quotedCharactersMax: 64,
  /** Refused creators that are remembered, unless the resolver's options say otherwise. */
  refusedEntriesMax: 1024,
} as const;
