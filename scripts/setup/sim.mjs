/**
 * `npm run sim`: prepares, then runs the simulator with the remaining arguments (`--help` names them). The exit code
 * is the simulator's: 1 when a seed violates a rule.
 */
import { join } from 'node:path';
import { runMain } from './errors.mjs';
import { runForwarding } from './forward.mjs';
import { PATHS } from './paths.mjs';
import { prepare } from './prepare.mjs';

runMain(async () => {
  await prepare({ addon: true, typescript: true });
  const simulator = join(PATHS.dist, 'test', 'sim', 'main.js');
  return runForwarding(process.execPath, [simulator, ...process.argv.slice(2)]);
});
