/** `npm run bench`: prepares, then measures with the remaining arguments (`--help` names them). */
import { join } from 'node:path';
import { runMain } from './errors.mjs';
import { runForwarding } from './forward.mjs';
import { PATHS } from './paths.mjs';
import { prepare } from './prepare.mjs';

runMain(async () => {
  await prepare({ addon: true, typescript: true });
  const program = join(PATHS.dist, 'bench', 'main.js');
  return runForwarding(process.execPath, [program, ...process.argv.slice(2)]);
});
