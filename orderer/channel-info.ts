/** The figures of a channel, for people: replicas by number, peers compared with this one. */
import type { CoreStatus } from '../consensus/core/index.ts';
import { type ConsenterKey, faultsOf, quorumOf } from '../ledger/format/index.ts';
import type { ChannelInfo } from './service.ts';

export interface InfoSource {
  readonly channel: string;
  readonly self: number;
  readonly consenters: readonly ConsenterKey[];
  readonly durability: 'wal' | 'memory';
  readonly windowSlots: number;
  readonly height: number;
  readonly tipHash: string;
  readonly transactionsPending: number;
  readonly stopped: boolean;
  /** Undefined while it takes part in none. */
  readonly run:
    | {
        readonly status: CoreStatus | undefined;
        readonly path: 'fast' | 'slow';
        readonly executedSlot: number;
        readonly transferringForMs: number | undefined;
        readonly diskFull: string | undefined;
        readonly faultsOf: (peer: number) => number;
      }
    | undefined;
}

export function channelInfo(source: InfoSource): ChannelInfo {
  const { consenters, self, run } = source;
  const status = run?.status;
  const executedSlot = run?.executedSlot ?? 0;
  return {
    channel: source.channel,
    height: source.height,
    tipHash: source.tipHash,
    replica: consenters[self]?.number ?? 0,
    replicas: consenters.length,
    faultsTolerated: faultsOf(consenters.length),
    quorum: quorumOf(consenters.length),
    state: stateOf(source),
    view: status?.view ?? 0,
    leader: consenters[status?.leader ?? 0]?.number ?? 0,
    changing: status?.changing ?? false,
    viewChanges: status?.viewChanges ?? 0,
    mute: status?.mute ?? false,
    transferring: isTransferring(source),
    path: run?.path ?? 'fast',
    executedSlot,
    stableSlot: status?.stableSlot ?? 0,
    windowSlots: status?.windowSlots ?? source.windowSlots,
    durability: source.durability,
    disk: run?.diskFull === undefined ? 'ok' : 'full',
    transactionsPending: source.transactionsPending,
    peers: consenters.flatMap((consenter, index) => {
      if (index === self) return [];
      const peer = status?.peers.find((candidate) => candidate.peer === index);
      const applied = peer?.appliedSlot;
      return [
        {
          replica: consenter.number,
          connected: peer?.open ?? false,
          lagSlots: applied === undefined ? undefined : Math.max(0, executedSlot - applied),
          faults: (peer?.faults ?? 0) + (run?.faultsOf(index) ?? 0),
        },
      ];
    }),
  };
}

function isTransferring({ run }: InfoSource): boolean {
  return run?.transferringForMs !== undefined || run?.status?.transferring === true;
}

function stateOf(source: InfoSource): ChannelInfo['state'] {
  if (source.stopped) return 'stopped';
  if (source.run === undefined) return 'starting';
  if (isTransferring(source)) return 'transferring';
  const { status } = source.run;
  if (status?.mute === true) return 'joined';
  return status?.changing === true ? 'changing' : 'ordering';
}
