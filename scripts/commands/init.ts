/** `sluice init`: keys, certificates, genesis block and settings of a new network. */

import { relative } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { faultsOf, quorumOf } from '../../ledger/format/index.ts';
import {
  CONFIG_LIMITS,
  DEFAULT_SLUICE_OPTIONS,
  formatDuration,
  parseDuration,
} from '../../orderer/channel-config/index.ts';
import {
  type CreatedNetwork,
  createNetwork,
  NETWORK_DEFAULTS,
  NetworkError,
  PROVIDERS,
  REPLICAS_MIN,
} from '../../orderer/network/index.ts';

interface InitOptions {
  readonly data: string;
  readonly replicas: number;
  readonly channel: readonly [string, ...string[]];
  readonly apiHost: string;
  readonly apiPort: number;
  readonly linkHost: string;
  readonly linkPort: number;
  readonly hosts: readonly string[] | undefined;
  readonly batchTimeout: number;
  readonly maxMessageCount: number;
  readonly waitMode: 'spin' | 'adaptive' | 'block';
  readonly viewTimeout: number;
  readonly signatureChecks: 'shared' | 'all';
  readonly transport: (typeof PROVIDERS)[number] | undefined;
  readonly gateway: boolean;
}

const EXAMPLES = `
Writes everything that a network needs into one directory, and nothing when something is in the way:

  network.yaml           where the replicas are; the same for all of them
  genesis/CHANNEL.block  block 0: consenters, organizations, policies, batch settings (Fabric's format)
  replica-N/             replica.yaml and the keys of replica N
  orgs/                  the organizations' CAs and their members' keys: keep these to yourself

Examples:
  $ sluice init                                four replicas, channel main, in ./data
  $ sluice init --data /srv/sluice --replicas 7 --channel trade
  $ sluice init --batch-timeout 500ms --no-gateway
  $ sluice init --hosts 10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4
                                               one replica on each machine, over tcp: copy network.yaml, genesis/ and
                                               replica-N/ there, and run sluice replica

Then: sluice start, or sluice replica --config data/replica-1/replica.yaml for each replica.`;

export function register(program: Command): void {
  const { batchSize, batchTimeoutMs, ...defaults } = NETWORK_DEFAULTS;
  const command = program
    .command('init')
    .description('create keys, certificates, genesis block and settings of a new network')
    .option('--data <dir>', 'directory to create; must not exist or be empty', 'data')
    .option(
      '--replicas <n>',
      'number of replicas; 3f+1 of them tolerate f that lie',
      integer(REPLICAS_MIN, CONFIG_LIMITS.consentersMax),
      defaults.replicas,
    )
    .option('--channel <a,b,...>', 'names of the channels', names, [defaults.channel])
    .option('--api-host <host>', 'address of the HTTP APIs', defaults.apiHost)
    .option(
      '--api-port <port>',
      'API port of replica 1; the others count up (0: any free port at each start)',
      integer(0, 65_535),
      defaults.apiPortBase,
    )
    .option('--link-host <host>', 'address where replicas reach each other', defaults.linkHost)
    .option(
      '--link-port <port>',
      'link port of replica 1; the others count up',
      integer(1, 65_535),
      defaults.linkPortBase,
    )
    .option('--hosts <a,b,...>', 'the machine of each replica, for links and APIs', names)
    .addOption(
      new Option('--batch-timeout <duration>', 'cut a block at the latest after this time')
        .argParser(duration)
        .default(batchTimeoutMs, formatDuration(batchTimeoutMs)),
    )
    .option(
      '--max-message-count <n>',
      'transactions in a block at most',
      integer(1, CONFIG_LIMITS.maxMessageCountMax),
      batchSize.maxMessageCount,
    )
    .addOption(
      new Option('--view-timeout <duration>', 'patience with a leader before it is replaced')
        .argParser(duration)
        .default(DEFAULT_SLUICE_OPTIONS.viewTimeoutMs, '300ms'),
    );
  addChoices(command)
    .option('--no-gateway', 'make no gateway keys: replicas take signed envelopes only')
    .addHelpText('after', EXAMPLES)
    .action(async (options: InitOptions) => {
      process.exitCode = await init(options);
    });
}

/** Options that name one of a few ways. */
function addChoices(command: Command): Command {
  return command
    .addOption(
      new Option('--wait-mode <mode>', 'how replicas wait: spin burns a core, block saves it')
        .choices(['spin', 'adaptive', 'block'])
        .default('adaptive'),
    )
    .addOption(
      new Option(
        '--signature-checks <who>',
        "who checks clients' signatures: f + 1 replicas in turn, or all of them",
      )
        .choices(['shared', 'all'])
        .default(DEFAULT_SLUICE_OPTIONS.signatureChecks),
    )
    .addOption(
      new Option(
        '--transport <provider>',
        'shm: all replicas on this machine; tcp: on any machines; verbs: on machines with RDMA devices',
      )
        .choices([...PROVIDERS])
        .default(undefined, 'tcp with --hosts, otherwise shm'),
    );
}

/** Exit code: 0 done, 1 refused with the reason on standard error. */
async function init(options: InitOptions): Promise<number> {
  try {
    const created = await createNetwork({
      directory: options.data,
      replicas: options.hosts?.length ?? options.replicas,
      hosts: options.hosts ?? [],
      channel: options.channel[0],
      moreChannels: options.channel.slice(1),
      apiHost: options.apiHost,
      apiPortBase: options.apiPort,
      linkHost: options.linkHost,
      linkPortBase: options.linkPort,
      batchTimeoutMs: options.batchTimeout,
      batchSize: { maxMessageCount: options.maxMessageCount },
      sluice: {
        waitMode: options.waitMode,
        viewTimeoutMs: options.viewTimeout,
        signatureChecks: options.signatureChecks,
      },
      provider:
        options.transport ?? (options.hosts === undefined ? NETWORK_DEFAULTS.provider : 'tcp'),
      gateway: options.gateway,
      onProgress: ({ done, total, step }) => {
        process.stderr.write(`[${done}/${total}] ${step}\n`);
      },
    });
    process.stdout.write(summary(created, options));
    return 0;
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error;
    process.stderr.write(`sluice init: ${error.message} (${error.code})\n`);
    return 1;
  }
}

function summary(created: CreatedNetwork, { data, channel: channels }: InitOptions): string {
  const { replicas, user } = created;
  const n = replicas.length;
  const [first] = replicas;
  const here = (path: string): string => relative(process.cwd(), path);
  const isSpread = new Set(replicas.map(({ api }) => new URL(api).hostname)).size > 1;
  const start = isSpread
    ? '  copy network.yaml, genesis/ and replica-N/ to the machine of replica N, and there:\n' +
      '  $ sluice replica --config replica-N/replica.yaml'
    : `  $ sluice start${data === 'data' ? '' : ` --data ${data}`}`;
  return `
Channel ${channels.join(', ')}: ${n} replicas, ${faultsOf(n)} of them may fail or lie, ${quorumOf(n)} certify a block.
Settings:  ${here(created.networkFile)}
Genesis:   ${here(created.genesisFile)}
Writer:    ${here(user.certificateFile)} (${user.mspId})

Next:
${start}
  $ sluice submit --url ${first?.api ?? ''}${channels.length > 1 ? ` --channel ${channels[0]}` : ''} 'hello'
`;
}

function names(text: string): string[] {
  return text.split(',');
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`must be ${min}..${max}.`);
  };
}

/** Whole milliseconds. */
function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && Number.isInteger(ms) && ms >= 1) return ms;
  throw new InvalidArgumentError('must be a duration like 500ms or 2s.');
}
