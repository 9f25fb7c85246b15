/** Run with --expose-gc: opens transports, forgets them, collects, and prints what is left. */

import { isLinked, mappings, openFiles } from './leaks.ts';
import { ALL, connect, Inbox, open, sessionKeys } from './pair.ts';

const collect = (globalThis as { gc?: () => void }).gc;
if (collect === undefined) throw new Error('run with --expose-gc');

const names: string[] = [];

function useAndForget(): { payload: Uint8Array; sha256: Uint8Array } {
  const a = open(0, 3);
  const b = open(1, 3);
  connect(a, b);
  names.push(b.offer(2, sessionKeys(1, 2)[0]).name);
  a.writeLane(Buffer.alloc(3000, 7));
  const inbox = new Inbox();
  b.poll(ALL, inbox);
  const lane = inbox.lanes[0];
  if (lane === undefined) throw new Error('the payload did not arrive');
  return lane;
}

const kept: { payload: Uint8Array }[] = [];
for (let i = 0; i < 20; i++) kept.push(useAndForget());
const before = mappings().length;
const deadline = Date.now() + 5000;
while (mappings().length > 0 && Date.now() < deadline) {
  collect();
  await new Promise((resolve) => setImmediate(resolve));
}
const intact = kept.every(
  ({ payload }) => payload.length === 3000 && payload.every((b) => b === 7),
);
console.log(
  JSON.stringify({
    before,
    after: mappings().length,
    intact,
    names: names.filter(isLinked).length,
    files: openFiles().filter((path) => path.includes('sluice-')).length,
  }),
);
