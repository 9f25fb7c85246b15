/** Checks and stores the blocks that come while a run goes on (docs/protocol.md, T2). */
import {
  type Block,
  type ConsenterKey,
  checkBlockLinks,
  checkCertificate,
  decodeBlock,
  headerHash,
  type Sha256,
} from '../../ledger/format/index.ts';
import type { HashedHeader, Ledger } from '../../ledger/store/index.ts';
import type { StoredBlock } from '../chain/sequencer.ts';
import type { VerifyPool } from '../signature/index.ts';
import { entryOf, headerOf, isCertified, tailHash, withoutSignatures } from './intake.ts';

export type FetchedBlock =
  /** On disk; `metadata` when it has its certificate. */
  | {
      readonly kind: 'stored';
      readonly stored: StoredBlock;
      readonly metadata: Uint8Array | undefined;
    }
  /** Neither certified nor vouched for yet; `hash` as in `TailBlock`. */
  | { readonly kind: 'unproven'; readonly hash: string }
  | { readonly kind: 'refused'; readonly reason: string };

export interface FetchedDependencies {
  readonly ledger: Ledger;
  readonly consenters: readonly ConsenterKey[];
  readonly sha256: Sha256;
  /** Do f + 1 replicas of the same run give this uncertified block, the sender included? */
  readonly isVouched: (number: number, hash: string) => boolean;
}

export interface CertifiedDependencies extends Omit<FetchedDependencies, 'isVouched'> {
  readonly pool: Pick<VerifyPool, 'verify'>;
}

/**
 * Takes those at the beginning of an answer that are certified, with one synced write for all: a write for each would
 * be hardly faster than the chain grows. What comes after the first that is not is looked at one by one (`takeFetched`).
 */
export async function takeCertifiedRun(
  fromNumber: number,
  answer: readonly Uint8Array[],
  dependencies: CertifiedDependencies,
): Promise<StoredBlock[]> {
  const { ledger, sha256 } = dependencies;
  if (fromNumber !== ledger.storedHeight()) return [];
  const linked = linkedBlocks(answer, await headerOf(ledger, fromNumber - 1), sha256);
  const verdicts = await Promise.all(linked.map(({ block }) => isSigned(block, dependencies)));
  const end = verdicts.indexOf(false);
  const proven = end < 0 ? linked : linked.slice(0, end);
  if (proven.length === 0) return [];
  const stored = proven.map(({ block, hash }) => {
    return { block, headerHash: hash, txIds: entryOf(block).txIds };
  });
  await ledger.appendCertified(stored.map(({ block, txIds }) => ({ block, txIds })));
  return stored;
}

/** The blocks at the beginning that decode and continue `before`, one after the other. */
function linkedBlocks(
  answer: readonly Uint8Array[],
  before: HashedHeader,
  sha256: Sha256,
): { readonly block: Block; readonly hash: Uint8Array }[] {
  const linked: { readonly block: Block; readonly hash: Uint8Array }[] = [];
  let previous = before;
  for (const bytes of answer) {
    const decoded = decodeBlock(bytes);
    if (decoded.kind === 'malformed') break;
    const block = decoded.value;
    if (checkBlockLinks(block, previous, sha256).kind === 'invalid') break;
    const hash = headerHash(block.header, sha256);
    linked.push({ block, hash });
    previous = { ...block.header, hash };
  }
  return linked;
}

async function isSigned(block: Block, dependencies: CertifiedDependencies): Promise<boolean> {
  const { consenters, pool } = dependencies;
  const check = await checkCertificate(block, consenters, async (key, message, signature) => {
    const { algorithm, publicKey: bytes } = key;
    // A pool that is full or closing says nothing: the block is looked at again by itself.
    const item = { key: { algorithm, bytes }, message, signature };
    const [valid] = await pool.verify([item]).catch(() => [false]);
    return valid === true;
  });
  return check.kind === 'ok';
}

/**
 * Takes a block as a peer sent it while a run goes on (T2): certified, or given alike by f + 1 replicas of that run. The
 * latter is needed when too few others have signed it: this replica's own signature may be the one that is missing.
 */
export async function takeFetched(
  number: number,
  bytes: Uint8Array,
  dependencies: FetchedDependencies,
): Promise<FetchedBlock> {
  const { ledger, sha256, consenters, isVouched } = dependencies;
  const refused = (reason: string): FetchedBlock => ({ kind: 'refused', reason });
  const decoded = decodeBlock(bytes);
  if (decoded.kind === 'malformed') return refused(decoded.reason);
  const block = decoded.value;
  if (block.header.number !== number) return refused(`it is block ${block.header.number}`);
  const hash = tailHash(block, sha256);
  if (hash === undefined) return refused('its metadata is unreadable');
  // What it follows is not here yet.
  if (number > ledger.storedHeight()) return { kind: 'unproven', hash };
  if (number < ledger.storedHeight()) return refused('another one is the next');
  const links = checkBlockLinks(block, await headerOf(ledger, number - 1), sha256);
  if (links.kind === 'invalid') return refused(links.reason);
  const isProven = await isCertified(block, consenters);
  if (!isProven && !isVouched(number, hash)) return { kind: 'unproven', hash };
  const kept = isProven ? block : withoutSignatures(block);
  const entry = entryOf(kept);
  if (isProven) await ledger.appendCertified([entry]);
  else await ledger.appendBlocks([entry]);
  const stored = {
    block: kept,
    headerHash: headerHash(block.header, sha256),
    txIds: entry.txIds,
  };
  return { kind: 'stored', stored, metadata: isProven ? kept.metadata[0] : undefined };
}
