/** The chain as a replica delivers it: where each transaction stands, and whether that is where clients were told. */
import { createFrameReader, FRAME_MEDIA_TYPE } from '../../api/framing.ts';
import {
  type Block,
  type Decoded,
  decodeBlock,
  decodeCertificate,
  decodeOrdererBlockMetadata,
  METADATA,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import { decodeConsenterMetadata } from '../../orderer/chain/consenter-metadata.ts';
import type { Receipt } from '../load/driver.ts';

const FRAME_BYTES_MAX = 64 * 1024 * 1024;
/** Named in a complaint. */
const MISSING_SHOWN_MAX = 5;

/** Every block that this replica delivers, in order. */
async function* blocksOf(url: string, channel: string): AsyncGenerator<Block> {
  const answer = await fetch(`${url}/v1/channels/${channel}/deliver?from=0`, {
    headers: { accept: FRAME_MEDIA_TYPE },
  });
  if (!answer.ok || answer.body === null) throw new Error(`${url} answered ${answer.status}`);
  const reader = createFrameReader(FRAME_BYTES_MAX);
  for await (const chunk of answer.body) {
    const frames = reader.push(chunk);
    if (frames.kind === 'malformed') throw new Error(frames.reason);
    for (const frame of frames.value) {
      if (frame.kind === 'notice') throw new Error(`${url}: ${frame.text}`);
      if (frame.kind === 'message') yield mustDecode(decodeBlock(frame.bytes));
    }
  }
}

function mustDecode<T>(decoded: Decoded<T>): T {
  if (decoded.kind === 'malformed') throw new Error(decoded.reason);
  return decoded.value;
}

function* transactionsIn({ header, data }: Block): Generator<Receipt> {
  for (const [index, entry] of data.entries()) {
    const { txId } = mustDecode(parseEnvelope(entry)).channelHeader;
    yield { txId, blockNumber: Number(header.number), index };
  }
}

/** Ordered time of every block after the genesis block, milliseconds. */
export async function blockTimesMs(url: string, channel: string): Promise<number[]> {
  const timesMs: number[] = [];
  for await (const { header, metadata } of blocksOf(url, channel)) {
    if (Number(header.number) === 0) continue;
    const certificate = mustDecode(
      decodeCertificate(metadata[METADATA.SIGNATURES] ?? new Uint8Array()),
    );
    const { consenterMetadata } = mustDecode(decodeOrdererBlockMetadata(certificate.value));
    timesMs.push(mustDecode(decodeConsenterMetadata(consenterMetadata)).timeMs);
  }
  return timesMs;
}

/**
 * Throws unless each of these transactions stands in the chain once, where its receipt says. Answers how many
 * transactions each block has.
 */
export async function requireAcknowledged(
  url: string,
  channel: string,
  acknowledged: ReadonlyMap<string, Receipt>,
): Promise<number[]> {
  const sizes: number[] = [];
  const missing = new Set(acknowledged.keys());
  const seen = new Set<string>();
  const wrong: string[] = [];
  for await (const block of blocksOf(url, channel)) {
    sizes.push(block.data.length);
    for (const { txId, blockNumber, index } of transactionsIn(block)) {
      const place = `${txId} in block ${blockNumber} at ${index}`;
      if (seen.has(txId)) wrong.push(`${place}: not for the first time`);
      seen.add(txId);
      missing.delete(txId);
      const receipt = acknowledged.get(txId);
      if (receipt === undefined) continue;
      if (receipt.blockNumber === blockNumber && receipt.index === index) continue;
      wrong.push(`${place}: its receipt says ${receipt.blockNumber} at ${receipt.index}`);
    }
  }
  if (missing.size > 0) {
    const some = [...missing].slice(0, MISSING_SHOWN_MAX).map((txId) => acknowledged.get(txId));
    wrong.push(`${missing.size} acknowledged are not there: ${JSON.stringify(some)}`);
  }
  if (wrong.length > 0) throw new Error(`${url}: ${wrong.slice(0, MISSING_SHOWN_MAX).join('; ')}`);
  return sizes;
}
