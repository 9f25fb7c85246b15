/**
 * `npm run test:rdma`: boots a guest with a Soft-RoCE device and runs tests in it. See README.md.
 *
 *   node test/guest/run.mjs [options]
 *     --network       four replicas with a killed leader, instead of the transport contract and the attacks
 *     --two-guests    four replicas on two such machines, which a network of QEMU's joins
 *     --bench DIR     commit latency over tcp and verbs; bench.json and report.html go into the folder
 *     --memory-cost   what registering, copying and windows cost: writes the figures of docs/rdma.md
 *     --run COMMAND   this command in the repository instead
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

runMain(async () => {
  const options = parseArguments(process.argv.slice(2));
  await requireTools();
  await prepare();
  await buildAttacker();
  const isCost = options.run === MEMORY_COST;
  if (isCost) await buildProgram();
  const kernel = await fetchKernel();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-guest-'));
  try {
    const image = buildImage(kernel, folder);
    if (options.twoGuests) return await runTwoGuests({ ...options, kernel, image, folder });
    const { code, lines } = await runOne({ ...options, kernel, image, job: join(folder, 'job') });
    if (isCost && code === 0) writeReport(lines);
    return code;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function parseArguments(args) {
  const options = { run: CONTRACT, timeoutS: 1200, memoryMib: 4096, console: false };
  const rest = [...args];
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '--console') options.console = true;
    else if (name === '--network') options.run = NETWORK;
    else if (name === '--two-guests') options.twoGuests = true;
    else if (name === '--memory-cost') options.run = MEMORY_COST;
    else if (name === '--bench') {
      options.run = BENCH;
      options.out = resolvePath(rest.shift() ?? 'bench-out');
    } else if (name === '--run') options.run = rest.shift() ?? '';
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
