#!/usr/bin/env node
/** The `sluice` command. Each subcommand lives in a file of `commands/`. */
import { runBundle } from './bundle.ts';
import type { CommandModule } from './program.ts';

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
/** These run from a bundle where there is one: what a network's start waits for, and an audit, most of whose modules are libraries. */
const BUNDLED = ['start', 'replica', 'verify'];

async function main(): Promise<void> {
  const asked = process.argv[2] ?? '';
  const bundle = BUNDLED.includes(asked) ? runBundle(asked) : undefined;
  if (bundle !== undefined) return (bundle as { run(): Promise<void> }).run();
  const names = Object.hasOwn(COMMANDS, asked) ? [asked] : Object.keys(COMMANDS);
  const commands: CommandModule[] = [];
  for (const name of names) commands.push(await COMMANDS[name as keyof typeof COMMANDS]());
  const { runProgram } = await import('./program.ts');
  await runProgram(commands);
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
