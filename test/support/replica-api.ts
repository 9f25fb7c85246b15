/** What tests ask a replica's API, of channel `main`. */
import { type Block, decodeBlock, headerHash, toHex } from '../../ledger/format/index.ts';
import type { ChannelInfo } from '../../orderer/service.ts';
import { sha256 } from './hash.ts';

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

export async function blockOf(url: string, number: number): Promise<Block> {
  const answer = await fetch(`${url}/${CHANNEL}/blocks/${number}`, {
    headers: { accept: 'application/x-protobuf' },
  });
  const decoded = decodeBlock(new Uint8Array(await answer.arrayBuffer()));
  if (decoded.kind === 'ok') return decoded.value;
  throw new Error(`${url} answered ${answer.status}: ${decoded.reason}`);
}

export async function blockHashOf(url: string, number: number): Promise<string> {
  return toHex(headerHash((await blockOf(url, number)).header, sha256));
}
