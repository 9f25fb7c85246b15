#!/usr/bin/env node
/** The `sluice` command. Each subcommand lives in a file of `commands/`. */
import { Command } from 'commander';
import { version } from '../orderer/version.ts';

/** A replica must stay small: only the command that was asked for is loaded, all of them for help. */
const COMMANDS = {
  init: () => import('./commands/init.ts'),
  start: () => import('./commands/start.ts'),
  replica: () => import('./commands/replica.ts'),
  status: () => import('./commands/status.ts'),
  submit: () => import('./commands/submit.ts'),
  deliver: () => import('./commands/deliver.ts'),
  verify: () => import('./commands/verify.ts'),
  keygen: () => import('./commands/keygen.ts'),
};

const program = new Command('sluice')
  .description(
    'Sluice orders transactions for blockchains: replicas agree on one order even if f of 3f+1 of them lie.',
  )
  .version(version)
  // As in its commands: 2 for what cannot be understood.
  .exitOverride(({ exitCode }) => {
    process.exit(exitCode === 0 ? 0 : 2);
  })
  .showHelpAfterError('(add --help to see what this command takes)')
  .addHelpText(
    'after',
    `
A first network, from nothing:
  $ sluice start                             four replicas under ./data, Ctrl-C stops them
  $ sluice status                            what each replica is doing
  $ sluice submit 'hello'                    signs a transaction, waits for its certified block
  $ sluice deliver --from 0 --follow         prints blocks as they are ordered
  $ sluice verify --url http://127.0.0.1:7051
                                             audits the chain, signature by signature

Every command explains itself: sluice COMMAND --help`,
  );

async function main(): Promise<void> {
  const asked = process.argv[2] ?? '';
  const names = Object.hasOwn(COMMANDS, asked) ? [asked] : Object.keys(COMMANDS);
  for (const name of names) {
    const { register } = await COMMANDS[name as keyof typeof COMMANDS]();
    register(program);
  }
  await program.parseAsync();
}

/** With its stable code, by which docs/codes.md and docs/operations.md name it. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : '';
  return `${error.message}${code}`;
}

main().catch((error: unknown) => {
  process.stderr.write(`sluice: ${describe(error)}\n`);
  // A replica that could not start may hold threads and a channel to its supervisor.
  process.exit(2);
});
