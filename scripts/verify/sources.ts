/** Where the auditor gets blocks from: a stopped replica's ledger, a running replica, a folder of block files. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readBlockStream, StreamError } from '../../api/client/deliver.ts';
import { jsonObject, sendRequest } from '../../api/client/http.ts';
import { joinBlock } from '../../ledger/format/index.ts';
import {
  type BlockParts,
  LedgerError,
  LedgerSnapshot,
  listBlockFiles,
  readBlockFiles,
  type TransactionLocation,
} from '../../ledger/store/index.ts';
import { VERIFY_LIMITS, VERIFY_TIMES } from './limits.ts';
import type { NamedPlaces } from './named-ids.ts';

export type SourceRecord =
  | {
      readonly kind: 'block';
      /** Where the source keeps it; the block itself may say otherwise. */
      readonly number: number;
      readonly bytes: Uint8Array;
      /** The same as the store keeps them, which spares who has them the making of `bytes`. */
      readonly parts?: BlockParts;
      /** False: stored by a replica that stopped before the certificate was complete. */
      readonly certified: boolean;
      /** The store's own checksum does not fit. */
      readonly fault?: string;
    }
  | { readonly kind: 'damaged'; readonly number: number; readonly reason: string };

export interface Range {
  readonly from: number;
  readonly to: number | undefined;
}

export interface ReadOptions extends Range {
  /** A source may overwrite the bytes of a record once the second one after it is asked for. */
  readonly mayOverwrite?: boolean;
}

export interface BlockSource {
  readonly name: string;
  /** The channel, when the source knows it apart from its blocks. */
  readonly channel: string | undefined;
  /** What is wrong with the source apart from its blocks, and what is merely worth saying. */
  readonly faults: readonly string[];
  readonly notes: readonly string[];
  /** How many blocks there are, when that is known: for the progress bar. */
  readonly height: number | undefined;
  /** Records by ascending number. Throws `SourceError`. */
  records(options: ReadOptions): AsyncIterable<SourceRecord>;
  /**
   * The positions of those transactions of a block whose place in the source's own index must be looked up with `locate`; all
   * others are where they must be. `ids`: `ID_WORDS` words each. Absent: look all of them up.
   */
  unconfirmed?(block: number, ids: Uint32Array): readonly number[];
  /** The same index as one place for each id; once only. */
  takePlaces?(): NamedPlaces | undefined;
  /** What the source's own transaction index says of each. */
  locate?(txIds: readonly string[]): Promise<readonly (TransactionLocation | undefined)[]>;
  close(): Promise<void>;
}

/** The source cannot be read: not there, in use, unreachable. `usage`: what was asked for makes no sense. */
export class SourceError extends Error {
  readonly kind: 'failed' | 'damaged' | 'usage';

  constructor(kind: 'failed' | 'damaged' | 'usage', message: string) {
    super(message);
    this.name = 'SourceError';
    this.kind = kind;
  }
}

function sourceErrorOf(error: unknown): SourceError {
  if (error instanceof SourceError) return error;
  if (error instanceof LedgerError) {
    const damaged = error.code === 'ledger_corrupt';
    return new SourceError(damaged ? 'damaged' : 'failed', error.message);
  }
  if (error instanceof Error && 'code' in error) return new SourceError('failed', error.message);
  throw error;
}

/** Folders at or below `directory` that hold a ledger of one channel; sorted. Throws `SourceError` when there is none. */
export async function findLedgers(directory: string): Promise<string[]> {
  const found: string[] = [];
  async function search(folder: string, depth: number): Promise<void> {
    const names = await readdir(join(folder, 'db')).catch(() => []);
    if (names.length > 0) {
      found.push(folder);
      return;
    }
    if (depth === 0) return;
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.isDirectory()) await search(join(folder, entry.name), depth - 1);
    }
  }
  await search(directory, VERIFY_LIMITS.ledgerSearchDepthMax);
  if (found.length > 0) return found;
  const advice = 'name a network, a replica or a ledger folder, such as data or data/replica-1';
  throw new SourceError('failed', `no ledger at or below ${directory}; ${advice}`);
}

/** The ledger of one channel of a stopped replica. Nothing in the folder is changed. Throws `SourceError`. */
export async function openLedgerSource(directory: string): Promise<BlockSource> {
  let snapshot: LedgerSnapshot;
  try {
    snapshot = await LedgerSnapshot.open({ directory });
  } catch (error) {
    throw sourceErrorOf(error);
  }
  const { certifiedHeight, storedHeight, channel } = snapshot;
  async function* records(options: ReadOptions): AsyncGenerator<SourceRecord> {
    const { from, to, mayOverwrite = false } = options;
    try {
      for await (const raw of snapshot.rawBlocks(from, { mayOverwrite })) {
        const { number } = raw;
        if (to !== undefined && number > to) return;
        if (raw.kind === 'missing') {
          yield { kind: 'damaged', number, reason: raw.fault };
          continue;
        }
        const { parts, fault } = raw;
        yield {
          kind: 'block',
          number,
          parts,
          get bytes() {
            return joinBlock(parts.header, parts.data, parts.metadata);
          },
          certified: raw.certified || number < certifiedHeight,
          ...(fault === undefined ? {} : { fault }),
        };
      }
    } catch (error) {
      throw sourceErrorOf(error);
    }
  }
  return {
    name: directory,
    channel: channel === '' ? undefined : channel,
    faults: snapshot.faults,
    notes: snapshot.notes,
    height: storedHeight,
    records,
    unconfirmed: (block, ids) => snapshot.unconfirmed(block, ids),
    takePlaces: () => snapshot.takePlaces(),
    locate: (txIds) => snapshot.transactions(txIds),
    close: () => snapshot.close(),
  };
}

/** A folder of files `NNNN.block`, each one serialized `common.Block`. Throws `SourceError`. */
export async function openFolderSource(directory: string): Promise<BlockSource> {
  let height: number;
  try {
    height = ((await listBlockFiles(directory)).at(-1)?.number ?? -1) + 1;
  } catch (error) {
    throw sourceErrorOf(error);
  }
  async function* records({ from, to }: Range): AsyncGenerator<SourceRecord> {
    try {
      for await (const found of readBlockFiles(directory)) {
        // Gaps show by the numbers that are there.
        if (found.kind === 'gap' || found.number < from) continue;
        const { number } = found;
        if (to !== undefined && number > to) return;
        if (found.kind === 'unusable') {
          yield { kind: 'damaged', number, reason: `${found.file}: ${found.reason}` };
        } else yield { kind: 'block', number, bytes: found.bytes, certified: true };
      }
    } catch (error) {
      throw sourceErrorOf(error);
    }
  }
  return {
    name: directory,
    channel: undefined,
    faults: [],
    notes: [],
    height,
    records,
    close: () => Promise.resolve(),
  };
}

async function getJson(url: string, path: string): Promise<Record<string, unknown>> {
  const outcome = await sendRequest((input, init) => fetch(input, init), {
    url: `${url}${path}`,
    accept: 'application/json',
    timeoutMs: VERIFY_TIMES.requestTimeoutMs,
  });
  if (outcome.kind === 'failure') {
    throw new SourceError('failed', `${url}: ${outcome.failure.message}`);
  }
  const body = jsonObject(outcome.body);
  if (outcome.status === 200 && body !== undefined) return body;
  const said = typeof body?.message === 'string' ? body.message : `status ${outcome.status}`;
  throw new SourceError('failed', `${url}${path}: ${said}`);
}

async function onlyChannel(url: string): Promise<string> {
  const { channels } = await getJson(url, '/v1/channels');
  const names = Array.isArray(channels)
    ? channels.map((entry: { channel?: unknown } | null) => String(entry?.channel))
    : [];
  const [only] = names;
  if (names.length === 1 && only !== undefined) return only;
  const message = `${url} serves ${names.join(', ') || 'no channel'}; name one with --channel`;
  throw new SourceError('usage', message);
}

/** A running replica, read through its deliver stream. Throws `SourceError`. */
export async function openUrlSource(
  baseUrl: string,
  wantedChannel: string | undefined,
): Promise<BlockSource> {
  if (!URL.canParse(baseUrl)) throw new SourceError('usage', `${baseUrl} is no URL`);
  const url = baseUrl.replace(/\/+$/, '');
  const channel = wantedChannel ?? (await onlyChannel(url));
  const info = await getJson(url, `/v1/channels/${encodeURIComponent(channel)}`);
  const height = Number.isSafeInteger(info.height) ? (info.height as number) : undefined;
  async function* records(range: Range): AsyncGenerator<SourceRecord> {
    const { from } = range;
    // A replica refuses a range that goes beyond what it has; the end comes as a finding.
    const to = range.to === undefined ? undefined : Math.min(range.to, (height ?? Infinity) - 1);
    if (to !== undefined && to < from) return;
    let next = from;
    for (let failures = 0; ; ) {
      try {
        const stream = readBlockStream({
          fetcher: (input, init) => fetch(input, init),
          url,
          channel,
          range: { from: next, to },
          connectTimeoutMs: VERIFY_TIMES.requestTimeoutMs,
          idleMs: VERIFY_TIMES.idleMs,
        });
        for await (const bytes of stream) {
          failures = 0;
          yield { kind: 'block', number: next, bytes, certified: true };
          next++;
        }
        return;
      } catch (error) {
        if (!(error instanceof StreamError)) throw error;
        if (error.code === 'block_not_ready') return;
        failures++;
        if (failures >= VERIFY_LIMITS.streamFailuresMax) {
          throw new SourceError('failed', `${url}: ${error.message} (at block ${next})`);
        }
      }
    }
  }
  return {
    name: url,
    channel,
    faults: [],
    notes: [],
    height,
    records,
    close: () => Promise.resolve(),
  };
}
