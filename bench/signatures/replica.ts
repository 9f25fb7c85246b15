/** One replica that agrees on signed transactions, and checks them on the product's own pool. A child of `cluster.ts`. */
import { createWriterJudge, EnvelopeChecker } from '../../orderer/envelope/index.ts';
import { createGateway } from '../../orderer/gateway.ts';
import { ORDERER_LIMITS } from '../../orderer/limits.ts';
import { IdentityResolver } from '../../orderer/msp/index.ts';
import type { LoadedChannel, LoadedReplica } from '../../orderer/network/index.ts';
import { VerifyPool } from '../../orderer/signature/index.ts';
import { Child } from '../consensus/child.ts';
import { loadMember, startMember } from '../consensus/member.ts';
import { EnvelopeFormat, type TransactionFormat } from './format.ts';
import { RecordFormat } from './records.ts';
import { type AskedFor, type SignedJob, type SignedJobResult, Workload } from './workload.ts';

/** As a lane feeder gathers them under load; the bytes are the channel's. */
const BATCH_TRANSACTIONS_MAX = 256;

export type FormatName = 'records' | 'envelopes';

export type Order =
  | {
      readonly kind: 'sign';
      readonly format: FormatName;
      readonly count: number;
      readonly payloadBytes: number;
    }
  | { readonly kind: 'job'; readonly job: SignedJob }
  | { readonly kind: 'counts' };

export interface Counts {
  /** Signatures that this replica has looked at, its own clients' included. */
  readonly signatures: number;
  readonly asked: AskedFor;
}

export type Report =
  | { readonly kind: 'signed' }
  | { readonly kind: 'result'; readonly result: SignedJobResult }
  | ({ readonly kind: 'counts' } & Counts);

const child = new Child<Order, Report>();

function formatsOf(
  loaded: LoadedReplica,
  { name, self, config }: LoadedChannel,
  pool: VerifyPool,
): Record<FormatName, TransactionFormat> {
  const { gateway } = loaded;
  if (gateway === undefined) throw new Error('the replica has no key to sign as a client with');
  const { writersCachedMax } = ORDERER_LIMITS;
  const resolver = new IdentityResolver(config, { cacheEntriesMax: writersCachedMax });
  const checker = new EnvelopeChecker(
    {
      channel: name,
      absoluteMaxBytes: config.batchSize.absoluteMaxBytes,
      judgeWriter: createWriterJudge(resolver),
    },
    { pool },
  );
  const { mspId, certificatePem, keyPem: privateKeyPem } = gateway;
  const { wrap } = createGateway({ channel: name, mspId, certificatePem, privateKeyPem });
  return {
    records: new RecordFormat({ replica: self }, { pool }),
    envelopes: new EnvelopeFormat({ replica: self }, { checker, wrap }),
  };
}

async function main(file: string): Promise<void> {
  const { loaded, channel } = loadMember(file);
  const pool = new VerifyPool({
    threads: loaded.settings.verifyThreads,
    queueMax: ORDERER_LIMITS.verifyQueueItemsMax,
    herePerMs: ORDERER_LIMITS.verifyHerePerMs,
  });
  const formats = formatsOf(loaded, channel, pool);
  const bounds = {
    transactionsMax: BATCH_TRANSACTIONS_MAX,
    bytesMax: channel.sluice.batchBytesMax,
  };
  const workload = new Workload({ self: channel.self, bounds });
  workload.runtime = await startMember({
    loaded,
    handlers: workload,
    onReady: () => child.report({ kind: 'ready' }),
  });
  const follow = (order: Order): void => {
    switch (order.kind) {
      case 'counts': {
        const { itemsVerified: signatures } = pool.stats();
        return child.report({ kind: 'counts', signatures, asked: workload.asked });
      }
      case 'sign':
        workload.sign(formats[order.format], order.count, order.payloadBytes);
        return child.report({ kind: 'signed' });
      case 'job':
        void workload.run(order.job).then((result) => child.report({ kind: 'result', result }));
    }
  };
  child.listen({ slotsPassedOver: () => workload.slotsPassedOver, onOrder: follow });
}

await main(process.argv[2] ?? '');
