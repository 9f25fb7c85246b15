/**
 * One replica that only agrees: instruments in its consensus thread answer for the orderer that is not there. Ordered
 * about by `cluster.ts`, whose child it is.
 */
import { wakeTransport } from '../../rdma/index.ts';
import { Child } from './child.ts';
import type { Job, JobResult } from './instruments.ts';
import { loadMember, startMember } from './member.ts';
import { SharedJob } from './shared.ts';
import { cpuUs } from './usage.ts';

export interface ReplicaJobResult extends JobResult {
  /** Of the whole process while the job ran, microseconds. */
  readonly cpuUs: number;
}

export type Order = { readonly kind: 'job'; readonly job: Job };
export type Report = { readonly kind: 'result'; readonly result: ReplicaJobResult };

const POLL_MS = 2;

const child = new Child<Order, Report>();

async function main(file: string): Promise<void> {
  const shared = new SharedJob();
  const ignore = (): void => {};
  const runtime = await startMember({
    loaded: loadMember(file).loaded,
    // The instruments answer all of it.
    handlers: {
      onOwnBatch: ignore,
      onCheckBatch: ignore,
      onDropBatch: ignore,
      onDeliver: ignore,
      onTransfer: ignore,
    },
    entry: {
      file: new URL('./worker.js', import.meta.url),
      dataOf: (options) => ({ options, shared: shared.buffer }),
    },
    onReady: () => child.report({ kind: 'ready' }),
  });
  child.listen({
    slotsPassedOver: () => shared.slotsPassedOver,
    onOrder: ({ job }) => void run(job, shared, runtime.wakeHandle),
  });
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
  child.report({ kind: 'result', result: { ...result, cpuUs: cpuUs() - before } });
}

await main(process.argv[2] ?? '');
