/**
 * Can this replica order now, and should it take submissions? Two questions: a submission is held across whatever
 * passes by itself, such as a change of leader, and refused only when another replica would serve the client better.
 */
import type { CoreStatus } from '../consensus/core/index.ts';
import { quorumOf } from '../ledger/format/index.ts';

/** Fewer than a quorum connected, a checkpoint being fetched: for so long submissions are held. */
const QUORUM_GRACE_MS = 2_000;
const TRANSFER_GRACE_MS = 5_000;
/** A change of leader takes a fraction of a second; from then on it is worth saying. */
const CHANGING_GRACE_MS = 5_000;

export interface OrderingState {
  /** Newest of consensus; undefined before the first. */
  readonly status: CoreStatus | undefined;
  readonly replicas: number;
  /** Connected replicas, this one included. */
  readonly connected: number;
  /** For how long fewer than a quorum have been, milliseconds; undefined while enough are. */
  readonly quorumLostForMs: number | undefined;
  /** For how long a checkpoint of the others has been fetched; undefined while none is. */
  readonly transferringForMs: number | undefined;
  /** What was said of a disk without room. */
  readonly diskFull: string | undefined;
}

/** Who is connected, and since when too few are. */
export class QuorumWatch {
  readonly #replicas: number;
  readonly #open: Set<number>;
  #lostAtMs: number | undefined;

  constructor(replicas: number, self: number) {
    this.#replicas = replicas;
    this.#open = new Set([self]);
    this.#judge();
  }

  /** This replica included. */
  get connected(): number {
    return this.#open.size;
  }

  get lostForMs(): number | undefined {
    return this.#lostAtMs === undefined ? undefined : performance.now() - this.#lostAtMs;
  }

  isOpen(peer: number): boolean {
    return this.#open.has(peer);
  }

  onSession(peer: number, open: boolean): void {
    if (open) this.#open.add(peer);
    else this.#open.delete(peer);
    this.#judge();
  }

  #judge(): void {
    if (this.#open.size >= quorumOf(this.#replicas)) this.#lostAtMs = undefined;
    else this.#lostAtMs ??= performance.now();
  }
}

export class OrderingHealth {
  #changingSinceMs: number | undefined;

  /** The sentence that says why it cannot order; undefined when it can. */
  obstacle(state: OrderingState): string | undefined {
    const { status, transferringForMs } = state;
    const changingForMs = this.#changingForMs(status, performance.now());
    const lasting = lastingObstacle(state);
    if (lasting !== undefined) return lasting;
    if (state.quorumLostForMs !== undefined) return tooFew(state);
    if (transferringForMs !== undefined || status?.behind === true) return TRANSFERRING;
    if (changingForMs < CHANGING_GRACE_MS) return undefined;
    return `the replicas have been changing their leader for ${Math.round(changingForMs / 1_000)} s`;
  }

  /** Why a submission is not even to be held; undefined when it is taken. */
  refusal(state: OrderingState): string | undefined {
    const lasting = lastingObstacle(state);
    if (lasting !== undefined) return lasting;
    if ((state.quorumLostForMs ?? 0) > QUORUM_GRACE_MS) return tooFew(state);
    return (state.transferringForMs ?? 0) > TRANSFER_GRACE_MS ? TRANSFERRING : undefined;
  }

  /** Since it was first asked while the change went on. */
  #changingForMs(status: CoreStatus | undefined, nowMs: number): number {
    if (status?.changing !== true) this.#changingSinceMs = undefined;
    else this.#changingSinceMs ??= nowMs;
    return this.#changingSinceMs === undefined ? 0 : nowMs - this.#changingSinceMs;
  }
}

const TRANSFERRING =
  'this replica fell behind what the others still hold and is fetching their blocks';

/** What no short wait helps against. */
function lastingObstacle({ status, diskFull }: OrderingState): string | undefined {
  if (diskFull !== undefined) {
    return `the disk is full: make room, and ordering goes on by itself (${diskFull})`;
  }
  if (status?.mute !== true) return undefined;
  return (
    'this replica joined without memory of its votes; it takes part again after a checkpoint that covers all it may ' +
    'have voted for'
  );
}

function tooFew({ connected, replicas }: OrderingState): string {
  return `${connected} of ${replicas} replicas are connected, ${quorumOf(replicas)} are needed to order`;
}
