/** What sessions hold: of this process, and of the devices of this machine. */
import { execFileSync } from 'node:child_process';
import type { ProviderName } from '../../../rdma/index.ts';
import { mappings } from '../../rdma/support/leaks.ts';

/** Connections of user processes, all devices together. */
export function queuePairs(): number {
  const text = execFileSync('rdma', ['resource', 'show', 'qp'], { encoding: 'utf8' });
  return text.split('\n').filter((line) => line.includes('type RC')).length;
}

export function resourcesInUse(provider: ProviderName): Record<string, number> {
  const regions = mappings().length;
  return provider === 'verbs' ? { queuePairs: queuePairs() } : { regions };
}
