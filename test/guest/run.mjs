/**
 * `npm run test:rdma`: boots guests with Soft-RoCE devices and runs tests in them: the transport contract and the attacks in
 * one, then four replicas in two. See README.md.
 *
 *   node test/guest/run.mjs [options]
 *     --two-guests    only four replicas on two machines, which a network of QEMU's joins
 *     --network       only four replicas on one, with a killed leader and with one that lies
 *     --bench DIR     only commit latency over tcp and verbs; bench.json and report.html go into the folder
 *     --memory-cost   only what registering, copying and windows cost: writes the figures of docs/rdma.md
 *     --run COMMAND   only this command in the repository
 *     --timeout S     seconds until it is given up (1200)
 *     --memory MIB    of the guest (4096)
 *     --console       what the kernel says as well
 *
 * Exit code: the command's; 1 when the guest did not get that far.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve as resolvePath } from 'node:path';
import { runMain, SetupError } from '../../scripts/setup/errors.mjs';
import { ROOT } from '../../scripts/setup/paths.mjs';
import { prepare } from '../../scripts/setup/prepare.mjs';
import { buildAttacker } from '../attacks/native/build.mjs';
import { bootGuest, sayings, writeJob } from './boot.mjs';
import { buildImage } from './image.mjs';
import { fetchKernel } from './kernel.mjs';
import { buildProgram, COMMAND as MEMORY_COST } from './memory-cost/program.mjs';
import { writeReport } from './memory-cost/report.mjs';
import { BENCH, CONTRACT, NETWORK } from './suites.mjs';
import { requireTools } from './tools.mjs';
import { runTwoGuests } from './two-guests.mjs';

/** The guest has file systems of its own there (init.sh). */
const HIDDEN = ['/tmp', '/run', '/var/tmp', '/dev'];

runMain(async () => {
  const options = parseArguments(process.argv.slice(2));
  const hidden = HIDDEN.find((folder) => ROOT.startsWith(`${folder}/`));
  if (hidden !== undefined) {
    throw new SetupError(
      `the guest does not see this checkout, which is under ${hidden}: clone it to another place`,
    );
  }
  await requireTools();
  await prepare();
  await buildAttacker();
  const isCost = options.run === MEMORY_COST;
  if (isCost) await buildProgram();
  const kernel = await fetchKernel();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-guest-'));
  try {
    const machine = { ...options, kernel, image: buildImage(kernel, folder) };
    if (options.run !== undefined) {
      const { code, lines } = await runOne({ ...machine, job: join(folder, 'job') });
      if (isCost && code === 0) writeReport(lines);
      if (code !== 0) return code;
    }
    return options.twoGuests ? await runTwoGuests({ ...machine, folder }) : 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function parseArguments(args) {
  const options = {
    run: CONTRACT,
    twoGuests: true,
    timeoutS: 1200,
    memoryMib: 4096,
    console: false,
  };
  const only = (command) => {
    options.run = command;
    options.twoGuests = false;
  };
  const rest = [...args];
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '--console') options.console = true;
    else if (name === '--network') only(NETWORK);
    else if (name === '--two-guests') options.run = undefined;
    else if (name === '--memory-cost') only(MEMORY_COST);
    else if (name === '--bench') {
      only(BENCH);
      options.out = resolvePath(rest.shift() ?? 'bench-out');
    } else if (name === '--run') only(rest.shift() ?? '');
    else if (name === '--timeout') options.timeoutS = positive(name, rest.shift());
    else if (name === '--memory') options.memoryMib = positive(name, rest.shift());
    else throw new SetupError(`unknown option ${name}; see the top of test/guest/run.mjs`);
  }
  return options;
}

function positive(name, text) {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new SetupError(`${name} takes a positive integer`);
}

async function runOne({ run, out, console: verbose, ...machine }) {
  writeJob(machine.job, run);
  const lines = [];
  const onLine = sayings(verbose, (line) => {
    const file = /SLUICE-GUEST-FILE ([\w.-]+) (\S+)/.exec(line);
    if (file !== null && out !== undefined) return keepFile(out, file[1], file[2]);
    lines.push(line);
    process.stdout.write(`${line}\n`);
  });
  const code = await bootGuest({ ...machine, verbose, onLine }).exited;
  return { code, lines };
}

/** The guest writes nothing to the host's file system: files come through its console. */
function keepFile(folder, name, base64) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), Buffer.from(base64, 'base64'));
  process.stdout.write(`wrote ${join(folder, name)}\n`);
}
