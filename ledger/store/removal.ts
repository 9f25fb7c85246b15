/** What takes uncertified blocks away again. */
import { headerHash, parseEnvelope, type Sha256 } from '../format/index.ts';
import type { BlockReader } from './block-reader.ts';
import type { Operation } from './database.ts';
import type { ChainState } from './opening.ts';
import { put } from './reading.ts';
import { blockKey, encodeTip, KIND, TIP_KEY, transactionKey } from './records.ts';
import { endOf } from './segments/record.ts';
import type { TransactionIndex } from './transaction-index.ts';

interface Dependencies {
  readonly reader: BlockReader;
  readonly index: TransactionIndex;
  readonly sha256: Sha256;
}

/** Operations by which LevelDB forgets the blocks from `toHeight` on and their transactions, and what is left then. */
export async function removalOf(
  toHeight: number,
  state: ChainState,
  { reader, index, sha256 }: Dependencies,
): Promise<{ operations: Operation[]; next: ChainState }> {
  const operations: Operation[] = [];
  for (let number = toHeight; number < state.storedHeight; number += 1) {
    operations.push({ type: 'del', key: blockKey(KIND.BLOCK, number) });
    for (const entry of (await reader.block(number)).data) {
      const envelope = parseEnvelope(entry);
      if (envelope.kind === 'malformed') continue;
      const { txId } = envelope.value.channelHeader;
      // An earlier block may hold the transaction already: its entry stays.
      const location = await index.locate(txId);
      if (location?.blockNumber === number) {
        operations.push({ type: 'del', key: transactionKey(txId) });
      }
    }
  }
  const { header, place } = await reader.stored(toHeight - 1);
  const tip = { ...header, hash: headerHash(header, sha256) };
  operations.push(put(TIP_KEY, encodeTip({ storedHeight: toHeight, tipHash: tip.hash })));
  return { operations, next: { ...state, storedHeight: toHeight, tip, end: endOf(place) } };
}
