/** `sluice status`: what the replicas of a channel are doing, as they say it themselves. */
import type { Command } from 'commander';
import type { ChannelView } from '../../api/schemas.ts';
import { SettingsError } from '../../orderer/settings/index.ts';
import {
  addConnectOptions,
  CommandError,
  type ConnectOptions,
  EXIT,
  exitWithUsageCode,
  explain,
  findPlace,
} from './connect.ts';
import { printable, writeOut } from './printing.ts';

interface StatusOptions extends ConnectOptions {
  readonly json: boolean;
}

/** What one replica said, or why there is nothing. */
interface Answer {
  readonly url: string;
  readonly info: ChannelView | undefined;
  /** Why it cannot order; undefined when it can. */
  readonly problem: string | undefined;
}

const ANSWER_TIMEOUT_MS = 3_000;

export function register(program: Command): void {
  addConnectOptions(exitWithUsageCode(program.command('status')))
    .description('show what the replicas are doing: height, view, leader, who is connected')
    .option('--json', 'print what each replica says, as JSON', false)
    .addHelpText(
      'after',
      `
Each line is what that replica says of itself; nothing is checked (see: sluice verify). Columns: view and its leader,
path of the last commit (fast: all voted; slow: a signed quorum), last executed slot, slots from the last stable
checkpoint to the end of the window, transactions queued.

Exit code: 0 all can order, 1 some cannot or do not answer, 2 none could be asked.

Examples:
  $ sluice status
  $ sluice status --url http://127.0.0.1:7051 --json`,
    )
    .action(async (options: StatusOptions) => {
      process.exitCode = await status(options);
    });
}

async function status(options: StatusOptions): Promise<number> {
  try {
    const { urls, channel } = findPlace(options);
    const name = channel ?? (await onlyChannel(urls));
    const answers = await Promise.all(urls.map((url) => ask(url, name)));
    await writeOut(options.json ? `${JSON.stringify(answers, undefined, 2)}\n` : text(answers));
    if (answers.every(({ info }) => info === undefined)) return EXIT.UNABLE;
    return answers.some(({ problem }) => problem !== undefined) ? EXIT.REFUSED : EXIT.OK;
  } catch (error) {
    if (!(error instanceof CommandError) && !(error instanceof SettingsError)) throw error;
    process.stderr.write(`sluice status: ${explain(error).message}\n`);
    return EXIT.UNABLE;
  }
}

/** Throws `CommandError` when the replicas have several, or none says which. */
async function onlyChannel(urls: readonly string[]): Promise<string> {
  for (const url of urls) {
    const answer = await getJson(`${url}/v1/channels`);
    const channels = (answer.body as { channels?: { channel: string }[] } | undefined)?.channels;
    if (channels === undefined) continue;
    const [first, ...others] = channels;
    if (first !== undefined && others.length === 0) return first.channel;
    const names = channels.map(({ channel }) => printable(channel)).join(', ');
    throw new CommandError(`${url} has channels ${names || 'none'}; name one with --channel`);
  }
  throw new CommandError(`none of ${urls.join(', ')} answers`);
}

async function ask(url: string, channel: string): Promise<Answer> {
  const [said, health] = await Promise.all([
    getJson(`${url}/v1/channels/${encodeURIComponent(channel)}`),
    getJson(`${url}/healthz`),
  ]);
  if (said.status !== 200) {
    return { url, info: undefined, problem: messageOf(said) };
  }
  const problem = health.status === 200 ? undefined : messageOf(health);
  return { url, info: said.body as ChannelView, problem };
}

interface JsonAnswer {
  /** Undefined: no answer. */
  readonly status: number | undefined;
  readonly body: unknown;
}

async function getJson(url: string): Promise<JsonAnswer> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    return { status: answer.status, body: await answer.json() };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { status: undefined, body: { message: (cause as Error).message } };
  }
}

function messageOf({ status, body }: JsonAnswer): string {
  const { message } = body as { message?: unknown };
  const sentence = printable(typeof message === 'string' ? message : `status ${status}`);
  return status === undefined ? `no answer (${sentence})` : sentence;
}

function text(answers: readonly Answer[]): string {
  const known = answers.flatMap(({ info }) => (info === undefined ? [] : [info]));
  const [first] = known;
  const head =
    first === undefined
      ? ''
      : `channel ${printable(first.channel)}: ${first.replicas} replicas, ${first.faultsTolerated} may fail or lie, ${first.quorum} certify a block\n\n`;
  const problems = answers.flatMap(({ url, info, problem }) =>
    problem === undefined
      ? []
      : [`${info === undefined ? url : `replica ${info.replica}`}: ${problem}`],
  );
  return [
    head,
    table(replicaRows(answers)),
    ...(known.length === 0 ? [] : ['\n', table(peerRows(known))]),
    ...(problems.length === 0 ? [] : [`\n${problems.join('\n')}\n`]),
  ].join('');
}

function replicaRows(answers: readonly Answer[]): string[][] {
  const head = 'replica state height view leader path executed window pending log disk'.split(' ');
  const rows = answers.map(({ url, info }) =>
    info === undefined
      ? ['?', 'no answer', ...head.slice(2).map(() => '-'), url]
      : [
          String(info.replica),
          info.state,
          String(info.height),
          String(info.view),
          String(info.leader),
          info.path,
          String(info.executedSlot),
          `${info.stableSlot}..${info.stableSlot + info.windowSlots}`,
          String(info.transactionsPending),
          info.durability,
          info.disk,
          url,
        ],
  );
  return [[...head, 'url'], ...rows];
}

/** What each sees of the others. */
function peerRows(known: readonly ChannelView[]): string[][] {
  const numbers = [
    ...new Set(known.flatMap(({ replica, peers }) => [replica, ...peers.map((p) => p.replica)])),
  ];
  numbers.sort((left, right) => left - right);
  const rows = known.map((info) => [
    `replica ${info.replica} sees`,
    ...numbers.map((number) => {
      const peer = info.peers.find(({ replica }) => replica === number);
      return peer === undefined ? '-' : peerCell(peer);
    }),
  ]);
  return [['', ...numbers.map((number) => `replica ${number}`)], ...rows];
}

function peerCell({ connected, lagSlots, faults }: ChannelView['peers'][number]): string {
  const lag = lagSlots === null || lagSlots === 0 ? '' : `, ${lagSlots} behind`;
  const bad = faults === 0 ? '' : `, ${faults} faults`;
  return `${connected ? 'connected' : 'away'}${lag}${bad}`;
}

/** Columns as wide as their widest cell. */
function table(rows: readonly string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
