/**
 * Which transactions are certainly not in the ledger: a blocked Bloom filter (Putze, Sanders, Singler, "Cache-, Hash- and
 * Space-Efficient Bloom Filters", 2007) of all ids that are, in memory. Nearly every transaction that is asked for is new, and to
 * find nothing in LevelDB takes ten times as long.
 *
 * An id is a SHA-256, so its own bits say where it goes. Who chooses nonces until many ids share a place makes others be looked up in
 * LevelDB, as all were without this.
 */
import { wordAt } from '../format/id-words.ts';

/** Ids of the first layer; each further one holds twice as many. */
const FIRST_LAYER_IDS = 2 ** 18;
/** 8 million ids in 12 MiB. Beyond that LevelDB is asked for all. */
const LAYERS_MAX = 5;
/** One cache line. */
const BLOCK_WORDS = 16;
/** 12 bits for each id. */
const IDS_PER_BLOCK = (BLOCK_WORDS * 32) / 12;

interface Layer {
  readonly words: Uint32Array;
  readonly idsMax: number;
  ids: number;
}

export class IdFilter {
  readonly #layers: Layer[] = [];
  #isFull = false;

  /** `txId`: 64 lower-case hex digits. */
  add(txId: string): void {
    this.#add(wordOfHex(txId, 0), wordOfHex(txId, 8), wordOfHex(txId, 16));
  }

  /** The same for an id of 32 bytes that begin at `offset`. */
  addBytes(bytes: Uint8Array, offset: number): void {
    this.#add(wordAt(bytes, offset), wordAt(bytes, offset + 4), wordAt(bytes, offset + 8));
  }

  /** False when it was never added. */
  mayHold(txId: string): boolean {
    if (this.#isFull) return true;
    const place = wordOfHex(txId, 0);
    const first = wordOfHex(txId, 8);
    const second = wordOfHex(txId, 16);
    for (const { words } of this.#layers) {
      const block = blockOf(words, place);
      if (hasBits(words, block, first) && hasBits(words, block, second)) return true;
    }
    return false;
  }

  #add(place: number, first: number, second: number): void {
    const layer = this.#layerWithRoom();
    if (layer === undefined) return;
    const { words } = layer;
    const block = blockOf(words, place);
    setBits(words, block, first);
    setBits(words, block, second);
    layer.ids += 1;
  }

  #layerWithRoom(): Layer | undefined {
    const newest = this.#layers.at(-1);
    if (newest !== undefined && newest.ids < newest.idsMax) return newest;
    if (this.#layers.length === LAYERS_MAX) {
      this.#isFull = true;
      this.#layers.length = 0;
    }
    if (this.#isFull) return undefined;
    const idsMax = FIRST_LAYER_IDS * 2 ** this.#layers.length;
    const blocks = Math.ceil(idsMax / IDS_PER_BLOCK);
    const layer = { words: new Uint32Array(blocks * BLOCK_WORDS), idsMax, ids: 0 };
    this.#layers.push(layer);
    return layer;
  }
}

/** First word of the block that belongs to an id. */
function blockOf(words: Uint32Array, place: number): number {
  return BLOCK_WORDS * (place % (words.length / BLOCK_WORDS));
}

/** Three bits of the block, by nine bits of `bits` each. */
function setBits(words: Uint32Array, block: number, bits: number): void {
  for (let shift = 0; shift < 27; shift += 9) {
    const at = (bits >>> shift) & 511;
    words[block + (at >>> 5)] = (words[block + (at >>> 5)] as number) | (1 << (at & 31));
  }
}

function hasBits(words: Uint32Array, block: number, bits: number): boolean {
  for (let shift = 0; shift < 27; shift += 9) {
    const at = (bits >>> shift) & 511;
    if (((words[block + (at >>> 5)] as number) & (1 << (at & 31))) === 0) return false;
  }
  return true;
}

function wordOfHex(text: string, offset: number): number {
  let word = 0;
  for (let at = offset; at < offset + 8; at += 1) {
    const code = text.charCodeAt(at);
    // '0' is 48, 'a' is 97.
    word = (word << 4) | (code < 58 ? code - 48 : code - 87);
  }
  return word >>> 0;
}
