/** How a replica links with the others: their addresses and pinned certificates from the channel's configuration. */
import { hash } from 'node:crypto';
import type { LinkOptions } from '../rdma/links/links.ts';
import type { LoadedReplica } from './network/index.ts';

/** A start-up frame carries at least one block of any size that the channel allows. */
const LINK_FRAME_SLACK_BYTES = 4 * 1024 * 1024;

/** Links are made for the consenters of the first channel; all channels share them. */
export function linkOptionsOf(
  { channels, tls, number }: LoadedReplica,
  incarnation: string,
): LinkOptions {
  const first = channels[0];
  const own = first?.config.consenters[first.self];
  if (first === undefined || own === undefined) {
    throw new Error(`replica ${number} has no channel: name one in network.yaml`);
  }
  const largest = Math.max(...channels.map(({ config }) => config.batchSize.absoluteMaxBytes));
  return {
    self: first.self,
    listenHost: own.host,
    listenPort: own.port,
    peers: first.config.consenters.flatMap((consenter, index) =>
      index === first.self ? [] : [{ index, ...consenter }],
    ),
    tlsCertPem: tls.certificatePem,
    tlsKeyPem: tls.keyPem,
    caPem: tls.rootsPem,
    incarnation,
    networkId: hash('sha256', Buffer.concat(channels.map(({ genesisBlock }) => genesisBlock))),
    limits: {
      frameBytesMax: largest + LINK_FRAME_SLACK_BYTES,
      outputBytesMax: 2 * (largest + LINK_FRAME_SLACK_BYTES),
    },
  };
}
