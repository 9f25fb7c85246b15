/** What takes an uncertified block away again. */
import { type Block, parseEnvelope } from '../format/index.ts';
import type { Operation } from './database.ts';
import { blockKey, KIND, transactionKey } from './records.ts';
import type { TransactionIndex } from './transaction-index.ts';

/** Operations that remove the block and its index entries. */
export async function removalOf(
  number: number,
  block: Block | undefined,
  index: TransactionIndex,
): Promise<Operation[]> {
  if (block === undefined) return [];
  const operations: Operation[] = [
    { type: 'del', key: blockKey(KIND.HEADER, number) },
    { type: 'del', key: blockKey(KIND.DATA, number) },
    { type: 'del', key: blockKey(KIND.UNSIGNED, number) },
  ];
  for (const entry of block.data) {
    const envelope = parseEnvelope(entry);
    if (envelope.kind === 'malformed') continue;
    const { txId } = envelope.value.channelHeader;
    // An earlier block may hold the transaction already: its entry stays.
    const location = await index.locate(txId);
    if (location?.blockNumber === number) {
      operations.push({ type: 'del', key: transactionKey(txId) });
    }
  }
  return operations;
}
