/** Starts and talks to support/peer-process.ts. */

import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type {
  RegionOffer,
  SessionKeys,
  SessionState,
  Transport,
  TransportFault,
} from '../../../rdma/index.ts';
import { SMALL, sessionKeys } from './pair.ts';

export const PEER_OPTIONS = { ...SMALL, replicas: 2 };

export type CommandToPeer =
  | {
      readonly kind: 'offer';
      readonly offer: RegionOffer;
      readonly keys: SessionKeys;
      readonly pairSecret: string;
    }
  | { readonly kind: 'confirm' }
  /** Rewrite the same vote cell this many times, each view once, among lane payloads. */
  | { readonly kind: 'hammer'; readonly writes: number };

export type ReportOfPeer =
  | { readonly kind: 'mapped'; readonly offer: RegionOffer }
  | { readonly kind: 'open'; readonly state: SessionState }
  | { readonly kind: 'fault'; readonly fault: TransportFault };

export interface PeerProcess {
  readonly child: ChildProcess;
  /** Runs the whole exchange with `transport`, which is replica 0. */
  connect(transport: Transport): Promise<void>;
  kill(signal: NodeJS.Signals): Promise<void>;
}

async function reportOf<K extends ReportOfPeer['kind']>(
  child: ChildProcess,
  kind: K,
): Promise<Extract<ReportOfPeer, { kind: K }>> {
  const [message] = (await once(child, 'message')) as [ReportOfPeer];
  if (message.kind !== kind)
    throw new Error(`peer reports ${JSON.stringify(message)}, not ${kind}`);
  return message as Extract<ReportOfPeer, { kind: K }>;
}

export function startPeer(): PeerProcess {
  const child = fork(new URL('./peer-process.js', import.meta.url), { execArgv: [] });
  return {
    child,
    async connect(transport) {
      const pairSecret = randomBytes(32);
      const [keys, peerKeys] = sessionKeys(0, 1, pairSecret);
      const offer = transport.offer(1, keys);
      const answer = reportOf(child, 'mapped');
      child.send({ kind: 'offer', offer, keys: peerKeys, pairSecret: pairSecret.toString('hex') });
      transport.accept(1, (await answer).offer);
      transport.confirm(1);
      const opened = reportOf(child, 'open');
      child.send({ kind: 'confirm' });
      if ((await opened).state !== 'open') throw new Error('the peer did not open its session');
    },
    async kill(signal) {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    },
  };
}
