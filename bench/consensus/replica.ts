/**
 * One replica that only agrees: real links, real sessions, the real consensus loop in its thread, and no orderer, ledger or
 * API around it. Ordered about by `cluster.ts`, whose child it is.
 */
import { SPIN_US_DEFAULT } from '../../consensus/runtime/protocol.ts';
import { ConsensusRuntime, type RuntimeHandlers } from '../../consensus/runtime/runtime.ts';
import { consenterKeys } from '../../orderer/channel-config/consenters.ts';
import { decodeChannelFrame, encodeChannelFrame } from '../../orderer/channel-frame.ts';
import { coreLimitsOf } from '../../orderer/core-limits.ts';
import { linkOptionsOf } from '../../orderer/links.ts';
import { type LoadedReplica, loadReplica, signingSeedOf } from '../../orderer/network/index.ts';
import { runIdOf } from '../../orderer/run-base.ts';
import { Sessions } from '../../orderer/sessions.ts';
import { wakeTransport } from '../../rdma/index.ts';
import { PeerLinks } from '../../rdma/links/links.ts';
import { LINK_TOPICS } from '../../rdma/links/topics.ts';
import { FRESH_RUN } from './fresh-run.ts';
import type { Job, JobResult } from './instruments.ts';
import { SharedJob } from './shared.ts';

export interface ReplicaJobResult extends JobResult {
  /** Of the whole process while the job ran, microseconds. */
  readonly cpuUs: number;
}

/** From the parent. */
export type Order = { readonly kind: 'job'; readonly job: Job } | { readonly kind: 'cpu' };
/** To the parent. */
export type Report =
  | { readonly kind: 'ready' }
  | { readonly kind: 'result'; readonly result: ReplicaJobResult }
  | { readonly kind: 'cpu'; readonly us: number };

const POLL_MS = 2;
const SILENT = { debug: () => {}, info: () => {}, warn: console.error, error: console.error };

function report(message: Report): void {
  process.send?.(message);
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function main(file: string): Promise<void> {
  const loaded = loadReplica(file);
  const [channel] = loaded.channels;
  if (channel === undefined) throw new Error('the network has no channel');
  const { name, self } = channel;
  const incarnation = String(process.pid);
  const shared = new SharedJob();
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
  const runtime = await startRuntime(loaded, incarnation, shared, {
    onSession: (_peer, isOpen) => {
      open += isOpen ? 1 : -1;
      if (open === channel.config.consenters.length - 1) report({ kind: 'ready' });
    },
    onWrites: (to, frames, onTaken) => {
      if (links.send(to, LINK_TOPICS.writes, encodeChannelFrame(name, frames), onTaken)) return;
      throw new Error('a link does not keep up');
    },
  });
  await links.listen();
  sessions.open(runtime);
  links.dial();
  process.on('message', (order: Order) => {
    if (order.kind === 'cpu') report({ kind: 'cpu', us: cpuUs() });
    else void run(order.job, shared, runtime.wakeHandle);
  });
  process.on('disconnect', () => process.exit());
}

async function run(job: Job, shared: SharedJob, wakeHandle: number): Promise<void> {
  const before = cpuUs();
  shared.order(job);
  wakeTransport(wakeHandle);
  let result: JobResult | undefined;
  while (result === undefined) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    result = shared.takeResult();
  }
  report({ kind: 'result', result: { ...result, cpuUs: cpuUs() - before } });
}

function startRuntime(
  loaded: LoadedReplica,
  incarnation: string,
  shared: SharedJob,
  handlers: Pick<RuntimeHandlers, 'onSession' | 'onWrites'>,
): Promise<ConsensusRuntime> {
  const [channel] = loaded.channels;
  if (channel === undefined) throw new Error('the network has no channel');
  const { name, self, config, sluice, waitMode } = channel;
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
      spinUs: SPIN_US_DEFAULT,
      signingSeed: signingSeedOf(loaded),
      consenterKeys: consenterKeys(config).map(({ publicKey }) => publicKey),
      incarnation,
    },
    {
      ...handlers,
      onOwnBatch: ignore,
      onCheckBatch: ignore,
      onDropBatch: ignore,
      onDeliver: ignore,
      onTransfer: refuse('a state transfer'),
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
    {
      file: new URL('./worker.js', import.meta.url),
      dataOf: (options) => ({ options, shared: shared.buffer }),
    },
  );
}

await main(process.argv[2] ?? '');
