/**
 * A process of its own for store tests: opens the ledger in argv[2], then appends and certifies
 * blocks until it is killed or a write fails. Prints a line for each height that is safe, and
 * the code of the error at the end.
 */
import { LedgerError } from '../../ledger/errors.ts';
import { makeBlock, makeCertificate, makeGenesis, openLedger } from './helpers.ts';

const [, , directory = '', mode = 'append'] = process.argv;
const genesis = makeGenesis();

function describeError(error: unknown): string {
  return error instanceof LedgerError ? error.code : String(error);
}

try {
  const ledger = await openLedger(directory, genesis);
  process.stdout.write(`opened ${ledger.storedHeight()}\n`);
  if (mode === 'hold') process.stdin.resume();
  else {
    // A certificate that was not written before the last kill: the replicas
    // would exchange signatures again.
    for (let number = ledger.certifiedHeight(); number < ledger.storedHeight(); number += 1) {
      await ledger.attachCertificate(number, makeCertificate(number));
    }
    let previous = (await ledger.storedBlock(ledger.storedHeight() - 1))?.header ?? genesis.header;
    for (;;) {
      const built = makeBlock(previous, 20, 'child', 1000);
      previous = built.block.header;
      await ledger.appendBlocks([built]);
      process.stdout.write(`stored ${ledger.storedHeight()}\n`);
      await ledger.attachCertificate(previous.number, makeCertificate(previous.number));
    }
  }
} catch (error) {
  process.stdout.write(`failed ${describeError(error)}\n`);
}
