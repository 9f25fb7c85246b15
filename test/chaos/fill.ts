/** A long chain, quickly: many transactions a request, to all replicas at once. */
import { encodeFrames, FRAME_MEDIA_TYPE } from '../../api/framing.ts';
import type { Receipt } from '../load/driver.ts';
import { type ChaosNetwork, PATIENCE_MS } from './chaos-network.ts';

const REQUEST_TRANSACTIONS = 500;
/** Under way at each replica. */
const REQUESTS_PER_REPLICA = 2;
const PAYLOAD_BYTES = 64;
const ANSWER_MS = 30_000;
const RETRY_MS = 100;
/** Of a load that is kept at a rate: in a request, how far it may make up for, how exact it is. */
const PACED_TRANSACTIONS = 100;
const BURST_MS = 1_000;
const PACE_MS = 5;

type Result = Partial<Receipt> & { readonly httpStatus: number; readonly code?: string };

/** Orders this many transactions and remembers their receipts; prints the rate. */
export async function fill(chaos: ChaosNetwork, transactions: number): Promise<void> {
  let left = transactions;
  const rate = await order(chaos, chaos.numbers, () => {
    const count = Math.min(left, REQUEST_TRANSACTIONS);
    left -= count;
    return count;
  });
  console.log(`fill: ${transactions} transactions, ${rate.toFixed(0)} a second`);
}

/** Orders so many a second at these replicas until told to stop; `stop` answers how many a second they were. */
export function fillOn(
  chaos: ChaosNetwork,
  numbers: readonly number[],
  perSecond: number,
): { stop(): Promise<number> } {
  let isOver = false;
  let dueMs = performance.now();
  const rate = order(chaos, numbers, async () => {
    dueMs =
      Math.max(dueMs, performance.now() - BURST_MS) + (1_000 * PACED_TRANSACTIONS) / perSecond;
    while (!isOver && performance.now() < dueMs) await pause(PACE_MS);
    return isOver ? 0 : PACED_TRANSACTIONS;
  });
  rate.catch(() => {});
  return {
    stop: () => {
      isOver = true;
      return rate;
    },
  };
}

/** Requests of as many transactions as `next` says, until it says 0; answers how many a second. */
async function order(
  chaos: ChaosNetwork,
  numbers: readonly number[],
  next: () => number | Promise<number>,
): Promise<number> {
  const startedMs = performance.now();
  let done = 0;
  const lane = async (number: number): Promise<void> => {
    for (let count = await next(); count > 0; count = await next()) {
      const envelopes = Array.from({ length: count }, () =>
        chaos.signer.wrap(new Uint8Array(PAYLOAD_BYTES)),
      );
      await submitAll(chaos, chaos.network.url(number), envelopes);
      done += count;
    }
  };
  const lanes = numbers.flatMap((number) =>
    Array.from({ length: REQUESTS_PER_REPLICA }, () => lane(number)),
  );
  await Promise.all(lanes);
  return (1_000 * done) / (performance.now() - startedMs);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function submitAll(chaos: ChaosNetwork, url: string, all: Uint8Array[]): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  let envelopes = all;
  while (envelopes.length > 0) {
    const results = await post(chaos, url, envelopes);
    const again: Uint8Array[] = [];
    for (const [i, { httpStatus, code, txId, blockNumber, index }] of results.entries()) {
      if (txId !== undefined && blockNumber !== undefined && index !== undefined) {
        chaos.acknowledged.set(txId, { txId, blockNumber, index });
      } else if ([202, 429, 503].includes(httpStatus)) {
        again.push(envelopes[i] as Uint8Array);
      } else throw new Error(`${url} answered ${httpStatus} ${code}`);
    }
    if (performance.now() > endMs) throw new Error(`${url}: ${again.length} are not committed`);
    if (again.length > 0) await pause(RETRY_MS);
    envelopes = again;
  }
}

async function post(
  chaos: ChaosNetwork,
  url: string,
  envelopes: readonly Uint8Array[],
): Promise<readonly Result[]> {
  const answer = await fetch(
    `${url}/v1/channels/${chaos.channel}/transactions?wait=commit&timeoutMs=${ANSWER_MS}`,
    {
      method: 'POST',
      headers: { 'content-type': FRAME_MEDIA_TYPE },
      body: Buffer.from(encodeFrames(envelopes)),
    },
  );
  const body = await answer.text();
  // The whole request was refused: nothing of it is queued.
  if ([429, 503].includes(answer.status)) return envelopes.map(() => ({ httpStatus: 503 }));
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${body.slice(0, 500)}`);
  return (JSON.parse(body) as { results: readonly Result[] }).results;
}
