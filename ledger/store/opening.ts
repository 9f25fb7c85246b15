/**
 * Opens or creates the folder of one channel's ledger and checks that it is what was written.
 * Nothing is repaired: what does not fit is an error that says so.
 */
import { chmod, mkdir, readdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LedgerError } from '../errors.ts';
import {
  type Block,
  type BlockHeader,
  bytesEqual,
  checkBlockLinks,
  dataHash,
  decodeBlock,
  decodeBlockData,
  encodeBlockData,
  encodeBlockHeader,
  headerHash,
  METADATA,
  type Sha256,
  toHex,
} from '../format/index.ts';
import { describeHeights, readCleanStop, removeCleanStop, syncDirectory } from './clean-stop.ts';
import { createLedger } from './creating.ts';
import { type Database, openDatabase, writeError } from './database.ts';
import { STORE_LIMITS } from './limits.ts';
import { type LogFinding, scanLogs } from './log-scan.ts';
import {
  firstNumbers,
  readBlock,
  readEntry,
  readRecord,
  readStoredBlocks,
  requireRecord,
  type StoredBlock,
} from './reading.ts';
import {
  blockKey,
  CERTIFIED_KEY,
  corrupt,
  decodeCertified,
  decodeFormat,
  decodeTip,
  FORMAT_KEY,
  FORMAT_VERSION,
  type FormatRecord,
  KIND,
  TIP_KEY,
} from './records.ts';
import { SEGMENT_FOLDER } from './segments/names.ts';
import { endOf, type Position } from './segments/record.ts';
import { SegmentReader } from './segments/segment-reader.ts';
import { readTail } from './segments/tail.ts';
import { scanTables } from './table-scan.ts';

/** A header and its hash, which is the next block's `previousHash`. */
export type HashedHeader = BlockHeader & { hash: Uint8Array };

export interface LedgerOptions {
  /** The channel's own folder; created when missing. */
  directory: string;
  channel: string;
  /** Serialized `common.Block` number 0. */
  genesisBlock: Uint8Array;
  /** A segment file that has so many bytes is left for the next one. Default: `STORE_LIMITS.segmentBytesMax`. */
  segmentBytesMax?: number;
}

export interface ChainState {
  /** Blocks stored, genesis included. */
  storedHeight: number;
  /** Header of block `storedHeight - 1`. */
  tip: HashedHeader;
  /** Every block below has its certificate; never above `storedHeight`. */
  certifiedHeight: number;
  /** Where that block ends in the segment files. */
  end: Position;
}

export interface OpenedStore {
  database: Database;
  segments: SegmentReader;
  segmentFolder: string;
  location: string;
  genesis: HashedHeader;
  state: ChainState;
  /** Certificates stored above `certifiedHeight`, with a gap below. */
  certificatesAhead: Set<number>;
  /** Ends of logs that a crash cut off. */
  tornLogs: LogFinding[];
  /** Closes everything and gives the folder back. */
  release: () => Promise<void>;
}

interface Stores {
  database: Database;
  segments: SegmentReader;
}

/** LevelDB's folder inside the ledger's. */
export const DATABASE_FOLDER = 'db';

/**
 * POSIX locks belong to the process, so a second opener in this process would pass LevelDB's lock;
 * and closing its file would drop the first one's lock.
 */
const openInThisProcess = new Set<string>();

/**
 * Throws `ledger_locked` when this process has the folder open; returns
 * the function that gives it back.
 */
export function claimFolder(location: string): () => void {
  if (openInThisProcess.has(location)) {
    throw new LedgerError('ledger_locked', `${location} is open in this process: close it first`, {
      location,
    });
  }
  openInThisProcess.add(location);
  return () => {
    openInThisProcess.delete(location);
  };
}

export async function openStore(options: LedgerOptions, sha256: Sha256): Promise<OpenedStore> {
  const genesisBlock = readGenesis(options, sha256);
  const segmentFolder = join(options.directory, SEGMENT_FOLDER);
  const location = await prepareFolder(options.directory, segmentFolder);
  const unclaim = claimFolder(location);
  const segments = new SegmentReader(segmentFolder);
  let database: Database | undefined;
  const release = async (): Promise<void> => {
    await database?.close().catch(() => undefined);
    segments.close();
    unclaim();
  };
  try {
    const tornLogs = await requireSoundFiles(location);
    const cleanStop = await readCleanStop(options.directory);
    const isNew = await isNewFolder(location, cleanStop !== undefined);
    database = await openDatabase(location, { createIfMissing: isNew });
    if ((await readRecord(database, FORMAT_KEY, 'the format record')) === undefined) {
      await createLedger({ database, location, segmentFolder }, options, genesisBlock, sha256);
      await syncDirectory(options.directory);
    }
    const format = await requireIdentity(database, options);
    const stores = { database, segments };
    const genesis = await requireGenesis(stores, format, options, genesisBlock, sha256);
    const { state, certificatesAhead } = await readState(stores, sha256);
    if (cleanStop !== undefined) {
      await requireCleanStop(cleanStop, state, segmentFolder, segments);
      await removeCleanStop(options.directory);
    }
    const found = { location, segments, segmentFolder, genesis, state, certificatesAhead };
    return { database, ...found, tornLogs, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** The ledger ends where it was when it was closed. */
async function requireCleanStop(
  cleanStop: string,
  state: ChainState,
  segmentFolder: string,
  segments: SegmentReader,
): Promise<void> {
  const found = describeHeights({ ...state, tipHash: state.tip.hash });
  if (found !== cleanStop) {
    throw corrupt(`the ledger was closed at "${cleanStop}", LevelDB holds "${found}"`);
  }
  for await (const { at } of readTail(segmentFolder, state.end, segments)) {
    const place = `segment ${at.segment}, byte ${at.offset}`;
    throw corrupt(`the ledger was closed at "${cleanStop}", but more was written (${place})`);
  }
}

function readGenesis(options: LedgerOptions, sha256: Sha256): Block {
  const block = decodeBlock(options.genesisBlock);
  const fault =
    block.kind === 'malformed' ? block : checkBlockLinks(block.value, undefined, sha256);
  if (block.kind === 'malformed' || fault.kind !== 'ok') {
    const reason = fault.kind === 'ok' ? '' : fault.reason;
    throw new LedgerError(
      'genesis_mismatch',
      `what was given as genesis block of channel ${options.channel} is none: ${reason}`,
      { channel: options.channel },
    );
  }
  return block.value;
}

async function prepareFolder(directory: string, segmentFolder: string): Promise<string> {
  const location = join(directory, DATABASE_FOLDER);
  try {
    await mkdir(location, { recursive: true, mode: 0o700 });
    await mkdir(segmentFolder, { recursive: true, mode: 0o700 });
    for (const folder of [directory, location, segmentFolder]) await chmod(folder, 0o700);
    await syncDirectory(directory);
    await syncDirectory(dirname(directory));
  } catch (error) {
    throw writeError(error, directory);
  }
  return realpath(location);
}

/**
 * Logs and the newest tables are as LevelDB wrote them. Returns the
 * ends of logs that a crash cut off.
 */
async function requireSoundFiles(location: string): Promise<LogFinding[]> {
  const logs = await scanLogs(location);
  const tables = await scanTables(location, STORE_LIMITS.openTableCheckBytesMax);
  for (const finding of [...logs, ...tables]) {
    if (finding.kind !== 'changed') continue;
    const { file, offset, reason } = finding;
    throw corrupt(`${join(location, file)}, byte ${offset}: ${reason}`, { file, offset });
  }
  return logs;
}

/** LevelDB would create a new database over the remains of one whose CURRENT file is gone. */
async function isNewFolder(location: string, wasClosed: boolean): Promise<boolean> {
  const names = await readdir(location);
  if (names.includes('CURRENT')) return false;
  if (wasClosed || names.some((name) => /\.(ldb|sst|log)$|^MANIFEST/.test(name))) {
    throw corrupt(`${location} lacks LevelDB's CURRENT file`);
  }
  return true;
}

/** Version and channel are the ones that the caller expects. */
async function requireIdentity(database: Database, options: LedgerOptions): Promise<FormatRecord> {
  const format = decodeFormat(await requireRecord(database, FORMAT_KEY, 'the format record'));
  if (format.version !== FORMAT_VERSION) {
    throw new LedgerError(
      'format_version',
      `${options.directory} has ledger format ${format.version}, this Sluice reads ${FORMAT_VERSION}: use the matching version`,
      { found: format.version, expected: FORMAT_VERSION },
    );
  }
  if (format.channel !== options.channel) {
    throw new LedgerError(
      'channel_mismatch',
      `${options.directory} holds channel ${format.channel}, not ${options.channel}: check the replica's configuration`,
      { found: format.channel, expected: options.channel },
    );
  }
  return format;
}

/** The genesis block is the one that the caller expects. */
async function requireGenesis(
  { database, segments }: Stores,
  { genesisHash }: FormatRecord,
  options: LedgerOptions,
  genesisBlock: Block,
  sha256: Sha256,
): Promise<HashedHeader> {
  const hash = headerHash(genesisBlock.header, sha256);
  const stored = await readBlock(segments, 0, await readEntry(database, 0));
  const certificate = await requireRecord(database, blockKey(KIND.SIGNATURES, 0), 'block 0');
  // The header's hash does not cover the metadata, so everything is compared.
  if (
    !bytesEqual(genesisHash, hash) ||
    !bytesEqual(stored.headerBytes, encodeBlockHeader(genesisBlock.header)) ||
    !bytesEqual(stored.dataBytes, encodeBlockData(genesisBlock.data)) ||
    !bytesEqual(certificate, genesisBlock.metadata[METADATA.SIGNATURES] ?? certificate)
  ) {
    throw new LedgerError(
      'genesis_mismatch',
      `${options.directory} starts with genesis block ${toHex(genesisHash)}, the configuration names ${toHex(hash)}: it belongs to another network, or was created anew`,
      { found: toHex(genesisHash), expected: toHex(hash) },
    );
  }
  return { ...genesisBlock.header, hash };
}

async function readState(
  stores: Stores,
  sha256: Sha256,
): Promise<{ state: ChainState; certificatesAhead: Set<number> }> {
  const { database } = stores;
  const tipRecord = decodeTip(await requireRecord(database, TIP_KEY, 'the tip record'));
  const certifiedHeight = decodeCertified(
    await requireRecord(database, CERTIFIED_KEY, 'the certified-height record'),
  );
  const { storedHeight } = tipRecord;
  if (storedHeight < 1 || certifiedHeight < 1 || certifiedHeight > storedHeight) {
    throw corrupt(`heights ${storedHeight} stored and ${certifiedHeight} certified cannot be`);
  }
  for (const kind of [KIND.BLOCK, KIND.SIGNATURES]) {
    const beyond = await firstNumbers(database, kind, storedHeight, storedHeight + 1, 1);
    if (beyond.length > 0) {
      throw corrupt(`the tip record says ${storedHeight} blocks, but later ones are stored`, {
        blockNumber: storedHeight,
      });
    }
  }
  const { tip, end } = await checkNewestBlocks(stores, storedHeight, certifiedHeight, sha256);
  if (!bytesEqual(tip.hash, tipRecord.tipHash)) {
    throw corrupt(`block ${tip.number} is not the one that the tip record names`, {
      blockNumber: tip.number,
    });
  }
  const ahead = await firstNumbers(
    database,
    KIND.SIGNATURES,
    certifiedHeight,
    storedHeight,
    storedHeight - certifiedHeight,
  );
  if (ahead.includes(certifiedHeight)) {
    throw corrupt(`block ${certifiedHeight} has a certificate that the records do not count`, {
      blockNumber: certifiedHeight,
    });
  }
  return { state: { storedHeight, tip, certifiedHeight, end }, certificatesAhead: new Set(ahead) };
}

/**
 * Checks what a damaged log could have taken away: checksums, hashes
 * and links of the newest blocks.
 */
async function checkNewestBlocks(
  stores: Stores,
  storedHeight: number,
  certifiedHeight: number,
  sha256: Sha256,
): Promise<{ tip: HashedHeader; end: Position }> {
  let newest: { tip: HashedHeader; end: Position } | undefined;
  let next: BlockHeader | undefined;
  let bytes = 0;
  const lowest = Math.max(0, storedHeight - STORE_LIMITS.openCheckBlocksMax);
  for (let end = storedHeight; end > lowest && bytes < STORE_LIMITS.openCheckBytes; ) {
    const from = Math.max(lowest, end - STORE_LIMITS.openCheckBlocksAtOnce);
    const blocks = await readStoredBlocks(stores, from, end, certifiedHeight);
    for (let number = end - 1; number >= from; number -= 1) {
      const stored = blocks[number - from] as StoredBlock;
      const hash = headerHash(stored.header, sha256);
      requireOwnData(stored, number, sha256);
      if (next !== undefined && !bytesEqual(next.previousHash, hash)) {
        throw corrupt(`block ${next.number} does not follow block ${number}`, {
          blockNumber: number,
        });
      }
      newest ??= { tip: { ...stored.header, hash }, end: endOf(stored.place) };
      next = stored.header;
      bytes += stored.dataBytes.length;
    }
    end = from;
  }
  if (newest === undefined) throw corrupt('there is no block');
  return newest;
}

function requireOwnData(stored: StoredBlock, number: number, sha256: Sha256): void {
  const { header, dataBytes } = stored;
  const data = decodeBlockData(dataBytes);
  if (
    header.number !== number ||
    data.kind === 'malformed' ||
    !bytesEqual(dataHash(data.value, sha256), header.dataHash)
  ) {
    throw corrupt(`block ${number} does not fit its own header`, { blockNumber: number });
  }
}
