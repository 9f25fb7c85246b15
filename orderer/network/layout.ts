/**
 * Where things are in a network's directory. Keys are 0600, directories 0700.
 *
 *   data/
 *     network.yaml                  channels and replicas: the same file for every replica
 *     genesis/main.block            block 0 of channel `main`, serialized common.Block
 *     orgs/OrdererMSP/
 *       ca/{cert,key}.pem           issues the replicas' identities
 *       tlsca/{cert,key}.pem        issues their TLS certificates
 *     orgs/Org1MSP/
 *       ca/{cert,key}.pem           issues writers (`sluice keygen`)
 *       users/{admin,user}/{cert,key}.pem
 *     replica-1/
 *       replica.yaml                what is this replica's own
 *       keys/identity-{cert,key}.pem    signs blocks
 *       keys/tls-{cert,key}.pem         mutual TLS between replicas
 *       keys/gateway-{cert,key}.pem     signs what plain curl sends
 *       ledger/                     made by the replica when it first starts
 *
 * `orgs` is for whoever governs the network: a replica needs network.yaml,
 * genesis/ and its own directory only.
 */

import { join } from 'node:path';

export const ORDERER_MSP = 'OrdererMSP';
export const APPLICATION_MSP = 'Org1MSP';

export const NETWORK_FILE = 'network.yaml';

export function replicaDirectory(directory: string, number: number): string {
  return join(directory, `replica-${number}`);
}

export function replicaFile(directory: string, number: number): string {
  return join(replicaDirectory(directory, number), 'replica.yaml');
}

export function authorityDirectory(directory: string, mspId: string): string {
  return join(directory, 'orgs', mspId, 'ca');
}

export function writerDirectory(directory: string, mspId: string, name: string): string {
  return join(directory, 'orgs', mspId, 'users', name);
}
