/** Checks and stores the blocks of other replicas (docs/protocol.md, B2 and B3). */
import {
  type Block,
  type ConsenterKey,
  checkBlockLinks,
  checkCertificate,
  decodeBlock,
  decodeCertificate,
  encodeCertificate,
  headerHash,
  type Sha256,
  toHex,
  txIdOf,
} from '../../ledger/format/index.ts';
import type { HashedHeader, Ledger } from '../../ledger/store/index.ts';
import type { Log } from '../log.ts';
import { verifySignature } from '../signature/index.ts';

export interface IntakeDependencies {
  readonly ledger: Ledger;
  readonly consenters: readonly ConsenterKey[];
  readonly sha256: Sha256;
  /** Do f + 1 replicas report this uncertified block? `hash` as in `TailBlock`. */
  readonly isVouched: (number: number, hash: string) => boolean;
  readonly log: Log;
}

/**
 * What a report says of an uncertified block: SHA-256 over header hash and certificate value, hex. The header
 * alone does not cover the value, and replicas that sign different values never have a certificate.
 */
export function tailHash(block: Block, sha256: Sha256): string | undefined {
  const certificate = decodeCertificate(block.metadata[0] ?? new Uint8Array());
  if (certificate.kind === 'malformed') return undefined;
  const { value } = certificate.value;
  return toHex(sha256(Buffer.concat([headerHash(block.header, sha256), value])));
}

/** Takes block `number` as a peer sent it; returns why it was refused. */
export async function takeBlock(
  number: number,
  bytes: Uint8Array,
  dependencies: IntakeDependencies,
): Promise<string | undefined> {
  const { ledger, sha256 } = dependencies;
  const decoded = decodeBlock(bytes);
  if (decoded.kind === 'malformed') return decoded.reason;
  const block = decoded.value;
  if (block.header.number !== number) return `it is block ${block.header.number}`;
  const stored = ledger.storedHeight();
  if (number < 1 || number > stored) return `this replica has ${stored} blocks only`;
  const links = checkBlockLinks(block, await headerOf(ledger, number - 1), sha256);
  if (links.kind === 'invalid') return links.reason;
  if (await isCertified(block, dependencies.consenters)) {
    await storeCertified(block, dependencies);
    return undefined;
  }
  if (number < stored) return 'it has no certificate';
  const hash = tailHash(block, sha256);
  if (hash === undefined || !dependencies.isVouched(number, hash)) return 'it has no certificate';
  await ledger.appendBlocks([entryOf(withoutSignatures(block))]);
  return undefined;
}

async function storeCertified(block: Block, dependencies: IntakeDependencies): Promise<void> {
  const { ledger, sha256, log } = dependencies;
  const { number } = block.header;
  if (number < ledger.certifiedHeight()) return;
  if (number < ledger.storedHeight()) {
    const own = toHex((await headerOf(ledger, number)).hash);
    const theirs = toHex(headerHash(block.header, sha256));
    if (own === theirs) {
      await ledger.attachCertificate(number, block.metadata[0] ?? new Uint8Array());
      return;
    }
    // A quorum has signed the other block, so this one can never have a certificate (B4). Refused by
    // the ledger, and fatal, if it has one: then more than f replicas have lied.
    log.warn({ block: number, own, theirs }, 'dropping blocks that the others never certified');
    await ledger.truncateUncertified(number);
  }
  await ledger.appendCertified([entryOf(block)]);
}

/** Only what was vouched for: no signatures, and nothing in the other metadata. */
export function withoutSignatures(block: Block): Block {
  const certificate = decodeCertificate(block.metadata[0] ?? new Uint8Array());
  if (certificate.kind === 'malformed') throw new Error(certificate.reason);
  const { value } = certificate.value;
  const empty = new Uint8Array();
  const metadata = [encodeCertificate({ value, signatures: [] }), empty, empty, empty, empty];
  return { ...block, metadata };
}

export function entryOf(block: Block): { block: Block; txIds: (string | undefined)[] } {
  return { block, txIds: block.data.map(txIdOf) };
}

export async function headerOf(ledger: Ledger, number: number): Promise<HashedHeader> {
  const header = await ledger.header(number);
  if (header === undefined) throw new Error(`block ${number} is not in the ledger`);
  return header;
}

export async function isCertified(
  block: Block,
  consenters: readonly ConsenterKey[],
): Promise<boolean> {
  const body = decodeCertificate(block.metadata[0] ?? new Uint8Array());
  if (body.kind === 'malformed' || body.value.signatures.length === 0) return false;
  const check = await checkCertificate(block, consenters, (key, message, signature) =>
    verifySignature({ algorithm: key.algorithm, bytes: key.publicKey }, message, signature),
  );
  return check.kind === 'ok';
}
