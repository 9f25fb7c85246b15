/**
 * Limits of the link mesh. Every buffer and every wait of `rdma/links` is bounded by one of these.
 */
import { LinkError } from './errors.ts';

export interface LinkLimits {
  /** Largest frame of an authenticated peer, header excluded. */
  readonly frameBytesMax: number;
  /** Largest frame before HELLO is accepted: an unknown host must not make us buffer more. */
  readonly helloBytesMax: number;
  /** Bytes waiting to be sent to one peer; beyond it `send` returns false. */
  readonly outputBytesMax: number;
  /** From the start of a connection to the accepted HELLO. */
  readonly helloTimeoutMs: number;
  /** Inbound connections that have not finished HELLO, all hosts together. */
  readonly pendingConnectionsMax: number;
  /** Of these, how many may come from one address. */
  readonly pendingPerHostMax: number;
  /** A pending connection younger than this is never evicted for a newcomer. */
  readonly pendingGraceMs: number;
  /** How long a refused connection may take to read why. */
  readonly refusalLingerMs: number;
  /** Least time between two links of a peer that dials us. */
  readonly linkIntervalMinMs: number;
  readonly pingIntervalMs: number;
  /** A link that was silent for longer is dead. */
  readonly silenceMaxMs: number;
  /** A link that was silent for longer gives way to a new connection of the same process. */
  readonly suspectMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Lines about strangers' connections that are logged in one `strangerLogWindowMs`. */
  readonly strangerLogLinesMax: number;
  readonly strangerLogWindowMs: number;
}

const LINK_LIMITS: LinkLimits = {
  frameBytesMax: 1 << 20,
  helloBytesMax: 1024,
  outputBytesMax: 8 << 20,
  helloTimeoutMs: 3_000,
  pendingConnectionsMax: 64,
  pendingPerHostMax: 16,
  pendingGraceMs: 250,
  refusalLingerMs: 500,
  linkIntervalMinMs: 200,
  pingIntervalMs: 1_000,
  silenceMaxMs: 5_000,
  suspectMs: 2_500,
  backoffMinMs: 50,
  backoffMaxMs: 2_000,
  strangerLogLinesMax: 10,
  strangerLogWindowMs: 10_000,
};

/** Longest network id, UTF-8 bytes; with the fixed fields it must fit into `helloBytesMax`. */
export const NETWORK_ID_BYTES_MAX = 256;
/** Longest explanation in a REFUSED frame, UTF-8 bytes. */
export const REFUSAL_MESSAGE_BYTES_MAX = 256;
/** Fixed part of HELLO and of its topic header; see `frames.ts`. */
const HELLO_FIXED_BYTES = 32;

/**
 * Merges overrides into the defaults and checks the relations between them.
 * Throws LinkError `bad_options`.
 */
export function linkLimits(overrides: Partial<LinkLimits> = {}): LinkLimits {
  const limits = { ...LINK_LIMITS, ...overrides };
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value <= 0) {
      throw new LinkError('bad_options', `limit ${name} is ${value}; give a positive integer`);
    }
  }
  const relations: readonly [boolean, string][] = [
    [
      limits.helloBytesMax >= HELLO_FIXED_BYTES + NETWORK_ID_BYTES_MAX,
      'helloBytesMax must hold a HELLO with the longest network id',
    ],
    [limits.frameBytesMax >= limits.helloBytesMax, 'frameBytesMax must be >= helloBytesMax'],
    [limits.outputBytesMax > limits.frameBytesMax, 'outputBytesMax must be > frameBytesMax'],
    [
      limits.pendingPerHostMax <= limits.pendingConnectionsMax,
      'pendingPerHostMax must be <= pendingConnectionsMax',
    ],
    [limits.pendingGraceMs < limits.helloTimeoutMs, 'pendingGraceMs must be < helloTimeoutMs'],
    [limits.suspectMs >= 2 * limits.pingIntervalMs, 'suspectMs must be >= 2 x pingIntervalMs'],
    [limits.silenceMaxMs >= limits.suspectMs, 'silenceMaxMs must be >= suspectMs'],
    [limits.backoffMinMs <= limits.backoffMaxMs, 'backoffMinMs must be <= backoffMaxMs'],
  ];
  for (const [holds, rule] of relations) {
    if (!holds) throw new LinkError('bad_options', `link limits contradict each other: ${rule}`);
  }
  return limits;
}
