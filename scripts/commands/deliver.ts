/** `sluice deliver`: prints the blocks of a channel, or saves them, checking each one. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { type Command, Option } from 'commander';
import { readBlockStream, StreamError } from '../../api/client/deliver.ts';
import { decodeCertificatePem } from '../../api/client/index.ts';
import { CLIENT_TIMES } from '../../api/client/limits.ts';
import { toBase64 } from '../../api/client/pem.ts';
import { encodeFrames } from '../../api/framing.ts';
import {
  type Block,
  decodeBlock,
  decodeSerializedIdentity,
  HEADER_TYPES,
  headerHash,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import {
  addConnectOptions,
  CommandError,
  type ConnectOptions,
  connect,
  EXIT,
  exitWithUsageCode,
  explain,
  findPlace,
  wholeNumber,
} from './connect.ts';
import { onClosedPipe, printable, readableText, writeOut } from './printing.ts';

interface DeliverOptions extends ConnectOptions {
  readonly from: number;
  readonly to?: number;
  readonly follow?: boolean;
  readonly format: 'text' | 'json' | 'raw';
  readonly out?: string;
  readonly verify: boolean;
}

const HELP = `
Every block is checked before it is printed: hashes, links, and the signatures of a quorum of the
consenters that the genesis block names. When a replica fails, or is silent for long, the stream
goes on at the next one, without gap or repeat.

Formats: text, a line for each block and each transaction; json, one object a line; raw, each block
as its length (u32, big-endian) and its bytes. --out writes each block to a file as well,
NNNN.block, which sluice verify --blocks reads.

Examples:
  $ sluice deliver                         all blocks there are
  $ sluice deliver --from 10 --to 20
  $ sluice deliver --from 0 --follow       and those to come; Ctrl-C ends it
  $ sluice deliver --format json | jq .transactions
  $ sluice deliver --out backup && sluice verify --blocks backup
  $ sluice deliver --url http://127.0.0.1:7053 --genesis data/genesis/main.block

Exit code: 0 done (or Ctrl-C), 1 a replica refused, or no replica has the range,
2 could not (usage, unreachable).`;

export function register(program: Command): void {
  const command = program.command('deliver').description('print or save the blocks of a channel');
  exitWithUsageCode(addConnectOptions(command))
    .option('--from <block>', 'first block', wholeNumber, 0)
    .option('--to <block>', 'last block (default: the newest)', wholeNumber)
    .option('--follow', 'wait for blocks that do not exist yet')
    .addOption(
      new Option('--format <format>', 'what to print')
        .choices(['text', 'json', 'raw'])
        .default('text'),
    )
    .option('--out <dir>', 'write each block to a new file NNNN.block in this folder')
    .option('--no-verify', 'check nothing, ask one replica only; needs no genesis block')
    .addHelpText('after', HELP)
    .action(async (options: DeliverOptions) => {
      process.exitCode = await deliver(options);
    });
}

interface DeliveredBlock {
  readonly block: Block;
  readonly bytes: Uint8Array;
  /** Undefined: nobody checked. */
  readonly signers: readonly number[] | undefined;
}

async function deliver(options: DeliverOptions): Promise<number> {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const restorePipe = onClosedPipe(stop);
  try {
    if (options.to !== undefined && options.to < options.from) {
      throw new CommandError(`--to ${options.to} comes before --from ${options.from}`);
    }
    const { signal } = stopping;
    const blocks = options.verify
      ? checkedBlocks(options, signal)
      : uncheckedBlocks(options, signal);
    if (options.out !== undefined) mkdirSync(options.out, { recursive: true });
    for await (const delivered of blocks) {
      if (options.out !== undefined) saveBlock(options.out, delivered);
      if (!(await writeOut(formatBlock(delivered, options.format)))) break;
    }
    return EXIT.OK;
  } catch (error) {
    if (stopping.signal.aborted) return EXIT.OK;
    const { message, exitCode } = explain(commandErrorOf(error));
    process.stderr.write(`sluice deliver: ${printable(message)}\n`);
    return exitCode;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    restorePipe();
  }
}

function commandErrorOf(error: unknown): unknown {
  const expected = error instanceof StreamError || (error instanceof Error && 'syscall' in error);
  return expected ? new CommandError(error.message) : error;
}

async function* checkedBlocks(
  options: DeliverOptions,
  signal: AbortSignal,
): AsyncGenerator<DeliveredBlock> {
  const { from, to, follow } = options;
  yield* connect(options).deliver({ from, to, follow, signal });
}

async function* uncheckedBlocks(
  options: DeliverOptions,
  signal: AbortSignal,
): AsyncGenerator<DeliveredBlock> {
  const { urls, channel } = findPlace(options);
  const [url] = urls;
  if (url === undefined || channel === undefined) {
    throw new CommandError('--no-verify reads no genesis block: name the channel with --channel');
  }
  const { from, to, follow } = options;
  const stream = readBlockStream({
    fetcher: (input, init) => fetch(input, init),
    url: url.replace(/\/+$/, ''),
    channel,
    range: { from, to, follow },
    connectTimeoutMs: CLIENT_TIMES.attemptTimeoutMs,
    idleMs: follow === true ? 2 ** 31 - 1 : CLIENT_TIMES.idleMs,
    signal,
  });
  for await (const bytes of stream) {
    const decoded = decodeBlock(bytes);
    if (decoded.kind === 'malformed') throw new CommandError(decoded.reason);
    yield { block: decoded.value, bytes, signers: undefined };
  }
}

function saveBlock(folder: string, { block, bytes }: DeliveredBlock): void {
  const name = `${String(block.header.number).padStart(4, '0')}.block`;
  // Never overwrites: a folder must not become a mixture of two chains.
  writeFileSync(join(folder, name), bytes, { flag: 'wx' });
}

function formatBlock(
  delivered: DeliveredBlock,
  format: DeliverOptions['format'],
): string | Uint8Array {
  switch (format) {
    case 'raw':
      return encodeFrames([delivered.bytes]);
    case 'json':
      return `${JSON.stringify(blockJson(delivered))}\n`;
    case 'text':
      return blockText(delivered);
  }
}

interface TransactionSummary {
  readonly index: number;
  readonly txId: string;
  readonly type: string;
  readonly mspId: string;
  readonly creator: string;
  readonly timestamp: string;
  readonly data: Uint8Array;
}

const TYPE_NAMES = new Map<number, string>(
  Object.entries(HEADER_TYPES).map(([name, type]) => [type, name]),
);

function timestampOf(timestampMs: number): string {
  const date = new Date(timestampMs);
  return timestampMs === 0 || Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

/** What an envelope says of itself; undefined when it is none. */
function summarize(entry: Uint8Array, index: number): TransactionSummary | undefined {
  const parsed = parseEnvelope(entry);
  if (parsed.kind === 'malformed') return undefined;
  const { channelHeader, signatureHeader, data } = parsed.value;
  const identity = decodeSerializedIdentity(signatureHeader.creator);
  const certificate =
    identity.kind === 'ok' ? decodeCertificatePem(identity.value.idBytes) : undefined;
  return {
    index,
    txId: channelHeader.txId,
    type: TYPE_NAMES.get(channelHeader.type) ?? String(channelHeader.type),
    mspId: identity.kind === 'ok' ? identity.value.mspId : '',
    creator: certificate?.kind === 'ok' ? certificate.value.commonName : '',
    timestamp: timestampOf(channelHeader.timestampMs),
    data,
  };
}

function blockJson({ block, bytes, signers }: DeliveredBlock): Record<string, unknown> {
  const { header } = block;
  return {
    number: header.number,
    hash: bytesToHex(headerHash(header, sha256)),
    previousHash: bytesToHex(header.previousHash),
    dataHash: bytesToHex(header.dataHash),
    bytes: bytes.length,
    verified: signers !== undefined,
    signers: signers ?? [],
    transactions: block.data.map((entry, index) => {
      const summary = summarize(entry, index);
      if (summary === undefined) return { index, malformed: toBase64(entry) };
      const text = readableText(summary.data);
      const data = toBase64(summary.data);
      return { ...summary, data, ...(text === undefined ? {} : { text }) };
    }),
  };
}

function transactionLine(entry: Uint8Array, index: number): string {
  const summary = summarize(entry, index);
  if (summary === undefined) return `  ${index}  not an envelope, ${entry.length} bytes\n`;
  const { txId, mspId, creator, type, data } = summary;
  // The genesis block's transaction has no creator.
  const who = mspId === '' ? '' : `  ${mspId}/${creator}`;
  const text = readableText(data);
  const content = text === undefined ? '' : `  ${JSON.stringify(text)}`;
  const kind = type === 'ENDORSER_TRANSACTION' ? '' : `  ${type}`;
  const id = `${txId.slice(0, 16)}${txId.length > 16 ? '..' : ''}`;
  return `  ${index}  ${printable(`${id}${who}${kind}  ${data.length} B${content}`)}\n`;
}

function blockText({ block, bytes, signers }: DeliveredBlock): string {
  const { number } = block.header;
  const hash = bytesToHex(headerHash(block.header, sha256)).slice(0, 16);
  const count = block.data.length;
  const certified =
    signers === undefined
      ? 'not checked'
      : number === 0
        ? 'genesis, trusted'
        : `signed by ${signers.join(', ')}`;
  const head = `block ${number}  ${count} transaction${count === 1 ? '' : 's'}, ${bytes.length} B  ${hash}..  ${certified}\n`;
  return head + block.data.map(transactionLine).join('');
}
