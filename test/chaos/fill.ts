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

type Result = Partial<Receipt> & { readonly httpStatus: number; readonly code?: string };

/** Orders this many transactions and remembers their receipts; prints the rate. */
export async function fill(chaos: ChaosNetwork, transactions: number): Promise<void> {
  const startedMs = performance.now();
  let left = transactions;
  const lane = async (number: number): Promise<void> => {
    while (left > 0) {
      const count = Math.min(left, REQUEST_TRANSACTIONS);
      left -= count;
      const envelopes = Array.from({ length: count }, () =>
        chaos.signer.wrap(new Uint8Array(PAYLOAD_BYTES)),
      );
      await submitAll(chaos, chaos.network.url(number), envelopes);
    }
  };
  const lanes = chaos.numbers.flatMap((number) =>
    Array.from({ length: REQUESTS_PER_REPLICA }, () => lane(number)),
  );
  await Promise.all(lanes);
  const rate = (1_000 * transactions) / (performance.now() - startedMs);
  console.log(`fill: ${transactions} transactions, ${rate.toFixed(0)} a second`);
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
    if (again.length > 0) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
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
