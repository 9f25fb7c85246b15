/** `sluice keygen`: a key and certificate for one more writer. */

import { relative } from 'node:path';
import { type Command, Option } from 'commander';
import {
  APPLICATION_MSP,
  issueWriter,
  NetworkError,
  WRITER_ROLES,
} from '../../orderer/network/index.ts';

interface KeygenOptions {
  readonly name: string;
  readonly org: string;
  readonly data: string;
  readonly algorithm: 'ed25519' | 'p256';
  readonly role: (typeof WRITER_ROLES)[number];
}

const EXAMPLES = `
The certificate is issued by the organization's CA under DIR/orgs, so this works where the network was created.
No replica needs to be told: the genesis block names the CA, and whom it vouches for may write.

Examples:
  $ sluice keygen --name alice
  $ sluice keygen --name bob --algorithm p256      a key that Fabric's older clients know, too
  $ sluice keygen --name carol --org Org1MSP --role admin --data /srv/sluice

Then: sluice submit --writer data/orgs/Org1MSP/users/alice 'hello'`;

export function register(program: Command): void {
  program
    .command('keygen')
    .description('issue a key and certificate for one more writer')
    .requiredOption('--name <name>', 'name of the writer, and of its directory')
    .option('--org <mspId>', 'organization that vouches for it', APPLICATION_MSP)
    .option('--data <dir>', "the network's directory", 'data')
    .addOption(
      new Option('--algorithm <name>', 'kind of key')
        .choices(['ed25519', 'p256'])
        .default('ed25519'),
    )
    .addOption(
      new Option('--role <role>', 'role in the organization')
        .choices([...WRITER_ROLES])
        .default('client'),
    )
    .addHelpText('after', EXAMPLES)
    .action(async (options: KeygenOptions) => {
      process.exitCode = await keygen(options);
    });
}

/** Exit code: 0 done, 1 refused with the reason on standard error. */
async function keygen(options: KeygenOptions): Promise<number> {
  try {
    const issued = await issueWriter({
      directory: options.data,
      name: options.name,
      mspId: options.org,
      algorithm: options.algorithm,
      role: options.role,
    });
    const here = (path: string): string => relative(process.cwd(), path);
    process.stdout.write(
      `Certificate: ${here(issued.certificateFile)}\nPrivate key: ${here(issued.keyFile)}\n`,
    );
    return 0;
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error;
    process.stderr.write(`sluice keygen: ${error.message} (${error.code})\n`);
    return 1;
  }
}
