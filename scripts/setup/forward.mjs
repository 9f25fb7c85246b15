import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** The same signal again within this time is the same wish: a terminal and npm each deliver Ctrl-C. */
const REPEAT_MS = 1_000;

/**
 * Runs a command in a process group of its own, so that it gets each signal from here, once, and not from the
 * terminal as well. Resolves with its exit code, 128 + n for signal n.
 */
export function runForwarding(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
    const lastMs = new Map();
    const forward = (signal) => {
      const nowMs = Date.now();
      if (nowMs - (lastMs.get(signal) ?? 0) < REPEAT_MS) return;
      lastMs.set(signal, nowMs);
      // The terminal is gone with SIGHUP, the network should still stop cleanly.
      child.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal);
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward);
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      resolve(signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0));
    });
  });
}
