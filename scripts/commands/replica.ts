/** `sluice replica`: one replica as this process. */
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { pino } from 'pino';
import { startApi } from '../../api/index.ts';
import { loadReplicaApart } from '../../orderer/network/load-apart.ts';
import { Replica } from '../../orderer/replica.ts';
import { giveWay, niceBelowConsensus } from '../../orderer/thread-priority.ts';

interface ReplicaOptions {
  readonly config: string;
  readonly supervised: boolean;
}

export function register(program: Command): void {
  program
    .command('replica')
    .description('run one replica of a network in this process')
    .requiredOption('--config <file>', "the replica's replica.yaml")
    .option('--supervised', 'stop when the parent process goes away (used by sluice start)', false)
    .addHelpText(
      'after',
      `
The log goes to standard output, one JSON object a line. SIGTERM or SIGINT stops the replica cleanly.
Exit codes: 0 stopped on request, 1 stopped by an error, 2 could not start.

Example:
  $ sluice replica --config data/replica-1/replica.yaml`,
    )
    .action(async (options: ReplicaOptions) => {
      process.exitCode = await runReplica(options);
    });
}

async function runReplica(options: ReplicaOptions): Promise<number> {
  const stopRequested = watchStop(options.supervised);
  const loaded = await loadReplicaApart(options.config);
  const log = pino({
    level: loaded.settings.log.level,
    base: { replica: loaded.settings.number },
  });
  const failure = new AbortController();
  const failed = once(failure.signal, 'abort');
  // Before anything lowers this thread, which verify threads that are started anew would add to.
  const nice = niceBelowConsensus(loaded.settings.priorities);
  const replica = await Replica.start(loaded, {
    log,
    onFatal: () => failure.abort(),
    onRunning: () => {
      if (nice !== undefined) giveWay(nice);
    },
  });
  const { host, port } = loaded.settings.api;
  const { connectionsMax, waitersMax, submitStreamsMax, deliverStreamsMax } = loaded.network.limits;
  const limits = {
    ...(connectionsMax === undefined ? {} : { connectionsMax }),
    ...(waitersMax === undefined ? {} : { waitersMax }),
    ...(submitStreamsMax === undefined ? {} : { submitStreamsMax }),
    ...(deliverStreamsMax === undefined ? {} : { deliverStreamsMax }),
  };
  const api = await startApi({ host, port, limits }, { service: replica, log });
  log.info({ url: api.url }, 'api listening');
  optimizeSoon();
  await Promise.race([stopRequested, failed]);
  log.info({ failed: failure.signal.aborted }, 'stopping');
  await api.close();
  await replica.stop();
  log.info({}, 'stopped');
  // Whatever a library still holds open must not keep a stopped replica alive.
  setImmediate(() => process.exit());
  return failure.signal.aborted ? 1 : 0;
}

/** A start is over by then, and what is hot from then on is what orders. */
const OPTIMIZE_AFTER_MS = 5_000;

/** V8's own values, in place of those which keep a start cheap (REPLICA_NODE_FLAGS). */
const OPTIMIZING_FLAGS = ['--ticks-before-optimization=3', '--max-bytecode-size-for-early-opt=81'];

function optimizeSoon(): void {
  const set = (): void => {
    for (const flag of OPTIMIZING_FLAGS) setFlagsFromString(flag);
  };
  setTimeout(set, OPTIMIZE_AFTER_MS).unref();
}

/** Resolves on the first request to stop. */
function watchStop(supervised: boolean): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve());
    if (supervised) process.on('disconnect', () => resolve());
  });
}
