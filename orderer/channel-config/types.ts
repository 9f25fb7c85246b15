/**
 * A channel's configuration: everything a verifier needs, and all of it on the chain (block 0).
 * Browser-safe: plain data, no Node imports.
 */

import type { PolicyTree } from '../policy/types.ts';

/** One replica as the chain knows it (Fabric `common.Consenter`). */
export interface Consenter {
  /** 1-based number that signs blocks; unique in the channel. */
  readonly number: number;
  /** Where the other replicas reach it (mutual TLS). */
  readonly host: string;
  readonly port: number;
  readonly mspId: string;
  /** X.509 certificate, PEM; its key signs blocks and PREPAREs. */
  readonly identityPem: string;
  readonly clientTlsPem: string;
  readonly serverTlsPem: string;
}

/**
 * Organizational unit in a subject that gives an identity its role, and
 * the CA that must vouch for it.
 */
export interface NodeOu {
  readonly unit: string;
  /** PEM of the CA; undefined when any CA of the organization will do. */
  readonly certificatePem: string | undefined;
}

/** Fabric `FabricNodeOUs`: roles by organizational unit. A role without an entry cannot be had. */
export interface NodeOus {
  readonly client: NodeOu | undefined;
  readonly peer: NodeOu | undefined;
  readonly admin: NodeOu | undefined;
  readonly orderer: NodeOu | undefined;
}

/** An organization: its CAs, how its members get roles, where it sits in the configuration tree. */
export interface MspConfig {
  readonly mspId: string;
  /** Name of its group in the configuration tree ('Org1'). */
  readonly group: string;
  readonly kind: 'orderer' | 'application';
  readonly rootCertsPem: readonly string[];
  readonly intermediateCertsPem: readonly string[];
  /** Certificates that have the admin role by being listed. */
  readonly adminsPem: readonly string[];
  /** Certificate revocation lists, PEM. */
  readonly revokedPem: readonly string[];
  readonly tlsRootCertsPem: readonly string[];
  readonly tlsIntermediateCertsPem: readonly string[];
  /** Undefined: node OUs are off and only `member` and `admin` exist. */
  readonly nodeOus: NodeOus | undefined;
  /** Units of which a member must have one; empty means no such rule. */
  readonly organizationalUnits: readonly NodeOu[];
}

export interface BatchSize {
  readonly maxMessageCount: number;
  readonly absoluteMaxBytes: number;
  readonly preferredMaxBytes: number;
}

/**
 * What is Sluice's alone, in `ConsensusType.metadata`. All replicas of a channel must
 * agree on every value, or they would cut, refuse or wait differently; that is why it is
 * on the chain. Times in milliseconds.
 */
export interface SluiceOptions {
  /** Slots that may be open at once: cells per peer and kind. A power of two. */
  readonly windowSlots: number;
  /** How far one lane may advance in one slot. */
  readonly laneAdvanceBatchesMax: number;
  readonly laneAdvanceBytesMax: number;
  /** Where a batch in a lane closes; a larger envelope travels in a batch of its own. */
  readonly batchBytesMax: number;
  /** How far ahead of a replica's clock a proposal's time may be. */
  readonly clockSkewMsMax: number;
  /** Bounds of the adaptive wait before a slot goes to the slow path. */
  readonly slowPathAfterMsMin: number;
  readonly slowPathAfterMsMax: number;
  /** How replicas wait for work unless their own replica.yaml says otherwise. */
  readonly waitMode: 'spin' | 'adaptive' | 'block';
  /** Patience with a leader before another one is asked for; what each further failure doubles. */
  readonly viewTimeoutMs: number;
  /** Who checks a batch's signatures: its owner and f others, or all (docs/protocol.md, A1, A7). */
  readonly signatureChecks: 'shared' | 'all';
}

export interface ChannelConfig {
  readonly channel: string;
  /** Configuration sequence; 0 in the genesis block. */
  readonly sequence: number;
  /** Time in the genesis block's channel header, milliseconds since 1970. */
  readonly createdAtMs: number;
  readonly batchSize: BatchSize;
  readonly batchTimeoutMs: number;
  /** Sorted by number; the position in this list is the replica index of the consensus core. */
  readonly consenters: readonly Consenter[];
  /** Ordering organizations first, then application ones, each sorted by group name. */
  readonly msps: readonly MspConfig[];
  /** Root is the group `Channel`. */
  readonly policies: PolicyTree;
  /**
   * Undefined when the chain is not Sluice's (Fabric's own BFT orderer
   * wrote it): good for auditing only.
   */
  readonly sluice: SluiceOptions | undefined;
  /** host:port of the ordering service's public endpoints. */
  readonly ordererAddresses: readonly string[];
}
