import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { readWalName } from '../../../consensus/wal/index.ts';
import { Disk, skipSyncs } from './disk.ts';
import {
  appendGroup,
  asBytes,
  asText,
  codeOf,
  contentsOf,
  errorOf,
  FRAME_BYTES,
  inFolder,
  NAME,
  onlySegment,
  open,
  RECORD_BYTES_MAX,
  segmentsOf,
} from './helpers.ts';

describe('consensus/wal: the log', () => {
  it('gives back what was synced, in order, after every opening', () => {
    inFolder((directory) => {
      const all: string[] = [];
      for (const group of [['one'], ['two', '', 'three'], ['four']]) {
        const opened = open(directory);
        expect(asText(opened.records)).to.deep.equal(all);
        expect(opened.torn).to.equal(undefined);
        appendGroup(opened, ...group);
        opened.wal.close();
        all.push(...group);
      }
      expect(contentsOf(directory)).to.deep.equal(all);
    });
  });

  it('takes a copy of what is appended', () => {
    inFolder((directory) => {
      const { wal } = open(directory);
      const record = asBytes('before');
      wal.append(record);
      record.fill(0);
      wal.sync();
      wal.close();
      expect(contentsOf(directory)).to.deep.equal(['before']);
    });
  });

  it('writes nothing before sync(), then all that waits with one sync of the disk', () => {
    inFolder((directory) => {
      const { wal } = open(directory);
      const before = onlySegment(directory).bytes.length;
      const disk = new Disk(directory);
      disk.watch(() => {
        wal.append(asBytes('a'));
        wal.append(asBytes('bc'));
      });
      expect(disk.steps).to.equal(0);
      expect(wal.pendingBytes).to.equal(2 * FRAME_BYTES + 3);
      wal.sync();
      expect(wal.pendingBytes).to.equal(0);
      expect(onlySegment(directory).bytes.length).to.equal(before + 2 * FRAME_BYTES + 3);
      wal.append(asBytes('never synced'));
      disk.watch(() => wal.close());
      expect(disk.steps).to.equal(0);
      expect(contentsOf(directory)).to.deep.equal(['a', 'bc']);
    });
  });

  it('does not touch the disk when nothing waits', () => {
    inFolder((directory) => {
      const { wal } = open(directory);
      const disk = new Disk(directory);
      disk.watch(() => wal.sync());
      expect(disk.steps).to.equal(0);
      wal.close();
    });
  });

  it('begins anew with rotate(), in place of what waits and of what was', () => {
    inFolder((directory) => {
      const opened = open(directory);
      appendGroup(opened, 'old');
      opened.wal.append(asBytes('waiting'));
      opened.wal.rotate([asBytes('s1'), asBytes('s2')]);
      expect(opened.wal.pendingBytes).to.equal(0);
      expect(segmentsOf(directory)).to.have.length(1);
      appendGroup(opened, 'new');
      opened.wal.close();
      expect(contentsOf(directory)).to.deep.equal(['s1', 's2', 'new']);
      const again = open(directory);
      again.wal.rotate([]);
      appendGroup(again, 'newer');
      again.wal.close();
      expect(contentsOf(directory)).to.deep.equal(['newer']);
    });
  });

  it('rotates to more than its buffer holds', () => {
    inFolder((directory) => {
      const { wal } = open(directory);
      const records = Array.from({ length: 700 }, (_, index) =>
        new Uint8Array(RECORD_BYTES_MAX).fill(index),
      );
      wal.rotate(records);
      wal.close();
      expect(contentsOf(directory)).to.deep.equal(asText(records));
    });
  });

  it('belongs to its owner alone', () => {
    inFolder((parent) => {
      const directory = join(parent, 'deep', 'wal');
      open(directory).wal.close();
      expect(statSync(directory).mode & 0o777).to.equal(0o700);
      expect(statSync(onlySegment(directory).path).mode & 0o777).to.equal(0o600);
      chmodSync(directory, 0o755);
      open(directory).wal.close();
      expect(statSync(directory).mode & 0o777).to.equal(0o700);
    });
  });

  it('leaves files alone that are not its own', () => {
    inFolder((directory) => {
      writeFileSync(join(directory, 'wal-1.log'), 'x');
      writeFileSync(join(directory, 'note'), 'y');
      const { wal } = open(directory);
      wal.rotate([]);
      wal.close();
      expect(readFileSync(join(directory, 'wal-1.log'), 'utf8')).to.equal('x');
      expect(readFileSync(join(directory, 'note'), 'utf8')).to.equal('y');
    });
  });
});

describe('consensus/wal: records', () => {
  skipSyncs();

  it('may be any bytes up to the limit', () => {
    const records = fc.array(fc.uint8Array({ maxLength: RECORD_BYTES_MAX, size: 'max' }), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(fc.array(records, { maxLength: 4 }), (groups) =>
        inFolder((directory) => {
          const opened = open(directory);
          for (const group of groups) appendGroup(opened, ...asText(group));
          opened.wal.close();
          expect(contentsOf(directory)).to.deep.equal(asText(groups.flat()));
        }),
      ),
      { numRuns: 10 },
    );
  });
});

describe('consensus/wal: the name of the log', () => {
  it('is read without opening the log; there is none without a log', () => {
    inFolder((directory) => {
      expect(readWalName(join(directory, 'missing'))).to.equal(undefined);
      expect(readWalName(directory)).to.equal(undefined);
      const opened = open(directory);
      expect(readWalName(directory)).to.equal(undefined);
      opened.wal.rotate([asBytes('x')]);
      expect(readWalName(directory)).to.deep.equal(NAME);
      opened.wal.close();
    });
  });

  it('must be the one that the caller expects', () => {
    inFolder((directory) => {
      const other = new Uint8Array(32).fill(9);
      open(directory, { name: other }).wal.close();
      // Nothing was said in that one.
      const opened = open(directory);
      appendGroup(opened, 'one');
      opened.wal.close();
      const error = errorOf(() => open(directory, { name: other }));
      expect(error?.code).to.equal('other_run');
      expect(error?.data).to.include({ found: Buffer.from(NAME).toString('hex') });
      expect(error?.data).to.include({ expected: '09'.repeat(32) });
    });
  });

  it('is said before the damage of a log of another run', () => {
    inFolder((directory) => {
      const opened = open(directory);
      appendGroup(opened, 'one');
      appendGroup(opened, 'two');
      opened.wal.close();
      const { path, bytes } = onlySegment(directory);
      bytes[70] = ~(bytes[70] ?? 0);
      writeFileSync(path, bytes);
      expect(codeOf(() => open(directory))).to.equal('damaged');
      expect(codeOf(() => open(directory, { name: new Uint8Array(32) }))).to.equal('other_run');
      expect(readWalName(directory)).to.deep.equal(NAME);
    });
  });
});

describe('consensus/wal: what it refuses', () => {
  it('options that cannot be', () => {
    inFolder((directory) => {
      for (const wrong of [
        { directory: '' },
        { reserveBytes: -1 },
        { reserveBytes: 1.5 },
        { recordBytesMax: 0 },
        { recordBytesMax: 2 ** 40 },
        { name: new Uint8Array(31) },
      ]) {
        expect(codeOf(() => open(directory, wrong))).to.equal('invalid_options');
      }
      expect(segmentsOf(directory)).to.deep.equal([]);
    });
  });

  it('a limit below the records that are there', () => {
    inFolder((directory) => {
      const opened = open(directory);
      appendGroup(opened, 'four');
      opened.wal.close();
      expect(codeOf(() => open(directory, { recordBytesMax: 3 }))).to.equal('invalid_options');
      expect(contentsOf(directory)).to.deep.equal(['four']);
    });
  });

  it('a record beyond the limit, appended or rotated to', () => {
    inFolder((directory) => {
      const { wal } = open(directory);
      const record = new Uint8Array(RECORD_BYTES_MAX + 1);
      expect(codeOf(() => wal.append(record))).to.equal('invalid_argument');
      expect(codeOf(() => wal.rotate([record]))).to.equal('invalid_argument');
      expect(wal.pendingBytes).to.equal(0);
      wal.close();
      expect(segmentsOf(directory)).to.have.length(1);
    });
  });

  it('more than a segment may hold', () => {
    inFolder((directory) => {
      const recordBytesMax = 64 * 1024 * 1024;
      const opened = open(directory, { recordBytesMax });
      appendGroup(opened, 'kept');
      // The same pages again and again, and not one of them is written.
      const record = new Uint8Array(recordBytesMax);
      expect(codeOf(() => opened.wal.rotate(Array(32).fill(record)))).to.equal('log_full');
      opened.wal.close();
      expect(contentsOf(directory)).to.deep.equal(['kept']);
    });
  });

  it('everything once it is closed', () => {
    inFolder((directory) => {
      const { wal } = open(directory);
      wal.close();
      wal.close();
      for (const call of [() => wal.append(NAME), () => wal.sync(), () => wal.rotate([])]) {
        expect(codeOf(call)).to.equal('closed');
      }
    });
  });

  it('a folder that is a file', () => {
    inFolder((directory) => {
      const path = join(directory, 'file');
      writeFileSync(path, '');
      expect(codeOf(() => open(path))).to.equal('io');
      expect(codeOf(() => readWalName(path))).to.equal('io');
    });
  });

  it('a segment that no log is named after, or that is a folder', () => {
    inFolder((directory) => {
      writeFileSync(join(directory, `wal-${'9'.repeat(20)}.log`), '');
      expect(codeOf(() => open(directory))).to.equal('damaged');
    });
    inFolder((directory) => {
      mkdirSync(join(directory, `wal-${'1'.padStart(20, '0')}.log`));
      expect(codeOf(() => open(directory))).to.equal('io');
    });
  });
});
