/**
 * Ports for processes that must know each other's before any of them listens. Picked below the
 * kernel's ephemeral range, so that no outgoing connection takes one in between, and reserved with
 * a file, so that two test runs at once never pick the same.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PORT_MIN = 20_000;
const PORT_MAX = 32_000;
const ATTEMPTS_MAX = 500;

const folder = join(tmpdir(), 'sluice-test-ports');

export interface ReservedPorts {
  /** First of the ports, which follow one another. */
  readonly first: number;
  release(): void;
}

export async function reservePorts(count: number): Promise<ReservedPorts> {
  mkdirSync(folder, { recursive: true });
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const first = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN - count));
    const ports = Array.from({ length: count }, (_, i) => first + i);
    const claimed = ports.filter(claim);
    const release = (): void => claimed.forEach(unclaim);
    if (claimed.length === count && (await areFree(ports))) return { first, release };
    release();
  }
  throw new Error('no free ports');
}

async function areFree(ports: readonly number[]): Promise<boolean> {
  for (const port of ports) if (!(await isFree(port))) return false;
  return true;
}

function pathOf(port: number): string {
  return join(folder, String(port));
}

function claim(port: number): boolean {
  try {
    writeFileSync(pathOf(port), String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    if (isOwnerAlive(port)) return false;
    unclaim(port);
    return false;
  }
}

function isOwnerAlive(port: number): boolean {
  try {
    process.kill(Number(readFileSync(pathOf(port), 'utf8')), 0);
    return true;
  } catch {
    return false;
  }
}

function unclaim(port: number): void {
  rmSync(pathOf(port), { force: true });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
