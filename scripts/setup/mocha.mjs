/**
 * Mocha in processes of its own, several at once if need be: what each says stays in one piece, in the order given, and one
 * closing line counts for all.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { PATHS, ROOT } from './paths.mjs';

/** Between the end of the last test and the end of the process. */
const EXIT_GRACE_MS = 20_000;

const MOCHA = ['--enable-source-maps', join(PATHS.nodeModules, 'mocha', 'bin', 'mocha.js')];
const COVERAGE = [
  join(PATHS.nodeModules, 'c8', 'bin', 'c8.js'),
  ...['--reporter', 'text', '--reporter', 'html', '--exclude-after-remap'],
  ...['--exclude', 'test/**', '--exclude', 'scripts/setup/**'],
  process.execPath,
];

/** Resolves with mocha's exit code. */
export async function runMocha(args, { coverage = false } = {}) {
  const command = coverage ? [...COVERAGE, ...MOCHA, ...args] : [...MOCHA, ...args];
  return (await start(command, 'inherit').ended).code;
}

/** Two runs or more side by side; resolves with 0 when all have passed. */
export async function runMochas(parts) {
  const color = process.stdout.isTTY ? ['--color'] : [];
  const runs = parts.map((args, i) => {
    const options = [...color, '--reporter-option', 'counts=off'];
    return start([...MOCHA, ...options, ...args], i === 0 ? 'inherit' : 'pipe');
  });
  const totals = { passes: 0, failures: 0, pending: 0 };
  let worst = 0;
  for (const run of runs) {
    run.show();
    const { code, counts } = await run.ended;
    worst = Math.max(worst, code);
    if (counts === undefined) {
      process.stderr.write(`a part of the tests ended early, with exit code ${code}\n`);
      worst = Math.max(worst, 1);
      continue;
    }
    for (const name of Object.keys(totals)) totals[name] += counts[name];
  }
  const { passes, failures, pending } = totals;
  process.stdout.write(`\n${passes} passed, ${failures} failed, ${pending} skipped\n`);
  return worst;
}

/** A run whose tests are over but which does not end is ended, and has failed. */
function start(args, output) {
  const stdio = ['inherit', output, output, 'ipc'];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio });
  const forward = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, forward);
  let timer;
  let counts;
  child.on('message', (message) => {
    if (message.kind !== 'run-end') return;
    counts = message.counts;
    timer = setTimeout(() => {
      process.stderr.write('a test left something open (socket, timer, worker): ending the run\n');
      child.kill('SIGKILL');
    }, EXIT_GRACE_MS);
  });
  const show = holdBack(child);
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (child.connected) child.disconnect();
      for (const one of ['SIGINT', 'SIGTERM']) process.off(one, forward);
      resolve({ code: signal === null ? (code ?? 1) : 1, counts });
    });
  });
  // Whoever looks at it last must not be too late.
  ended.catch(() => {});
  return { ended, show };
}

/** What comes through pipes waits until it may be shown; returns what shows it. */
function holdBack({ stdout, stderr }) {
  const waiting = [];
  let isShown = false;
  const write = (to, bytes) => {
    if (isShown) to.write(bytes);
    else waiting.push([to, bytes]);
  };
  stdout?.on('data', (bytes) => write(process.stdout, bytes));
  stderr?.on('data', (bytes) => write(process.stderr, bytes));
  return () => {
    isShown = true;
    for (const [to, bytes] of waiting.splice(0)) to.write(bytes);
  };
}
