/**
 * One replica of a measured cluster: real links, real sessions, the real consensus thread. What stands where orderer and
 * ledger would be is the caller's.
 */
import {
  ConsensusRuntime,
  type RuntimeHandlers,
  type WorkerEntry,
} from '../../consensus/runtime/runtime.ts';
import { consenterKeys } from '../../orderer/channel-config/consenters.ts';
import { decodeChannelFrame, encodeChannelFrame } from '../../orderer/channel-frame.ts';
import { coreLimitsOf } from '../../orderer/core-limits.ts';
import { linkOptionsOf } from '../../orderer/links.ts';
import {
  type LoadedChannel,
  type LoadedReplica,
  loadReplica,
  signingSeedOf,
} from '../../orderer/network/index.ts';
import { runIdOf } from '../../orderer/run-base.ts';
import { Sessions } from '../../orderer/sessions.ts';
import { TRANSPORT_LIMITS } from '../../rdma/index.ts';
import { PeerLinks } from '../../rdma/links/links.ts';
import { LINK_TOPICS } from '../../rdma/links/topics.ts';
import { FRESH_RUN } from './fresh-run.ts';

const SILENT = { debug: () => {}, info: () => {}, warn: console.error, error: console.error };

/** What consensus says to the orderer. */
export type OrdererHandlers = Pick<
  RuntimeHandlers,
  'onOwnBatch' | 'onCheckBatch' | 'onDropBatch' | 'onDeliver' | 'onTransfer'
>;

export interface MemberOptions {
  readonly loaded: LoadedReplica;
  readonly handlers: OrdererHandlers;
  /** The real consensus thread when absent. */
  readonly entry?: WorkerEntry;
  /** It has a session with every other. */
  readonly onReady: () => void;
}

/** The replica of a settings file, and its only channel. */
export function loadMember(file: string): { loaded: LoadedReplica; channel: LoadedChannel } {
  const loaded = loadReplica(file);
  return { loaded, channel: channelOf(loaded) };
}

export async function startMember(options: MemberOptions): Promise<ConsensusRuntime> {
  const { loaded, onReady } = options;
  const { name, self, config } = channelOf(loaded);
  const incarnation = String(process.pid);
  let open = 0;
  const sessions = new Sessions(
    { channel: name, self, incarnation },
    {
      sendBootstrap: (peer, body) => links.send(peer, LINK_TOPICS.bootstrap, body),
      dropLink: (peer, reason) => links.disconnect(peer, reason),
      log: SILENT,
    },
  );
  const links = new PeerLinks(linkOptionsOf(loaded, incarnation), {
    log: SILENT,
    handlers: {
      onUp: (peer, info) => sessions.onLinkUp(peer, info),
      onDown: (peer) => sessions.onLinkDown(peer),
      onFrame: (peer, topic, body) => {
        if (topic === LINK_TOPICS.bootstrap) return sessions.onFrame(peer, body);
        const frame = decodeChannelFrame(body);
        if (frame !== undefined && topic === LINK_TOPICS.writes) {
          runtime.writes(peer, new Uint8Array(frame.body));
        }
      },
    },
  });
  const runtime = await startRuntime(options, incarnation, {
    onSession: (_peer, isOpen) => {
      open += isOpen ? 1 : -1;
      if (open === config.consenters.length - 1) onReady();
    },
    onWrites: (to, frames, onTaken) => {
      if (links.send(to, LINK_TOPICS.writes, encodeChannelFrame(name, frames), onTaken)) return;
      // As in a real replica: what follows would not continue the ring, so the session begins anew.
      links.disconnect(to, 'the link does not keep up with the writes');
      onTaken();
    },
  });
  await links.listen();
  sessions.open(runtime);
  links.dial();
  return runtime;
}

function channelOf(loaded: LoadedReplica): LoadedChannel {
  const [channel] = loaded.channels;
  if (channel === undefined) throw new Error('the network has no channel');
  return channel;
}

function startRuntime(
  { loaded, handlers, entry }: MemberOptions,
  incarnation: string,
  linkHandlers: Pick<RuntimeHandlers, 'onSession' | 'onWrites'>,
): Promise<ConsensusRuntime> {
  const { name, self, config, sluice, waitMode } = channelOf(loaded);
  const refuse = (what: string) => (): never => {
    throw new Error(`a measured replica met ${what}`);
  };
  const ignore = (): void => {};
  return ConsensusRuntime.start(
    {
      channel: name,
      self,
      replicas: config.consenters.length,
      runId: runIdOf(name, { height: 1, tipHash: '00'.repeat(32), generation: 1 }),
      ...FRESH_RUN,
      wal:
        loaded.settings.durability === 'memory'
          ? undefined
          : {
              directory: `${loaded.settings.dataDirectory}/bench-log`,
              reserveBytes: loaded.settings.diskReserveBytes,
            },
      batchTimeoutMs: config.batchTimeoutMs,
      limits: coreLimitsOf(sluice, config.batchSize),
      provider: loaded.network.transport.provider,
      rdma: loaded.settings.rdma,
      waitMode,
      spinUs: TRANSPORT_LIMITS.spinUsDefault,
      signingSeed: signingSeedOf(loaded),
      consenterKeys: consenterKeys(config).map(({ publicKey }) => publicKey),
      incarnation,
    },
    {
      onOwnBatch: (ref) => handlers.onOwnBatch(ref),
      onCheckBatch: (...batch) => handlers.onCheckBatch(...batch),
      onDropBatch: (lane, ref) => handlers.onDropBatch(lane, ref),
      onDeliver: (delivery) => handlers.onDeliver(delivery),
      onTransfer: (state) => handlers.onTransfer(state),
      ...linkHandlers,
      onRestored: ignore,
      onDisk: refuse('a full disk'),
      onView: ignore,
      onApplication: ignore,
      onEvidence: refuse('a liar'),
      onTransportFault: refuse('a broken session'),
      onFatal: (error) => {
        throw error;
      },
    },
    entry,
  );
}
