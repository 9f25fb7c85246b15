/** Segments that are written over, and what is left in them of those before. */
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { skipSyncs } from './disk.ts';
import {
  appendGroup,
  asBytes,
  asText,
  codeOf,
  contentsOf,
  inFolder,
  onlySegment,
  open,
  segmentsOf,
} from './helpers.ts';

const MIB = 1024 * 1024;

const inodeOf = (path: string): number => statSync(path).ino;
const sparePath = (directory: string): string => join(directory, 'wal.spare');

describe('consensus/wal: a segment that was given up', () => {
  skipSyncs();

  it('is written over by the next but one, and nothing of it comes back', () => {
    inFolder((directory) => {
      const opened = open(directory);
      const first = inodeOf(onlySegment(directory).path);
      // Records as long as those that will be written over them: each old one begins where a new one might.
      for (const record of ['old 1', 'old 2', 'old 3', 'old 4']) appendGroup(opened, record);
      opened.wal.rotate([]);
      expect(inodeOf(sparePath(directory))).to.equal(first);
      appendGroup(opened, 'between');
      opened.wal.rotate([]);
      expect(inodeOf(onlySegment(directory).path)).to.equal(first);
      for (const record of ['new 1', 'new 2']) appendGroup(opened, record);
      opened.wal.close();
      const { path, bytes } = onlySegment(directory);
      const behind = readFileSync(path).subarray(bytes.length);
      expect(behind.includes('old 3'), 'it is still there').to.equal(true);
      const again = open(directory);
      expect(asText(again.records)).to.deep.equal(['new 1', 'new 2']);
      expect(again.torn).to.equal(undefined);
      appendGroup(again, 'new 3');
      again.wal.close();
      expect(contentsOf(directory)).to.deep.equal(['new 1', 'new 2', 'new 3']);
    });
  });

  it('takes a snapshot that is longer, and one that is shorter', () => {
    inFolder((directory) => {
      const { wal } = open(directory);
      const long = Array.from({ length: 200 }, (_, index) => `${index}:`.padEnd(4000, 'x'));
      for (const records of [['a'], long, ['b'], long, ['c']]) wal.rotate(records.map(asBytes));
      wal.close();
      expect(contentsOf(directory)).to.deep.equal(['c']);
      expect(statSync(sparePath(directory)).size).to.be.greaterThan(200 * 4000);
    });
  });

  it('whatever is in it, or the lack of it, is no matter to an opening', () => {
    inFolder((directory) => {
      const opened = open(directory);
      opened.wal.rotate([asBytes('kept')]);
      opened.wal.close();
      for (const bytes of [onlySegment(directory).bytes, Buffer.from('noise'), Buffer.alloc(0)]) {
        writeFileSync(sparePath(directory), bytes);
        expect(contentsOf(directory)).to.deep.equal(['kept']);
        const { wal, records } = open(directory);
        wal.rotate(records.map((record) => Uint8Array.from(record)));
        wal.close();
        expect(contentsOf(directory)).to.deep.equal(['kept']);
      }
    });
  });

  it('is removed when it grew very large', () => {
    inFolder((directory) => {
      open(directory).wal.close();
      const { path } = onlySegment(directory);
      truncateSync(path, 65 * MIB);
      const { wal } = open(directory);
      wal.rotate([]);
      expect(segmentsOf(directory)).to.have.length(1);
      expect(existsSync(path) || existsSync(sparePath(directory))).to.equal(false);
      wal.close();
    });
  });
});

describe('consensus/wal: a segment that has to grow', () => {
  skipSyncs();

  it('does so for many groups at once, with zeros', () => {
    inFolder((directory) => {
      const opened = open(directory);
      const sizes = new Set<number>();
      for (let group = 0; group < 100; group += 1) {
        appendGroup(opened, `${group}`);
        sizes.add(statSync(onlySegment(directory).path).size);
      }
      expect([...sizes]).to.have.length(1);
      const { path, bytes } = onlySegment(directory);
      const behind = readFileSync(path).subarray(bytes.length);
      expect(behind.length).to.be.greaterThan(MIB / 8);
      expect(behind.every((byte) => byte === 0)).to.equal(true);
      opened.wal.close();
      expect(open(directory).torn).to.equal(undefined);
    });
  });

  it('after a torn write was cut off, too', () => {
    inFolder((directory) => {
      appendGroup(open(directory), 'synced', 'torn');
      const { path, bytes } = onlySegment(directory);
      writeFileSync(path, bytes.subarray(0, -1));
      const opened = open(directory);
      expect(opened.torn).to.include('a crash cut off the last write');
      appendGroup(opened, 'next');
      expect(statSync(path).size).to.be.greaterThan(MIB / 8);
      opened.wal.close();
      expect(contentsOf(directory)).to.deep.equal(['synced', 'next']);
      expect(codeOf(() => open(directory).wal.close())).to.equal('no error');
    });
  });
});
