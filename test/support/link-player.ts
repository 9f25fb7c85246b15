/**
 * Plays a replica on the links with its own keys: what whoever holds a consenter's TLS key may do. Its links replace
 * those of the real process, since another incarnation takes over.
 */
import { hash, randomBytes } from 'node:crypto';
import { decodeChannelFrame, encodeChannelFrame } from '../../orderer/channel-frame.ts';
import { loadReplica } from '../../orderer/network/index.ts';
import {
  decodeStartMessage,
  encodeStartMessage,
  type StartMessage,
} from '../../orderer/startup/wire.ts';
import { type LinkHandlers, PeerLinks } from '../../rdma/links/links.ts';
import { LINK_TOPICS } from '../../rdma/links/topics.ts';
import type { TestNetwork } from './network.ts';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export function playLinks(
  network: TestNetwork,
  number: number,
  handlers: Partial<LinkHandlers>,
): PeerLinks {
  const config = network.created.replicas.find((replica) => replica.number === number)?.configFile;
  const loaded = loadReplica(config ?? '');
  const first = loaded.channels[0];
  if (first === undefined) throw new Error('the network has no channel');
  const { consenters } = first.config;
  const genesis = Buffer.concat(loaded.channels.map(({ genesisBlock }) => genesisBlock));
  return new PeerLinks(
    {
      self: first.self,
      listenHost: '127.0.0.1',
      // Nobody finds it there: those who dial this replica get no link.
      listenPort: 0,
      peers: consenters.flatMap((consenter, index) =>
        index === first.self ? [] : [{ index, ...consenter }],
      ),
      tlsCertPem: loaded.tls.certificatePem,
      tlsKeyPem: loaded.tls.keyPem,
      caPem: loaded.tls.rootsPem,
      incarnation: randomBytes(8).readBigUInt64LE().toString(),
      networkId: hash('sha256', genesis),
    },
    {
      log: silent,
      handlers: { onUp: () => {}, onDown: () => {}, onFrame: () => {}, ...handlers },
    },
  );
}

/** Takes the links of a running replica to those that it dials, once, and lets go again: a cut cable. */
export async function cutLinks(network: TestNetwork, number: number): Promise<number> {
  let taken = 0;
  const dialed = number - 1;
  const links = playLinks(network, number, {
    onUp: () => {
      taken++;
    },
  });
  await links.listen();
  links.dial();
  const endMs = Date.now() + 10_000;
  while (taken < dialed && Date.now() < endMs) await new Promise((next) => setTimeout(next, 5));
  await links.close();
  return taken;
}

/** Sends start-up messages as replica `number`, and answers what the others send it. */
export async function playStart(
  network: TestNetwork,
  number: number,
  answer: (message: StartMessage | undefined, send: (answer: StartMessage) => void) => void,
): Promise<PeerLinks> {
  const links: PeerLinks = playLinks(network, number, {
    onUp: (peer) => answer(undefined, (message) => send(peer, message)),
    onFrame: (peer, topic, body) => {
      if (topic !== LINK_TOPICS.ordererFirst) return;
      const frame = decodeChannelFrame(body);
      const decoded = frame === undefined ? undefined : decodeStartMessage(frame.body);
      if (decoded?.kind === 'ok') answer(decoded.value, (message) => send(peer, message));
    },
  });
  const send = (peer: number, message: StartMessage): void => {
    links.send(
      peer,
      LINK_TOPICS.ordererFirst,
      encodeChannelFrame('main', encodeStartMessage(message)),
    );
  };
  await links.listen();
  links.dial();
  return links;
}
