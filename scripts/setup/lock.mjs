/**
 * One set-up at a time. The lock is a file that names its holder; it is stale when the holder's process is gone
 * (same machine) or has not touched it for a minute (a shared folder and another machine).
 *
 * A file lock without help of the kernel has one hard spot, removing a stale lock: between reading it and unlinking
 * it somebody else may have done so and taken it. So whoever removes one holds a second lock while it looks again;
 * a lock whose holder is dead can change only through that.
 */
import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';

const POLL_MS = 100;
const HEARTBEAT_MS = 5_000;
const SILENT_MAX_MS = 60_000;

/**
 * Runs `work` while holding the lock; waits for it as long as its holder lives.
 *
 * @param onWait called once, with the holder, when there is somebody to wait for
 */
export async function withLock(path, work, onWait = () => {}) {
  const own = JSON.stringify({
    pid: process.pid,
    started: processStart(process.pid),
    host: hostname(),
    id: randomUUID(),
  });
  let waited = false;
  while (!create(path, own)) {
    const holder = read(path);
    if (holder !== undefined && isStale(path, holder)) {
      removeStale(path, holder);
      continue;
    }
    if (!waited && holder !== undefined) onWait(parse(holder));
    waited = true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const heartbeat = setInterval(() => touch(path), HEARTBEAT_MS);
  heartbeat.unref();
  const release = () => {
    if (read(path) === own) rmSync(path, { force: true });
  };
  process.once('exit', release);
  // Node's default on these is to end without an exit event.
  const onSignal = (signal) => {
    release();
    process.kill(process.pid, signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, onSignal);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    process.removeListener('exit', release);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeListener(signal, onSignal);
    release();
  }
}

/** The file appears with its content or not at all. False: there is one already. */
function create(path, content) {
  const temporary = `${path}.${process.pid}.${randomUUID()}`;
  writeFileSync(temporary, content);
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function removeStale(path, holder) {
  const breaker = `${path}.breaker`;
  if (!create(breaker, String(process.pid))) {
    // Its holder is between two system calls, or died there.
    if (ageMs(breaker) > SILENT_MAX_MS) rmSync(breaker, { force: true });
    return;
  }
  try {
    if (read(path) === holder) rmSync(path, { force: true });
  } finally {
    rmSync(breaker, { force: true });
  }
}

function isStale(path, content) {
  const holder = parse(content);
  if (holder.host !== hostname()) return ageMs(path) > SILENT_MAX_MS;
  if (!isAlive(holder.pid)) return true;
  // The number may have been given to another process since.
  return processStart(holder.pid) !== holder.started;
}

function isAlive(pid) {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Start time of a process in clock ticks since boot (proc(5), field 22); null where there is no /proc. */
function processStart(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command name, in parentheses, may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

/** What cannot be read names nobody: a lock like that is stale. */
function parse(content) {
  try {
    const holder = JSON.parse(content);
    if (typeof holder === 'object' && holder !== null) return { host: hostname(), ...holder };
  } catch {
    // Falls through to the holder that nobody is.
  }
  return { host: hostname(), pid: 0 };
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function ageMs(path) {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

function touch(path) {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // Somebody removed it by hand; the work goes on.
  }
}
