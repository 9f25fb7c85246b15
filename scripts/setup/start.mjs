/**
 * `npm start`: prepares, then runs `sluice start` with the remaining arguments. The exit code is that of the command.
 */
import { runMain } from './errors.mjs';
import { runForwarding } from './forward.mjs';
import { PATHS } from './paths.mjs';
import { prepare } from './prepare.mjs';

runMain(async () => {
  await prepare();
  return runForwarding(process.execPath, [PATHS.entry, 'start', ...process.argv.slice(2)]);
});
