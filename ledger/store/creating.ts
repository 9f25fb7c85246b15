/** A new ledger: nothing but the genesis block. */
import {
  type Block,
  encodeBlockHeader,
  headerHash,
  METADATA,
  parseEnvelope,
  type Sha256,
} from '../format/index.ts';
import { type Database, type Operation, writeError } from './database.ts';
import type { LedgerOptions } from './opening.ts';
import { put } from './reading.ts';
import {
  blockKey,
  CERTIFIED_KEY,
  corrupt,
  encodeBlockEntry,
  encodeCertified,
  encodeFormat,
  encodeLocation,
  encodeTip,
  FORMAT_KEY,
  FORMAT_VERSION,
  isTxId,
  KIND,
  TIP_KEY,
  transactionKey,
} from './records.ts';
import { listSegments } from './segments/names.ts';
import { encodeRecord } from './segments/record.ts';
import { SegmentWriter } from './segments/segment-writer.ts';
import { sizeOf } from './segments/tail.ts';

/** Writes the genesis block, and all that a new ledger says of itself. */
export async function createLedger(
  {
    database,
    location,
    segmentFolder,
  }: { database: Database; location: string; segmentFolder: string },
  options: LedgerOptions,
  genesisBlock: Block,
  sha256: Sha256,
): Promise<void> {
  const keys = await database.keys({ limit: 1 }).all();
  if (keys.length > 0) throw corrupt('the format record is missing');
  const hash = headerHash(genesisBlock.header, sha256);
  const signatures = genesisBlock.metadata[METADATA.SIGNATURES] ?? new Uint8Array(0);
  const header = encodeBlockHeader(genesisBlock.header);
  const bytes = encodeRecord(0, { header, signatures, data: genesisBlock.data }, true);
  // What a creation left that did not come to its end is no more than this.
  if (
    (await sizeOf(segmentFolder, 0)) > bytes.length ||
    (await listSegments(segmentFolder)).length > 1
  ) {
    throw corrupt(`${location} is empty, but ${segmentFolder} holds blocks`);
  }
  const place = { segment: 0, offset: 0, bytes: bytes.length };
  const operations: Operation[] = [
    put(
      FORMAT_KEY,
      encodeFormat({ version: FORMAT_VERSION, genesisHash: hash, channel: options.channel }),
    ),
    put(blockKey(KIND.BLOCK, 0), encodeBlockEntry({ place, header })),
    put(blockKey(KIND.SIGNATURES, 0), signatures),
    put(TIP_KEY, encodeTip({ storedHeight: 1, tipHash: hash })),
    put(CERTIFIED_KEY, encodeCertified(1)),
  ];
  for (const [index, entry] of genesisBlock.data.entries()) {
    const envelope = parseEnvelope(entry);
    const txId = envelope.kind === 'ok' ? envelope.value.channelHeader.txId : '';
    if (!isTxId(txId)) continue;
    operations.push(put(transactionKey(txId), encodeLocation({ blockNumber: 0, index })));
  }
  const segments = new SegmentWriter(segmentFolder);
  try {
    await segments.write([{ place, bytes }]);
    await database.batch(operations, { sync: true });
  } catch (error) {
    throw writeError(error, location);
  } finally {
    segments.close();
  }
}
