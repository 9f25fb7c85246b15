import { spawn } from 'node:child_process';
import { SetupError } from './errors.mjs';

/** How much of a failing command's output is kept: its end says why it failed. */
const OUTPUT_BYTES_MAX = 1 << 20;
const TERMINAL_EVERY_MS = 1_000;
const PLAIN_EVERY_MS = 15_000;

/**
 * Runs a command with its output held back; shows `label` and the elapsed seconds meanwhile, on one line of a terminal
 * or a line now and then elsewhere. When the command fails its output is printed and a SetupError thrown.
 */
export async function runQuietly(label, command, args, { cwd, env, out = process.stderr }) {
  const startMs = Date.now();
  const seconds = () => Math.round((Date.now() - startMs) / 1000);
  const terminal = out.isTTY === true;
  const show = () =>
    out.write(terminal ? `\r${label} ... ${seconds()} s ` : `${label} ... ${seconds()} s\n`);
  out.write(terminal ? `${label} ...` : `${label} ...\n`);
  const timer = setInterval(show, terminal ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS);
  const { code, signal, output, error } = await collect(command, args, { cwd, env });
  clearInterval(timer);
  if (code === 0) {
    out.write(`${terminal ? '\r' : ''}${label} ... done in ${seconds()} s\n`);
    return;
  }
  const how = error?.message ?? (signal === null ? `exit code ${code}` : `signal ${signal}`);
  out.write(`${terminal ? '\r' : ''}${label} ... failed (${how})\n`);
  if (output.length > 0) out.write(`${output.trimEnd()}\n`);
  throw new SetupError(
    `${label}: failed (${how}); the command was: ${[command, ...args].join(' ')}`,
  );
}

function collect(command, args, options) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        output = (output + text).slice(-OUTPUT_BYTES_MAX);
      });
    }
    child.once('error', (error) => resolve({ code: null, signal: null, output, error }));
    child.once('close', (code, signal) => resolve({ code, signal, output }));
  });
}
