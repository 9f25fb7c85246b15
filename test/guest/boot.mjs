/** A virtual machine that runs one script and says how it ended. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../scripts/setup/paths.mjs';

const PROCESSORS = 2;
/** Until the guest has set its clock to what it is told here. */
const BOOT_S = 5;

/** Files of the job, as the guest finds them under /run/job; `command` runs in the repository's root. */
export function writeJob(folder, command) {
  mkdirSync(folder, { recursive: true });
  const node = process.execPath.replace(/\/[^/]*$/, '');
  const environment = `export PATH="${node}:$PATH" SLUICE_GUEST=1`;
  writeFileSync(join(folder, 'job.sh'), `cd '${ROOT}'\n${environment}\n${command}\n`);
}

/**
 * `machine`: kernel, image, job (a folder), memoryMib, timeoutS, verbose, `args` (more arguments of QEMU), `parameters` (more of
 * the kernel), onLine. Returns `{ exited, kill }`; `exited` resolves with the script's exit code, 1 when it never came to that.
 */
export function bootGuest(machine) {
  const child = spawn('qemu-system-x86_64', argumentsOf(machine), {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  // Whoever stops this command does not want to leave a machine running.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, kill);
  const timer = setTimeout(() => {
    process.stderr.write(`the guest was not done within ${machine.timeoutS} s\n`);
    kill();
  }, machine.timeoutS * 1000);
  let code = 1;
  byLine(child.stdout, (line) => {
    const exit = /SLUICE-GUEST-EXIT (\d+)/.exec(line);
    if (exit !== null) code = Number(exit[1]);
    else machine.onLine(line);
  });
  byLine(child.stderr, (line) => process.stderr.write(`${line}\n`));
  const exited = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      resolve(code);
    });
  });
  return { exited, kill };
}

/** What of a guest's console is worth showing: from its script's beginning on, and why there was none. */
export function sayings(verbose, onLine) {
  const started = Date.now();
  let begun = verbose;
  return (line) => {
    if (line.includes('SLUICE-GUEST-BEGIN')) {
      begun = true;
      process.stderr.write(`guest: up after ${Math.round((Date.now() - started) / 1000)} s\n`);
    } else if (begun || line.startsWith('guest:')) onLine(line);
  };
}

function argumentsOf({ kernel, image, job, memoryMib, verbose, args = [], parameters = '' }) {
  const share = (path, tag) =>
    `local,path=${path},mount_tag=${tag},security_model=none,readonly=on,multidevs=remap`;
  const now = Math.ceil(Date.now() / 1000) + BOOT_S;
  const level = verbose ? 6 : 3;
  return [
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max'],
    ...['-smp', String(PROCESSORS), '-m', String(memoryMib), '-nographic', '-no-reboot'],
    ...['-nic', 'none', '-kernel', kernel.image, '-initrd', image],
    ...['-append', `console=ttyS0 panic=-1 loglevel=${level} sluice_now=${now} ${parameters}`],
    ...['-virtfs', share('/', 'host'), '-virtfs', share(job, 'job')],
    ...args,
  ];
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
