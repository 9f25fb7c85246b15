/** The root of an audit's trust: a pinned genesis file, or block 0 of the first source that has a readable one. */
import { readFile } from 'node:fs/promises';
import { readTrustRoot, type TrustRoot } from '../../api/client/genesis.ts';
import type { FindingLog } from './findings.ts';
import { type BlockSource, SourceError } from './sources.ts';

export interface ChosenTrust {
  readonly root: TrustRoot;
  /** True: the reader named the genesis block. False: it is what a source says it is. */
  readonly pinned: boolean;
  /** The file or the source that it came from. */
  readonly origin: string;
}

async function readPinned(file: string): Promise<ChosenTrust> {
  const bytes = await readFile(file).catch((error: Error) => {
    throw new SourceError('usage', `cannot read the genesis file: ${error.message}`);
  });
  const root = readTrustRoot(new Uint8Array(bytes));
  if (root.kind === 'malformed') throw new SourceError('usage', `${file}: ${root.reason}`);
  return { root: root.value, pinned: true, origin: file };
}

async function readGenesisOf(source: BlockSource): Promise<Uint8Array | undefined> {
  for await (const record of source.records({ from: 0, to: 0 })) {
    return record.number === 0 && record.kind === 'block' ? record.bytes : undefined;
  }
  return undefined;
}

/**
 * Chooses the root. Undefined when there is none because of what is wrong with the sources, which is then in the log. Throws
 * `SourceError` when nothing is wrong, and none has a block 0.
 */
export async function chooseTrust(
  genesisFile: string | undefined,
  sources: readonly BlockSource[],
  log: FindingLog,
): Promise<ChosenTrust | undefined> {
  if (genesisFile !== undefined) return readPinned(genesisFile);
  for (const source of sources) {
    const bytes = await readGenesisOf(source);
    if (bytes === undefined) continue;
    const root = readTrustRoot(bytes);
    if (root.kind === 'ok') return { root: root.value, pinned: false, origin: source.name };
    log.add([{ code: 'not_genesis', sources: [source.name], block: 0, message: root.reason }]);
  }
  if (log.counts.fault > 0) return undefined;
  throw new SourceError('usage', 'no source has block 0; give the genesis block with --genesis');
}
