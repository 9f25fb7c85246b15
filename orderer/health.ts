/** Can a replica that takes part in a run order at this moment? */
import type { CoreStatus } from '../consensus/core/index.ts';
import { type ConsenterKey, quorumOf } from '../ledger/format/index.ts';

/** The sentence that says why not; undefined when it can. `status`: the newest, undefined before the first. */
export function orderingObstacle(
  status: CoreStatus | undefined,
  self: number,
  consenters: readonly ConsenterKey[],
): string | undefined {
  const open = new Set([self]);
  for (const peer of status?.peers ?? []) if (peer.open) open.add(peer.peer);
  const quorum = quorumOf(consenters.length);
  if (open.size < quorum) {
    return `${open.size} of ${consenters.length} replicas are connected, ${quorum} are needed to order`;
  }
  if (status === undefined) return undefined;
  if (!open.has(status.leader)) {
    const leader = consenters[status.leader]?.number;
    return `replica ${leader}, the leader, is not connected; a change of leader is not there yet`;
  }
  if (status.behind) {
    return 'this replica fell behind what the others still hold: restart all replicas to bring it back';
  }
  return undefined;
}
