/** A file system of one MiB that gets full. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { until } from '../../support/until.ts';
import { appendGroup, asBytes, asText, codeOf, contentsOf, open, segmentsOf } from './helpers.ts';

const MIB = 1024 * 1024;

describe('consensus/wal: a full disk', () => {
  let mount = '';
  let directory = '';
  let filler = '';

  beforeEach(function () {
    mount = mkdtempSync(join(tmpdir(), 'sluice-wal-full-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount], { stdio: 'pipe' });
    } catch {
      rmSync(mount, { recursive: true });
      mount = '';
      console.log('    (skipped: only root may mount the small file system that this needs)');
      this.skip();
    }
    directory = join(mount, 'wal');
    filler = join(mount, 'filler');
  });

  afterEach(() => {
    if (mount === '') return;
    // Lazily: a test that failed may have left a file open.
    execFileSync('umount', ['-l', mount]);
    rmSync(mount, { recursive: true });
  });

  const freeBytes = (): number => {
    const { bavail, bsize } = statfsSync(mount);
    return bavail * bsize;
  };

  it('refuses a group whole, and takes it when there is room', () => {
    const opened = open(directory);
    appendGroup(opened, 'before');
    writeFileSync(filler, new Uint8Array(freeBytes() - 8192));
    // More than the segment has grown ahead by.
    const records = Array.from({ length: 75 }, (_, index) => `${index % 10}`.repeat(4000));
    for (const record of records) opened.wal.append(asBytes(record));
    // The free space was looked up a moment ago: it is the kernel that refuses the first.
    for (let attempt = 0; attempt < 3; attempt += 1) {
      expect(codeOf(() => opened.wal.sync())).to.equal('disk_full');
    }
    expect(contentsOf(directory)).to.deep.equal(['before']);
    rmSync(filler);
    opened.wal.append(asBytes('after'));
    opened.wal.sync();
    opened.wal.close();
    expect(contentsOf(directory)).to.deep.equal(['before', ...records, 'after']);
  });

  it('leaves the reserve alone', () => {
    const reserveBytes = MIB / 2;
    const opened = open(directory, { reserveBytes });
    const record = 'r'.repeat(4000);
    let written = 0;
    let code = 'no error';
    while (code === 'no error' && written < MIB) {
      opened.wal.append(asBytes(record));
      code = codeOf(() => opened.wal.sync());
      if (code === 'no error') written += record.length;
    }
    expect(code).to.equal('disk_full');
    expect(freeBytes()).to.be.at.least(reserveBytes - 8192);
    expect(written).to.be.greaterThan(MIB / 3);
    expect(codeOf(() => opened.wal.rotate([asBytes(record)]))).to.equal('disk_full');
    opened.wal.close();
    expect(contentsOf(directory)).to.have.length(written / record.length);
  });

  it('keeps the old log when there is no room for the new one', () => {
    const opened = open(directory);
    appendGroup(opened, 'old');
    writeFileSync(filler, new Uint8Array(freeBytes() - 16_384));
    const snapshot = Array.from({ length: 10 }, (_, index) => `${index}`.repeat(4000));
    for (let attempt = 0; attempt < 2; attempt += 1) {
      expect(codeOf(() => opened.wal.rotate(snapshot.map(asBytes)))).to.equal('disk_full');
      expect(segmentsOf(directory)).to.have.length(1);
    }
    appendGroup(opened, 'still');
    rmSync(filler);
    opened.wal.rotate(snapshot.map(asBytes));
    opened.wal.close();
    expect(contentsOf(directory)).to.deep.equal(snapshot);
  });

  it('takes nothing below the reserve, though the log has room for it', async () => {
    const opened = open(directory, { reserveBytes: MIB / 4 });
    appendGroup(opened, 'before');
    writeFileSync(filler, new Uint8Array(freeBytes() - MIB / 4));
    const grown = statSync(segmentsOf(directory)[0] ?? '').size;
    let written = 0;
    // What the last look has found may be taken until the next one.
    await until('the log refuses', () => {
      written += 1;
      opened.wal.append(asBytes('r'));
      return codeOf(() => opened.wal.sync()) === 'disk_full';
    });
    expect(codeOf(() => opened.wal.sync())).to.equal('disk_full');
    expect(statSync(segmentsOf(directory)[0] ?? '').size).to.equal(grown);
    rmSync(filler);
    opened.wal.sync();
    opened.wal.close();
    expect(contentsOf(directory)).to.have.length(written + 1);
  });

  it('does not let a new log begin, and does when there is room', () => {
    writeFileSync(filler, new Uint8Array(freeBytes()));
    expect(codeOf(() => open(directory))).to.equal('disk_full');
    rmSync(filler);
    const { wal, records } = open(directory);
    wal.close();
    expect(asText(records)).to.deep.equal([]);
  });
});
