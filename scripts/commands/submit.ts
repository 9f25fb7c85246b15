/** `sluice submit`: signs a transaction, hands it to the replicas and checks the receipt. */
import { performance } from 'node:perf_hooks';
import { type Command, Option } from 'commander';
import { buildEnvelope, type SluiceClient, type SubmitResult } from '../../api/client/index.ts';
import { toBase64 } from '../../api/client/pem.ts';
import { encodeBlockHeader } from '../../ledger/format/index.ts';
import {
  addConnectOptions,
  CommandError,
  type ConnectOptions,
  connect,
  EXIT,
  exitWithUsageCode,
  explain,
  positiveNumber,
  readInput,
  readWriter,
} from './connect.ts';
import { print, printable } from './printing.ts';
import {
  IN_FLIGHT_DEFAULT,
  LANES_DEFAULT,
  type ManyOptions,
  submitMany,
  submitStream,
} from './submit-many.ts';

interface SubmitOptions extends ConnectOptions, ManyOptions {
  readonly file?: string;
  readonly raw?: string;
  readonly writer?: string;
  readonly msp?: string;
  readonly stream?: boolean;
}

const HELP = `
The transaction is an ENDORSER_TRANSACTION envelope, signed here with the writer's key; no replica
sees the key. The receipt is checked here, too: a quorum of the consenters named in the genesis
block must have signed the block, and the block must hold the transaction. A replica that is down or
busy is passed over; submitting twice cannot order twice.

Examples:
  $ sluice submit 'hello'                  the user and the network that sluice start made in ./data
  $ echo '{"move": 3}' | sluice submit -   data from standard input
  $ sluice submit --file order.bin --json  any bytes; the receipt as JSON
  $ sluice submit 'hi' --writer data/orgs/Org1MSP/users/alice
  $ sluice submit 'hi' --url http://127.0.0.1:7052 --genesis data/genesis/main.block
  $ sluice submit 'load' --count 1000 --concurrency 32
                                           a thousand transactions, one summary
  $ sluice submit 'load' --count 100000 --stream
                                           the same over one connection, as fast as they are ordered
  $ sluice submit --raw envelope.pb        an envelope that was signed elsewhere

Exit code: 0 ordered (with --wait queued: taken), 1 refused, or the receipt does not hold,
2 could not (usage, no replica, deadline).`;

/** Transactions in one --count run. */
const COUNT_MAX = 1_000_000;
const CONCURRENCY_MAX = 1024;
/** Somebody who waits longer than this for one transaction wants to know why. */
const PATIENCE_MS = 3_000;
/** No channel takes a larger envelope. */
const INPUT_BYTES_MAX = 64 << 20;

export function register(program: Command): void {
  const command = program
    .command('submit')
    .description('sign a transaction, have it ordered, check the receipt')
    .argument('[data]', 'data of the transaction as text; - reads standard input');
  exitWithUsageCode(addConnectOptions(command))
    .option('--file <file>', 'data from a file')
    .option('--raw <file>', 'a serialized common.Envelope, ready and signed ("-": standard input)')
    .option('--writer <dir>', 'folder with cert.pem and key.pem (default: Org1MSP/user of --data)')
    .option('--msp <id>', "the writer's organization (default: from the folder's path)")
    .addOption(
      new Option('--wait <for>', 'commit: a certified block; queued: one replica has it')
        .choices(['commit', 'queued'])
        .default('commit'),
    )
    .option('--timeout <ms>', 'give up after this time', positiveNumber, 30_000)
    .option('--replicas <k>', 'hand it to k replicas at once', positiveNumber, 1)
    .addOption(
      new Option(
        '--proof <how>',
        'block: look for the transaction in the block; certificate: believe the replica on that (default: block, for --count certificate)',
      ).choices(['block', 'certificate']),
    )
    .option('--count <n>', 'submit n transactions with the same data', positiveNumber, 1)
    .option(
      '--concurrency <n>',
      `with --count: how many at a time (default: ${LANES_DEFAULT}, with --stream ${IN_FLIGHT_DEFAULT})`,
      positiveNumber,
    )
    .option('--stream', 'with --count: all over one connection instead of a request each')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(async (data: string | undefined, options: SubmitOptions) => {
      process.exitCode = await submit(data, options);
    });
}

/** Runs the command; answers the exit code. */
async function submit(data: string | undefined, options: SubmitOptions): Promise<number> {
  try {
    checkCounts(options);
    const client = connect(options);
    const makeEnvelope = await envelopeMaker(data, options, client.channel);
    if (options.stream === true) return await submitStream(client, makeEnvelope, options);
    return options.count === 1
      ? await submitOne(client, makeEnvelope(), options)
      : await submitMany(client, makeEnvelope, options);
  } catch (error) {
    const { message, code, exitCode } = explain(error);
    if (options.json === true) print(JSON.stringify({ status: 'failed', code, message }));
    else process.stderr.write(`sluice submit: ${printable(message)}\n`);
    return exitCode;
  }
}

function checkCounts(options: SubmitOptions): void {
  const { count, concurrency = 1, raw, stream, wait, replicas, proof } = options;
  if (count > COUNT_MAX) throw new CommandError(`--count is at most ${COUNT_MAX}`);
  if (stream === true && (wait !== 'commit' || replicas > 1 || proof === 'block')) {
    throw new CommandError(
      '--stream waits for the commit at one replica: leave out --wait, --replicas and --proof block',
    );
  }
  if (concurrency > CONCURRENCY_MAX) {
    throw new CommandError(`--concurrency is at most ${CONCURRENCY_MAX}`);
  }
  if (raw !== undefined && count > 1) {
    throw new CommandError('--raw is one envelope, which is ordered once: leave out --count');
  }
}

async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of process.stdin) {
    const bytes = chunk as Uint8Array;
    total += bytes.length;
    if (total > INPUT_BYTES_MAX) {
      throw new CommandError(`standard input has more than ${INPUT_BYTES_MAX} bytes`);
    }
    chunks.push(bytes);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

function readSource(path: string, what: string): Promise<Uint8Array> {
  return path === '-' ? readStandardInput() : Promise.resolve(readInput(path, what));
}

async function readData(data: string | undefined, options: SubmitOptions): Promise<Uint8Array> {
  if (data !== undefined && options.file !== undefined) {
    throw new CommandError('give the data once: as argument or with --file');
  }
  if (options.file !== undefined) return readSource(options.file, 'the data');
  if (data === '-') return readSource('-', 'standard input');
  if (data !== undefined) return new TextEncoder().encode(data);
  throw new CommandError('what shall be submitted? give the data, -, --file FILE or --raw FILE');
}

async function envelopeMaker(
  data: string | undefined,
  options: SubmitOptions,
  channel: string,
): Promise<() => Uint8Array> {
  if (options.raw !== undefined) {
    if (data !== undefined || options.file !== undefined) {
      throw new CommandError('--raw is the whole envelope: give no data beside it');
    }
    const envelope = await readSource(options.raw, 'the envelope');
    return () => envelope;
  }
  const bytes = await readData(data, options);
  const writer = readWriter(options);
  return () => buildEnvelope({ channel, data: bytes, writer }).envelope;
}

function describe(result: SubmitResult, client: SluiceClient, elapsedMs: number): string[] {
  const time = `${elapsedMs.toFixed(1)} ms`;
  if (result.kind === 'queued') {
    return [`queued at ${result.url} (${time}), not ordered yet`, `  transaction  ${result.txId}`];
  }
  const { receipt } = result;
  const signers = receipt.signers.join(', ');
  const shown =
    receipt.proof === 'block' ? 'the block holds the transaction' : 'inclusion not checked';
  return [
    `ordered in block ${receipt.blockNumber}, index ${receipt.index} (${time})`,
    `  transaction  ${receipt.txId}`,
    `  block hash   ${receipt.blockHash}`,
    `  checked      signed by consenters ${signers} of ${client.trust.consenters.length}; ${shown}`,
    `  replica      ${receipt.url}`,
  ];
}

function resultJson(result: SubmitResult, elapsedMs: number): Record<string, unknown> {
  if (result.kind === 'queued') return { status: 'queued', txId: result.txId, url: result.url };
  const { txId, blockNumber, index, blockHash, header, certificate, signers, proof, url } =
    result.receipt;
  return {
    status: 'committed',
    txId,
    blockNumber,
    index,
    blockHash,
    header: toBase64(encodeBlockHeader(header)),
    certificate: toBase64(certificate),
    signers,
    proof,
    url,
    elapsedMs: Number(elapsedMs.toFixed(3)),
  };
}

async function submitOne(
  client: SluiceClient,
  envelope: Uint8Array,
  options: SubmitOptions,
): Promise<number> {
  const startedMs = performance.now();
  const { wait, timeout: timeoutMs, replicas, proof = 'block' } = options;
  const patience = setTimeout(() => {
    const limit = `${timeoutMs / 1_000} s (--timeout)`;
    process.stderr.write(`sluice submit: no receipt yet, trying on for up to ${limit}\n`);
  }, PATIENCE_MS);
  const result = await client
    .submit(envelope, { wait, timeoutMs, replicas, proof })
    .finally(() => clearTimeout(patience));
  const elapsedMs = performance.now() - startedMs;
  if (options.json === true) print(JSON.stringify(resultJson(result, elapsedMs)));
  else for (const line of describe(result, client, elapsedMs)) print(line);
  return EXIT.OK;
}
