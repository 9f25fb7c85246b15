/**
 * Duplicates without a table of all ids. A source's own index names one place for an id; so of all places where the id stands at
 * most one is the one that is named, and every further one is not. What stands where the index says is noted there, in memory that
 * is looked at in any case; only the rest goes to a table. Whether the index is right does not matter: whatever it names, it names
 * one place.
 */
import { createTxIdTable, type TxIdMemory, type TxIdTable } from './tx-ids.ts';

/** One place for each id, at most, and which of them have been met. Ids are words, from `at` on. */
export interface NamedPlaces {
  /** Transactions that it may name. */
  readonly count: number;
  /** All `ids`, `ID_WORDS` words each, are about to be met. */
  approach(ids: Uint32Array): void;
  /** Whether this is the place of the id and has not been met before; it has been from then on. */
  meet(ids: Uint32Array, at: number, block: number, index: number): boolean;
  /** The block in which the id has been met. */
  metIn(ids: Uint32Array, at: number): number | undefined;
  /** All that has been met: at least the first four words of each id, in memory that is used again, and the block. */
  forEachMet(use: (words: Uint32Array, block: number) => void): void;
}

/** The places are this memory's alone from now on. */
export function createNamedTxIds(places: NamedPlaces): TxIdMemory {
  const others: TxIdTable = createTxIdTable();
  return {
    approach: (words) => places.approach(words),
    add(words, at, blockNumber, position) {
      // Of an id that is in the table no other place is noted, but perhaps this one, which is named and is not the first.
      const first = others.size === 0 ? undefined : others.blockOf(words, at);
      if (first !== undefined) return first;
      if (places.meet(words, at, blockNumber, position)) return undefined;
      const met = places.metIn(words, at);
      return met === undefined ? others.add(words, at, blockNumber) : met;
    },
    clone() {
      const all = others.clone();
      places.forEachMet((words, block) => all.add(words, 0, block));
      return all;
    },
  };
}
