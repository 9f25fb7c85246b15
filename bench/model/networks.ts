/** The networks that the model reckons with. None of them is measured here: this machine has no device and no cable. */

export interface NetworkModel {
  readonly name: string;
  /** From one replica to another, without what bytes and messages take, microseconds. */
  readonly latencyUs: number;
  /** Processor time of the sender for one write to one peer, besides what is measured over shared memory. */
  readonly postUs: number;
  /** The network card's, for one message, and its bytes a microsecond; both ways at once. */
  readonly messageUs: number;
  readonly bytesPerUs: number;
}

/** Assumptions, in the order of what is usual for such networks; change them here and everything follows. */
export const NETWORKS: readonly NetworkModel[] = [
  {
    // One-sided writes, inline, switch in between; posting is a write to the device's doorbell.
    name: 'one rack, RDMA',
    latencyUs: 2,
    postUs: 0.15,
    messageUs: 0.02,
    bytesPerUs: 12_500,
  },
  {
    // A system call and the kernel's stack for each parcel; 25 Gbit/s.
    name: 'data centre, TCP',
    latencyUs: 30,
    postUs: 2,
    messageUs: 0.2,
    bytesPerUs: 3_125,
  },
  {
    // As the one before, between sites of one region.
    name: 'region, TCP',
    latencyUs: 1_000,
    postUs: 2,
    messageUs: 0.2,
    bytesPerUs: 1_250,
  },
];
