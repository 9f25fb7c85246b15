/** What the `sluice` command says of itself, and the reading of its arguments; the subcommands are given. */
import { Command } from 'commander';
import { version } from '../orderer/version.ts';

export interface CommandModule {
  register(program: Command): void;
}

export async function runProgram(commands: readonly CommandModule[]): Promise<void> {
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
  for (const { register } of commands) register(program);
  await program.parseAsync();
}
