/**
 * Mocha's spec reporter, and at its end one line with the counts, alone on its line, for people and programs:
 * `N passed, N failed, N skipped`. With the option `counts=off` only whoever started the run is told: it counts for several.
 */
const { reporters } = require('mocha');

class CountingReporter extends reporters.Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures, pending } = this.stats;
    if (this.options.reporterOption?.counts !== 'off') {
      process.stdout.write(`\n${passes} passed, ${failures} failed, ${pending} skipped\n`);
    }
    // Lets scripts/setup/mocha.mjs notice a run that does not end.
    process.send?.({ kind: 'run-end', counts: { passes, failures, pending } });
  }
}

module.exports = CountingReporter;
