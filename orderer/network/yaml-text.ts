/**
 * The settings files that `sluice init` writes: commented, because they are read by people first.
 */

import { formatDuration } from '../channel-config/duration.ts';
import type { BatchSize } from '../channel-config/types.ts';
import { SETTINGS_DEFAULTS } from '../settings/defaults.ts';

export interface ReplicaPlace {
  readonly number: number;
  readonly host: string;
  readonly linkPort: number;
  readonly apiHost: string;
  readonly apiPort: number;
}

export interface NetworkText {
  readonly channels: readonly string[];
  readonly replicas: readonly ReplicaPlace[];
  readonly batchSize: BatchSize;
  readonly batchTimeoutMs: number;
  readonly provider: string;
}

export function networkYaml(network: NetworkText): string {
  const { batchSize } = network;
  const replicas = network.replicas.map(
    (replica) => `  - number: ${replica.number}
    host: ${JSON.stringify(replica.host)}
    port: ${replica.linkPort}
    api: ${JSON.stringify(apiUrl(replica))}
`,
  );
  const channels = network.channels.map(
    (channel) => `  - name: ${channel}
    genesis: genesis/${channel}.block
    # For the reader: the genesis block decides, and a replica refuses to start when these differ from it.
    batch:
      maxMessageCount: ${batchSize.maxMessageCount}
      absoluteMaxBytes: ${batchSize.absoluteMaxBytes}
      preferredMaxBytes: ${batchSize.preferredMaxBytes}
      timeout: ${formatDuration(network.batchTimeoutMs)}
`,
  );
  return `# A Sluice network, written by \`sluice init\`. Every replica reads the same file; paths are relative to it.
version: 1

channels:
${channels.join('')}
# Numbers are those of the genesis block's consenters. The other replicas connect to host and port (mutual TLS);
# clients use the API.
replicas:
${replicas.join('')}
transport:
  # shm: all replicas on this machine, through shared memory.
  # tcp: replicas on any machines, through their links (mutual TLS).
  # verbs: replicas on machines with RDMA devices (RNICs, Soft-RoCE) that reach each other.
  provider: ${network.provider}
`;
}

export function replicaYaml(replica: ReplicaPlace, gatewayMspId: string | undefined): string {
  const gateway =
    gatewayMspId === undefined
      ? ''
      : `
# Signs what comes as {"data": ...}, so that plain curl can submit. Remove it to accept signed envelopes only.
gateway:
  mspId: ${gatewayMspId}
  certificate: keys/gateway-cert.pem
  key: keys/gateway-key.pem
`;
  return `# Replica ${replica.number}, written by \`sluice init\`. Paths are relative to this file.
version: 1
number: ${replica.number}
network: ../network.yaml
dataDirectory: ledger

keys:
  identity:
    certificate: keys/identity-cert.pem
    key: keys/identity-key.pem
  tls:
    certificate: keys/tls-cert.pem
    key: keys/tls-key.pem

api:
  host: ${JSON.stringify(replica.apiHost)}
  port: ${replica.apiPort}

# wal: what this replica votes is on disk before it is sent, so it may be restarted at any time, and all of them at once.
# memory: faster, nothing of consensus is written; after a restart it does not vote until the others have got beyond
# all that it may have voted for, and a transaction that was accepted and not certified is lost when all stop at once.
durability: wal
# With less free space than this on its disk the replica stands still and says so, and goes on when there is room again.
diskReserveBytes: ${SETTINGS_DEFAULTS.diskReserveBytes}
${gateway}
log:
  level: info
`;
}

export function apiUrl(replica: Pick<ReplicaPlace, 'apiHost' | 'apiPort'>): string {
  return `http://${apiAddress(replica)}`;
}

/** host:port, an IPv6 address in brackets. */
export function apiAddress(replica: Pick<ReplicaPlace, 'apiHost' | 'apiPort'>): string {
  const host = replica.apiHost.includes(':') ? `[${replica.apiHost}]` : replica.apiHost;
  return `${host}:${replica.apiPort}`;
}
