/** Blocks that were stored just before a crash: the segment files have them, LevelDB was not told any more. */
import { decodeBlockData, txIdOf } from '../format/index.ts';
import type { LogFinding } from './log-scan.ts';
import type { BlockToAppend } from './prepare.ts';
import { decodeHeader } from './reading.ts';
import { corrupt } from './records.ts';
import type { BlockRecord, Position } from './segments/record.ts';
import type { SegmentReader } from './segments/segment-reader.ts';
import { readTail } from './segments/tail.ts';

const EMPTY = new Uint8Array(0);

export interface BlockToRestore {
  at: Position;
  block: BlockToAppend;
  certified: boolean;
}

/**
 * Every block behind `end`, where the newest one ends that LevelDB knows. What a crash cut off is added to `torn`. Throws
 * `ledger_corrupt` when something was changed.
 */
export async function* blocksToRestore(
  folder: string,
  end: Position,
  segments: SegmentReader,
  torn: LogFinding[],
): AsyncGenerator<BlockToRestore, void, undefined> {
  for await (const part of readTail(folder, end, segments)) {
    if (part.kind === 'end') {
      const { finding } = part;
      if (finding.kind === 'changed') {
        const { file, offset, reason } = finding;
        throw corrupt(`${file}, byte ${offset}: ${reason}`, { file, offset });
      }
      torn.push(finding);
      return;
    }
    const { at, record } = part;
    yield { at, block: blockOf(record), certified: record.certified };
  }
}

function blockOf({
  number,
  header: headerBytes,
  signatures,
  data: dataBytes,
}: BlockRecord): BlockToAppend {
  const header = decodeHeader(headerBytes, number);
  const data = decodeBlockData(dataBytes);
  if (data.kind === 'malformed' || header.number !== number) {
    throw corrupt(`block ${number} is damaged`, { blockNumber: number });
  }
  const metadata = [signatures, EMPTY, EMPTY, EMPTY, EMPTY];
  return { block: { header, data: data.value, metadata }, txIds: data.value.map(txIdOf) };
}
