/**
 * `npm run test:rdma`: boots a guest with a Soft-RoCE device and runs tests in it. See README.md.
 *
 *   node test/guest/run.mjs [options]
 *     --network       four replicas with a killed leader, instead of the transport contract and the attacks
 *     --bench DIR     commit latency over tcp and verbs; bench.json and report.html go into the folder
 *     --memory-cost   what registering, copying and windows cost: writes the figures of docs/rdma.md
 *     --run COMMAND   this command in the repository instead
 *     --timeout S     seconds until it is given up (1200)
 *     --memory MIB    of the guest (4096)
 *     --console       what the kernel says as well
 *
 * Exit code: the command's; 1 when the guest did not get that far.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve as resolvePath } from 'node:path';
import { runMain, SetupError } from '../../scripts/setup/errors.mjs';
import { ROOT } from '../../scripts/setup/paths.mjs';
import { prepare } from '../../scripts/setup/prepare.mjs';
import { buildAttacker } from '../attacks/native/build.mjs';
import { buildImage } from './image.mjs';
import { fetchKernel } from './kernel.mjs';
import { buildProgram, COMMAND as MEMORY_COST } from './memory-cost/program.mjs';
import { writeReport } from './memory-cost/report.mjs';
import { BENCH, CONTRACT, NETWORK } from './suites.mjs';
import { requireTools } from './tools.mjs';

const PROCESSORS = 2;

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
    const job = join(folder, 'job');
    mkdirSync(job);
    writeFileSync(join(job, 'job.sh'), jobScript(options.run));
    const { code, lines } = await boot({ kernel, image: buildImage(kernel, folder), job }, options);
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

function jobScript(command) {
  const node = process.execPath.replace(/\/[^/]*$/, '');
  return `cd '${ROOT}'\nexport PATH="${node}:$PATH" SLUICE_GUEST=1\n${command}\n`;
}

function boot({ kernel, image, job }, { timeoutS, memoryMib, out, console: verbose }) {
  const share = (path, tag) =>
    `local,path=${path},mount_tag=${tag},security_model=none,readonly=on,multidevs=remap`;
  const now = Math.ceil(Date.now() / 1000) + 5;
  const args = [
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max'],
    ...[
      '-smp',
      String(PROCESSORS),
      '-m',
      String(memoryMib),
      '-nographic',
      '-no-reboot',
      '-nic',
      'none',
    ],
    ...['-kernel', kernel.image, '-initrd', image],
    ...['-append', `console=ttyS0 panic=-1 loglevel=${verbose ? 6 : 3} sluice_now=${now}`],
    ...['-virtfs', share('/', 'host'), '-virtfs', share(job, 'job')],
  ];
  return new Promise((resolve, reject) => {
    const child = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const started = Date.now();
    // Whoever stops this command does not want to leave a machine running.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
      process.once(signal, () => child.kill('SIGKILL'));
    const timer = setTimeout(() => {
      process.stderr.write(`the guest was not done within ${timeoutS} s\n`);
      child.kill('SIGKILL');
    }, timeoutS * 1000);
    let code = 1;
    let begun = verbose;
    const lines = [];
    const onLine = (line) => {
      const exit = /SLUICE-GUEST-EXIT (\d+)/.exec(line);
      const file = /SLUICE-GUEST-FILE ([\w.-]+) (\S+)/.exec(line);
      if (exit !== null) code = Number(exit[1]);
      else if (file !== null && out !== undefined) keepFile(out, file[1], file[2]);
      else if (line.includes('SLUICE-GUEST-BEGIN')) {
        begun = true;
        process.stderr.write(`guest: up after ${Math.round((Date.now() - started) / 1000)} s\n`);
      } else if (begun || line.startsWith('guest:')) {
        lines.push(line);
        process.stdout.write(`${line}\n`);
      }
    };
    byLine(child.stdout, onLine);
    byLine(child.stderr, (line) => process.stderr.write(`${line}\n`));
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      resolve({ code, lines });
    });
  });
}

/** The guest writes nothing to the host's file system: files come through its console. */
function keepFile(folder, name, base64) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), Buffer.from(base64, 'base64'));
  process.stdout.write(`wrote ${join(folder, name)}\n`);
}

function byLine(stream, onLine) {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) onLine(line.replace(/\r/g, ''));
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}
