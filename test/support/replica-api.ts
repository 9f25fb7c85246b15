/** What tests ask a replica's API, of channel `main`. */
import type { ChannelInfo } from '../../orderer/service.ts';

export interface ReceiptBody {
  readonly txId: string;
  readonly blockNumber: number;
  readonly index: number;
}

const CHANNEL = 'v1/channels/main';

/** Has the replica's gateway sign this text; throws when there is no receipt in time. */
export async function submitText(
  url: string,
  text: string,
  timeoutMs = 15_000,
): Promise<ReceiptBody> {
  const answer = await fetch(`${url}/${CHANNEL}/transactions?wait=commit&timeoutMs=${timeoutMs}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ data: text }),
  });
  const body = await answer.text();
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}: ${body}`);
  return JSON.parse(body) as ReceiptBody;
}

export async function infoOf(url: string): Promise<ChannelInfo> {
  return (await (await fetch(`${url}/${CHANNEL}`)).json()) as ChannelInfo;
}
