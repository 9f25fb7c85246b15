/** A thread of the bare pattern (hops.ts): waits for its box, does what its bits say, and nothing else. */
import { parentPort, workerData } from 'node:worker_threads';
import { BIT, BOX_WORDS, boxOf, CLIENT, type HopsThread, QUORUM, REPLICAS } from './hops-layout.ts';

if (parentPort === null) throw new Error('this file runs as a worker thread only');
const { shared, id, rate, count } = workerData as HopsThread;
const boxes = new Int32Array(shared);
const others = Array.from({ length: REPLICAS }, (_, replica) => replica).filter(
  (replica) => replica !== id % REPLICAS,
);
const self = id % REPLICAS;
const [main, consensus] = [boxOf('main', self), boxOf('consensus', self)];

function tell(to: number, bits: number): void {
  Atomics.or(boxes, to * BOX_WORDS, bits);
  Atomics.notify(boxes, to * BOX_WORDS);
}

function tellOthers(bits: number): void {
  for (const replica of others) tell(boxOf('consensus', replica), bits);
}

/** What has come since the last time; blocks until there is something. */
function take(): number {
  Atomics.wait(boxes, id * BOX_WORDS, 0);
  return Atomics.exchange(boxes, id * BOX_WORDS, 0);
}

/** How many of four bits from `first` on. */
function countOf(bits: number, first: number): number {
  let found = 0;
  for (let replica = 0; replica < REPLICAS; replica++) found += (bits >>> (first + replica)) & 1;
  return found;
}

/** Judges a submission and passes it on, checks for another, stores and signs a block, gathers signatures, answers. */
function runMain(): never {
  let signatures = 0;
  for (;;) {
    const bits = take();
    if (bits & BIT.request) tell(consensus, BIT.submit);
    if (bits & BIT.check) tell(consensus, BIT.checked);
    if (bits & BIT.ordered) tell(consensus, BIT.signature);
    const before = signatures;
    signatures += countOf(bits, BIT.signatureFirst) + ((bits & BIT.ordered) === 0 ? 0 : 1);
    if (self === 0 && signatures >= QUORUM && before < QUORUM) tell(CLIENT, BIT.answer);
    if (signatures < REPLICAS) continue;
    signatures = 0;
    if (self === 0) tell(CLIENT, BIT.quiet);
  }
}

/** Replica 0 owns the batch and leads, replica 1 checks it, too. */
function runConsensus(): never {
  let votes = 0;
  for (;;) {
    const bits = take();
    if (bits & BIT.submit) tellOthers(BIT.batch);
    if (bits & BIT.batch && self === 1) tell(main, BIT.check);
    if (bits & BIT.checked) tellOthers(BIT.attested);
    const proposes = (bits & BIT.attested) !== 0 && self === 0;
    if (proposes) tellOthers(BIT.proposal);
    if (proposes || bits & BIT.proposal) {
      tellOthers(1 << (BIT.voteFirst + self));
      votes++;
    }
    votes += countOf(bits, BIT.voteFirst);
    if (votes >= REPLICAS) {
      votes = 0;
      tell(main, BIT.ordered);
    }
    if (bits & BIT.signature) tellOthers(1 << (BIT.relayFirst + self));
    for (let replica = 0; replica < REPLICAS; replica++) {
      if ((bits >>> (BIT.relayFirst + replica)) & 1)
        tell(main, 1 << (BIT.signatureFirst + replica));
    }
  }
}

/** One transaction after the other: when each is due or, without a rate, when nothing of the one before is under way. */
function runClient(): void {
  const tookMs = new Float64Array(count);
  const startMs = performance.now();
  for (let i = 0; i < count; i++) {
    const dueMs = rate === undefined ? 0 : startMs + (1_000 * i) / rate;
    const waitMs = dueMs - performance.now();
    // Nobody writes there: only time passes.
    if (waitMs > 0) Atomics.wait(boxes, CLIENT * BOX_WORDS + 1, 0, waitMs);
    const sinceMs = Math.max(dueMs, rate === undefined ? performance.now() : 0);
    tell(boxOf('main', 0), BIT.request);
    let bits = 0;
    while ((bits & BIT.answer) === 0) bits |= take();
    tookMs[i] = performance.now() - sinceMs;
    while ((bits & BIT.quiet) === 0) bits |= take();
  }
  parentPort?.postMessage(tookMs);
}

if (id === CLIENT) runClient();
else if (id < REPLICAS) runMain();
else runConsensus();
