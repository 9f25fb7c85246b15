/**
 * A process of its own: opens the log in argv[2], then appends groups of numbered records until it
 * is killed, and rotates now and then. Prints, after each sync, the last number that is safe.
 */
import { writeSync } from 'node:fs';
import { asBytes, open } from './helpers.ts';

const ROTATE_EVERY_GROUPS = 25;
const STDOUT = 1;

const [, , directory = ''] = process.argv;
const { wal, records } = open(directory);
const held: Uint8Array[] = records.map((record) => Uint8Array.from(record));
let number = held.length;
for (let group = 1; ; group += 1) {
  for (let index = 0; index <= group % 5; index += 1) {
    const record = asBytes(`${number}:${'x'.repeat((number * 37) % 1500)}`);
    wal.append(record);
    held.push(record);
    number += 1;
  }
  wal.sync();
  // Not process.stdout: its writes to a pipe may wait for the event loop, which never gets a turn.
  writeSync(STDOUT, `${number}\n`);
  if (group % ROTATE_EVERY_GROUPS === 0) wal.rotate(held);
}
