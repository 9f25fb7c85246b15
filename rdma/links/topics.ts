/**
 * Who owns which frame topic on a link. A topic is a u16; what a topic's body
 * means is its owner's business.
 */
export const LINK_TOPICS = {
  /** HELLO, PING and REFUSED: the link's own; never handed up. */
  link: 0,
  /** Region offers between transports (`rdma/bootstrap.ts`). */
  bootstrap: 1,
  /** Writes of the `tcp` provider (`WriteShipping`), with their channel before them. */
  writes: 2,
  /** First topic that the orderer may use (start-up synchronization and the like). */
  ordererFirst: 16,
  /** Last topic that exists. */
  last: 0xffff,
} as const;
