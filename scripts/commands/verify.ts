/** `sluice verify`: audits chains with code that shares nothing with the replicas but the formats. */
import { performance } from 'node:perf_hooks';
import { type Command, InvalidArgumentError } from 'commander';
import { VERIFY_LIMITS } from '../verify/limits.ts';
import { createProgress } from '../verify/progress.ts';
import { formatReport } from '../verify/report.ts';
import { EXIT_CODES, type VerifyReport, verifyChains } from '../verify/run.ts';
import { type BlockSource, SourceError } from '../verify/sources.ts';
import { collect, EXIT, exitWithUsageCode, wholeNumber } from './connect.ts';
import { printable } from './printing.ts';

interface VerifyOptions {
  readonly data?: readonly string[];
  readonly url?: readonly string[];
  readonly blocks?: readonly string[];
  readonly genesis?: string;
  readonly channel?: string;
  readonly from: number;
  readonly to?: number;
  readonly signatures: boolean;
  readonly threads?: number;
  readonly json?: boolean;
}

const HELP = `
Checks every block: encoding, number, link to the block before, hash of its data, signatures of a
quorum of the consenters; and every transaction: encoding, id, signature, that its writer's
certificate was issued by an organization of the channel, and that no transaction stands in the
chain twice. Several sources are compared; the first block where they differ is named.
Signatures are checked by @noble in JavaScript, a second implementation beside the replicas' own,
which takes some milliseconds for each; hashes are OpenSSL's.

Give the genesis block that you trust with --genesis. Without it block 0 of the first source is
believed, and its hash printed.

Examples:
  $ sluice verify --url http://127.0.0.1:7051    a running replica
  $ sluice verify --url http://127.0.0.1:7051 --url http://127.0.0.1:7052 \\
      --genesis data/genesis/main.block          two running replicas, compared
  $ sluice verify --data data                    every ledger of a stopped network, compared
  $ sluice verify --data data/replica-1 --data /backup/replica-1
  $ sluice verify --blocks backup --from 100 --to 200
                                                 a folder of NNNN.block files
  $ sluice verify --data data --no-signatures    links and hashes only
  $ sluice verify --data data --json | jq .verdict

Not checked, since it is not on the chain: whether a writer's certificate was within its validity
period when the transaction was ordered. Nor are policies, beyond membership in an organization.

Exit code: 0 all is good, 1 a chain is bad or two differ, 2 could not check (usage, unreachable, a
replica is running in the folder).`;

/** Findings printed to people; --json has more. */
const FINDINGS_PRINTED_MAX = 50;

export function register(program: Command): void {
  exitWithUsageCode(program.command('verify'))
    .description('audit one or more copies of a chain')
    .option('--data <dir>', 'stopped replica (or whole network); may be repeated', collect)
    .option('--url <url>', "running replica's API; may be repeated", collect)
    .option('--blocks <dir>', 'folder of NNNN.block files; may be repeated', collect)
    .option('--genesis <file>', 'the genesis block that you trust')
    .option('--channel <name>', 'channel, when the sources have several')
    .option('--from <block>', 'first block', wholeNumber, 0)
    .option('--to <block>', 'last block', wholeNumber)
    .option('--no-signatures', 'check no signature: finds accidents, not forgeries')
    .option('--threads <n>', 'worker threads for signatures (default: one a core)', threadCount)
    .option('--json', 'print the report as JSON')
    .addHelpText('after', HELP)
    .action(async (options: VerifyOptions) => {
      process.exitCode = await verify(options);
    });
}

function threadCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > VERIFY_LIMITS.threadsMax) {
    throw new InvalidArgumentError(`give a whole number from 1 to ${VERIFY_LIMITS.threadsMax}`);
  }
  return value;
}

async function verify(options: VerifyOptions): Promise<number> {
  const { from, to } = options;
  const progress = createProgress(process.stderr, () => performance.now());
  if (!options.signatures) {
    progress.print(
      'sluice verify: --no-signatures: anybody could have written what is checked here',
    );
  }
  let lastBlock: number | undefined;
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  // Once: a second Ctrl-C ends it the hard way.
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    if (to !== undefined && to < from) {
      throw new SourceError('usage', `--to ${to} comes before --from ${from}`);
    }
    const report = await verifyChains(
      {
        data: options.data ?? [],
        urls: options.url ?? [],
        blocks: options.blocks ?? [],
        genesisFile: options.genesis,
        channel: options.channel,
        from,
        to,
        signatures: options.signatures,
        threads: options.threads,
      },
      {
        signal: interrupted.signal,
        onStart: ({ sources }) => {
          lastBlock = to ?? lastOf(sources);
        },
        onProgress: ({ height, signatures }) => {
          const total = lastBlock === undefined ? undefined : lastBlock - from + 1;
          progress.update({ done: height - from + 1, total, signatures });
        },
      },
    );
    progress.finish();
    printReport(report, options.json === true);
    return EXIT_CODES[report.verdict];
  } catch (error) {
    progress.finish();
    if (!(error instanceof SourceError)) throw error;
    if (options.json === true) {
      process.stdout.write(`${JSON.stringify({ verdict: 'unchecked', error: error.message })}\n`);
    } else process.stderr.write(`sluice verify: ${printable(error.message)}\n`);
    return EXIT.UNABLE;
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

function lastOf(sources: readonly BlockSource[]): number | undefined {
  const heights = sources.flatMap(({ height }) => height ?? []);
  return heights.length === 0 ? undefined : Math.max(...heights) - 1;
}

function printReport(report: VerifyReport, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return;
  }
  const hidden = Math.max(0, report.findings.length - FINDINGS_PRINTED_MAX);
  const shown = {
    ...report,
    findings: report.findings.slice(0, FINDINGS_PRINTED_MAX),
    findingsDropped: report.findingsDropped + hidden,
  };
  for (const line of formatReport(shown)) process.stdout.write(`${printable(line)}\n`);
}
