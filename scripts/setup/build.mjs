/**
 *   node scripts/setup/build.mjs            packages, addon, TypeScript: whatever is old
 *   node scripts/setup/build.mjs --native   packages and addon only
 */
import { runMain, SetupError } from './errors.mjs';
import { prepare } from './prepare.mjs';

runMain(async () => {
  const args = process.argv.slice(2);
  const unknown = args.find((arg) => arg !== '--native');
  if (unknown !== undefined) throw new SetupError(`unknown option ${unknown}; there is --native`);
  await prepare({ addon: true, typescript: !args.includes('--native') });
  process.stderr.write('everything is built\n');
});
