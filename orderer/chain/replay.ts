/**
 * Blocks that the ledger holds already when the stream delivers their slots again: after a restart the core
 * goes on from its stable checkpoint, the ledger from its tip. They are cut once more and compared, not stored.
 */
import { bytesEqual, decodeCertificate, toHex } from '../../ledger/format/index.ts';
import type { Ledger } from '../../ledger/store/index.ts';
import { OrdererError } from '../errors.ts';
import type { ChainTip, CutBlock } from './block-builder.ts';

export type ReplayedLedger = Pick<Ledger, 'storedHeight' | 'header' | 'storedBlock'>;

/** Throws OrdererError: `ledger_behind` when the ledger ends below, `safety_violation` when it has another block. */
export async function requireHolds(ledger: ReplayedLedger, tip: ChainTip): Promise<void> {
  const stored = ledger.storedHeight();
  if (stored < tip.height) {
    throw new OrdererError(
      'ledger_behind',
      `the ledger has ${stored} blocks, and this replica has signed that it has ${tip.height}: it is older than ` +
        'the log beside it, restored from a copy or removed. Move the whole folder of the channel away, log ' +
        'included, and start the replica: it joins the others and fetches the chain from them',
    );
  }
  const header = await ledger.header(tip.height - 1);
  if (header !== undefined && bytesEqual(header.hash, tip.tipHash)) return;
  const own = header === undefined ? 'nothing' : toHex(header.hash);
  throw safetyViolation(
    `block ${tip.height - 1} has hash ${own} in this ledger and ${toHex(tip.tipHash)} in the run's checkpoint`,
  );
}

/** Throws OrdererError `safety_violation` when the stored block is another one. */
export async function requireSame(ledger: ReplayedLedger, cut: CutBlock): Promise<void> {
  const { number } = cut.block.header;
  const header = await ledger.header(number);
  if (header === undefined) throw new Error(`block ${number} is gone from the ledger`);
  if (!bytesEqual(header.hash, cut.headerHash)) {
    throw safetyViolation(
      `block ${number} has hash ${toHex(header.hash)} in this ledger, and is ${toHex(cut.headerHash)} when it is ` +
        'cut again from the ordered stream',
    );
  }
  const stored = await ledger.storedBlock(number);
  const own = certificateValue(stored?.metadata[0]);
  const again = certificateValue(cut.block.metadata[0]);
  if (own === undefined || again === undefined || !bytesEqual(own, again)) {
    throw safetyViolation(
      `block ${number} names another slot or time in this ledger than when it is cut again from the ordered stream`,
    );
  }
}

export function safetyViolation(what: string): OrdererError {
  return new OrdererError(
    'safety_violation',
    `SAFETY VIOLATION: ${what}. More than f replicas are faulty, or a folder was changed by hand. This replica ` +
      'stops: compare the ledgers of all replicas with sluice verify before anything is started again',
  );
}

function certificateValue(metadata: Uint8Array | undefined): Uint8Array | undefined {
  const certificate = decodeCertificate(metadata ?? new Uint8Array());
  return certificate.kind === 'ok' ? certificate.value.value : undefined;
}
