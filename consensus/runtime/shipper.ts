/**
 * Carries writes for a transport into whose memory nobody writes from outside (`tcp`): at the end of each turn what is
 * new goes to the main thread, which has the links. Bounded: what a slow link has not taken waits in the regions, where
 * newer cells replace older ones.
 */
import type { ReplicaIndex, WriteShipping } from '../../rdma/contract.ts';

/** Given to the main thread and not yet on the wire, for each peer. */
const UNDER_WAY_BYTES_MAX = 1024 * 1024;

export class Shipper {
  readonly #shipping: WriteShipping;
  readonly #underWayBytes: Float64Array;

  constructor(shipping: WriteShipping, replicas: number) {
    this.#shipping = shipping;
    this.#underWayBytes = new Float64Array(replicas);
  }

  /** Hands over what is new for peers whose links keep up. */
  ship(post: (to: ReplicaIndex, frames: Uint8Array<ArrayBuffer>) => void): void {
    for (let peer = 0; peer < this.#underWayBytes.length; peer++) {
      while ((this.#underWayBytes[peer] as number) < UNDER_WAY_BYTES_MAX) {
        const frames = this.#shipping.take(peer);
        if (frames === undefined) break;
        this.#underWayBytes[peer] = (this.#underWayBytes[peer] as number) + frames.length;
        post(peer, frames);
      }
    }
  }

  /** The link has taken so many bytes. */
  onShipped(peer: ReplicaIndex, bytes: number): void {
    // Of a session that is over some may come late.
    this.#underWayBytes[peer] = Math.max(0, (this.#underWayBytes[peer] as number) - bytes);
  }

  /** Another session: whatever was under way belongs to the one before. */
  onSession(peer: ReplicaIndex): void {
    this.#underWayBytes[peer] = 0;
  }

  /** Returns what is wrong with the frames, or undefined. */
  apply(from: ReplicaIndex, frames: Uint8Array): string | undefined {
    return this.#shipping.apply(from, frames);
  }
}
