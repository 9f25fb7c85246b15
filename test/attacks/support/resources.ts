/** What the kernel says is in use on the devices of this machine. */
import { execFileSync } from 'node:child_process';

/** Queue pairs of user processes, all devices together. */
export function queuePairs(): number {
  const text = execFileSync('rdma', ['resource', 'show', 'qp'], { encoding: 'utf8' });
  return text.split('\n').filter((line) => line.includes('type RC')).length;
}
