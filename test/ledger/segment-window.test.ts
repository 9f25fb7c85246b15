/** Reading ahead in segment files: what was handed out stays as long as it is promised to. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { segmentName } from '../../ledger/store/segments/names.ts';
import { SegmentReader, SegmentWindow } from '../../ledger/store/segments/segment-reader.ts';
import { inTemporaryFolder } from './helpers.ts';

/** Some fit into a window, one is larger than it, one is cut off by the end of the file. */
const SIZES = [400_000, 500_000, 300_000, 1_000_000, 1_500_000, 10, 20, 700_000, 900_000, 30];

describe('a window of a segment file', () => {
  /** Reads all records one after the other; `look` gets what has been read until then. */
  async function readAll(
    overwrites: boolean,
    look: (read: readonly Uint8Array[]) => void,
  ): Promise<Uint8Array[]> {
    const read: Uint8Array[] = [];
    await inTemporaryFolder(async (folder) => {
      const parts = SIZES.map((size, index) => Buffer.alloc(size, index + 1));
      await writeFile(join(folder, segmentName(0)), Buffer.concat(parts));
      const reader = new SegmentReader(folder);
      const window = new SegmentWindow(reader, overwrites);
      let offset = 0;
      for (const bytes of SIZES) {
        const record = await window.read({ segment: 0, offset, bytes });
        read.push(record as Uint8Array);
        offset += bytes;
        look(read);
      }
      const beyond = await window.read({ segment: 0, offset: offset - 30, bytes: 60 });
      expect(beyond).to.have.length(30);
      reader.close();
    });
    return read;
  }

  function expectWhole(record: Uint8Array, index: number): void {
    expect(record.length).to.equal(SIZES[index]);
    expect(
      record.every((byte) => byte === index + 1),
      `record ${index}`,
    ).to.equal(true);
  }

  it('leaves all that it has handed out', async () => {
    const read = await readAll(false, () => {});
    read.forEach(expectWhole);
  });

  it('that overwrites leaves what it has handed out last and before that, in two rooms', async () => {
    const read = await readAll(true, (all) => {
      for (let index = Math.max(0, all.length - 2); index < all.length; index++) {
        expectWhole(all[index] as Uint8Array, index);
      }
    });
    const fitting = read.filter((_, index) => (SIZES[index] as number) <= 1024 * 1024);
    expect(new Set(fitting.map(({ buffer }) => buffer)).size).to.equal(2);
    expect(
      read[0]?.every((byte) => byte === 1),
      'overwritten meanwhile',
    ).to.equal(false);
  });
});
