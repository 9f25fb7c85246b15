/**
 * Mocha's spec reporter, and at its end one line with the counts, alone on its line, for people and programs:
 * `N passed, N failed, N skipped`.
 */
const { reporters } = require('mocha');

class CountingReporter extends reporters.Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures, pending } = this.stats;
    process.stdout.write(`\n${passes} passed, ${failures} failed, ${pending} skipped\n`);
    // Lets scripts/setup/test.mjs notice a run that does not end.
    process.send?.({ kind: 'run-end' });
  }
}

module.exports = CountingReporter;
