/** The three commands of commands.test.ts as a program, without those that need replicas. */
import { Command } from 'commander';
import { register as registerDeliver } from '../../scripts/commands/deliver.ts';
import { register as registerSubmit } from '../../scripts/commands/submit.ts';
import { register as registerVerify } from '../../scripts/commands/verify.ts';

const program = new Command('sluice');
registerDeliver(program);
registerSubmit(program);
registerVerify(program);
await program.parseAsync();
