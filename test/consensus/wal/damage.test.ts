/** What is not as it was written: torn tails are cut off, anything else is refused. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { readWalName } from '../../../consensus/wal/index.ts';
import { skipSyncs } from './disk.ts';
import {
  appendGroup,
  asBytes,
  asText,
  codeOf,
  contentsOf,
  errorOf,
  FRAME_BYTES,
  HEADER_BYTES,
  inFolder,
  NAME,
  onlySegment,
  open,
  segmentsOf,
} from './helpers.ts';

const EMPTY_BYTES = HEADER_BYTES + FRAME_BYTES;

interface Written {
  readonly path: string;
  readonly bytes: Buffer;
  /** Where each group begins. */
  readonly starts: readonly number[];
}

/** Writes the groups into a new log and closes it. */
function write(directory: string, groups: readonly (readonly string[])[]): Written {
  const opened = open(directory);
  const starts: number[] = [];
  for (const group of groups) {
    starts.push(onlySegment(directory).bytes.length);
    appendGroup(opened, ...group);
  }
  opened.wal.close();
  return { ...onlySegment(directory), starts };
}

function flipped(bytes: Buffer, offset: number, mask = 0xff): Buffer {
  const changed = Buffer.from(bytes);
  changed[offset] = (changed[offset] ?? 0) ^ mask;
  return changed;
}

/** Where the tag is in a record. */
const TAG_OFFSET = 8;
const TAG_END = 16;

const GROUPS = [['a'], ['bb', 'ccc'], ['d', '', 'eeee'], ['f', 'gg']];
const ALL = GROUPS.flat();
const SYNCED = GROUPS.slice(0, -1).flat();

describe('consensus/wal: a torn tail', () => {
  skipSyncs();

  it('is cut off wherever the file ends, and the log goes on', () => {
    inFolder((directory) => {
      const { path, bytes, starts } = write(directory, GROUPS);
      for (let size = starts.at(-1) ?? 0; size < bytes.length; size += 1) {
        writeFileSync(path, bytes.subarray(0, size));
        const opened = open(directory);
        const records = asText(opened.records);
        expect(records).to.deep.equal(ALL.slice(0, records.length)).and.include.members(SYNCED);
        const cutRecord =
          records.length === ALL.length - 1 ? bytes.length - FRAME_BYTES - 2 : starts.at(-1);
        const showsTag = size - (cutRecord ?? 0) >= TAG_END;
        expect(opened.torn !== undefined, `${size}`).to.equal(showsTag);
        if (size % 5 === 0) appendGroup(opened, 'next');
        opened.wal.close();
        if (size % 5 === 0) expect(contentsOf(directory)).to.deep.equal([...records, 'next']);
      }
    });
  });

  it('may have any bytes garbled, though later ones of the same group are whole', () => {
    inFolder((directory) => {
      const { path, bytes, starts } = write(directory, GROUPS);
      const start = starts.at(-1) ?? 0;
      const second = start + FRAME_BYTES + 1;
      for (let offset = start; offset < bytes.length; offset += 1) {
        writeFileSync(path, flipped(bytes, offset));
        const opened = open(directory);
        opened.wal.close();
        const kept = offset < second ? SYNCED : [...SYNCED, 'f'];
        expect(asText(opened.records), `${offset}`).to.deep.equal(kept);
        if (offset >= second + TAG_OFFSET && offset < second + TAG_END) {
          // Nothing is left that could be told from what lies behind a segment anyway.
          expect(opened.torn).to.equal(undefined);
        } else {
          const cutOff = /wal-0{19}1\.log: a crash cut off the last write \(byte \d+:/;
          expect(opened.torn).to.match(cutOff);
        }
        expect(asText(open(directory).records)).to.deep.equal(kept);
      }
    });
  });

  it('is none when it is zeros or garbage of any length, and the log goes on', () => {
    const tails = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 2000 }),
      fc.nat(5000).map((length) => new Uint8Array(length + 1)),
    );
    inFolder((directory) => {
      const { path, bytes } = write(directory, GROUPS);
      fc.assert(
        fc.property(tails, (tail) => {
          writeFileSync(path, Buffer.concat([bytes, tail]));
          const opened = open(directory);
          expect(asText(opened.records)).to.deep.equal(ALL);
          expect(opened.torn).to.equal(undefined);
          appendGroup(opened, 'next');
          opened.wal.close();
          expect(contentsOf(directory)).to.deep.equal([...ALL, 'next']);
        }),
        { numRuns: 60 },
      );
    });
  });

  it('cannot be made to look like damage by what a client sends', () => {
    inFolder((directory) => {
      const start = EMPTY_BYTES + FRAME_BYTES + 1;
      // A record as the log would write it there, but for the tag, which nobody outside knows.
      const place = start + FRAME_BYTES;
      const forged = Buffer.alloc(FRAME_BYTES);
      forged.writeUInt32LE(1, 4);
      forged.writeUInt32LE(place, 16);
      forged.writeUInt32LE(crc32(forged.subarray(4), place), 0);
      const { path, bytes } = write(directory, [['a'], [forged.toString('latin1'), 'z']]);
      writeFileSync(path, flipped(bytes, start));
      expect(contentsOf(directory)).to.deep.equal(['a']);
    });
  });

  it('may hold what was left of another segment', () => {
    inFolder((directory) => {
      const other = write(join(directory, 'other'), [['a'], ['b']]);
      const { path, bytes } = write(join(directory, 'log'), [['a']]);
      writeFileSync(path, Buffer.concat([bytes, other.bytes.subarray(bytes.length)]));
      expect(contentsOf(join(directory, 'log'))).to.deep.equal(['a']);
    });
  });

  it('does not come back when its file system does not clear what it hands out', () => {
    let tried = 0;
    for (const broken of ['first', 'second']) {
      for (const length of [6, 30]) {
        inFolder((directory) => {
          const torn = ['1'.repeat(30), '2'.repeat(30), 'stale'];
          const { path, bytes, starts } = write(directory, [['a'], torn]);
          const start = (starts[1] ?? 0) + (broken === 'first' ? 0 : FRAME_BYTES + 30);
          writeFileSync(path, flipped(bytes, start));
          const opened = open(directory);
          appendGroup(opened, 'X'.repeat(length));
          opened.wal.close();
          const { bytes: now } = onlySegment(directory);
          const staleAt = start + FRAME_BYTES + 30;
          if (now.length !== staleAt) return;
          tried += 1;
          writeFileSync(path, Buffer.concat([now, bytes.subarray(staleAt)]));
          expect(contentsOf(directory).at(-1)).to.equal('X'.repeat(length));
        });
      }
    }
    expect(tried).to.equal(2);
  });
});

describe('consensus/wal: damage in the middle', () => {
  skipSyncs();

  it('is refused for a bit in every byte that was synced before a later group', () => {
    inFolder((directory) => {
      const { path, bytes, starts } = write(directory, GROUPS);
      const end = starts.at(-1) ?? 0;
      for (let offset = 0; offset < end; offset += 1) {
        for (const mask of [0xff, 1 << (offset % 8)]) {
          writeFileSync(path, flipped(bytes, offset, mask));
          expect(
            codeOf(() => open(directory)),
            `byte ${offset}`,
          ).to.equal('damaged');
        }
      }
      writeFileSync(path, bytes);
      expect(contentsOf(directory)).to.deep.equal(ALL);
    });
  });

  it('is refused where whole records vanished, came twice or changed places', () => {
    inFolder((directory) => {
      const { path, bytes } = write(directory, [['aa'], ['bb'], ['cc'], ['dd']]);
      const size = FRAME_BYTES + 2;
      const at = (index: number) =>
        bytes.subarray(EMPTY_BYTES + index * size, EMPTY_BYTES + (index + 1) * size);
      const head = bytes.subarray(0, EMPTY_BYTES);
      for (const order of [
        [1, 0, 2, 3],
        [0, 0, 2, 3],
        [0, 2, 1, 3],
      ]) {
        writeFileSync(path, Buffer.concat([head, ...order.map(at)]));
        expect(
          codeOf(() => open(directory)),
          order.join(),
        ).to.equal('damaged');
      }
    });
  });

  it('names file and byte, and what to do', () => {
    inFolder((directory) => {
      const { path, bytes, starts } = write(directory, GROUPS);
      const offset = starts[1] ?? 0;
      writeFileSync(path, flipped(bytes, offset + FRAME_BYTES));
      const error = errorOf(() => open(directory));
      expect(error?.data).to.deep.equal({ path, offset });
      expect(error?.message).to.include(path).and.include(`byte ${offset}`);
      expect(error?.message).to.include('move the folder').and.include('docs/operations.md');
      expect(onlySegment(directory).bytes.equals(flipped(bytes, offset + FRAME_BYTES))).to.equal(
        true,
      );
    });
  });

  it('is refused in the only segment of a rotated log, header and snapshot included', () => {
    inFolder((directory) => {
      const opened = open(directory);
      opened.wal.rotate([asBytes('s'), asBytes('tt')]);
      opened.wal.close();
      const { path, bytes } = onlySegment(directory);
      for (let offset = 0; offset < bytes.length; offset += 1) {
        writeFileSync(path, flipped(bytes, offset));
        expect(
          codeOf(() => open(directory)),
          `byte ${offset}`,
        ).to.equal('damaged');
      }
      for (let size = 0; size < bytes.length; size += 1) {
        writeFileSync(path, bytes.subarray(0, size));
        expect(
          codeOf(() => open(directory)),
          `size ${size}`,
        ).to.equal('damaged');
      }
      writeFileSync(path, flipped(bytes, 3));
      expect(codeOf(() => readWalName(directory))).to.equal('damaged');
    });
  });

  it('is not mistaken for another version', () => {
    inFolder((directory) => {
      const { path, bytes } = write(directory, GROUPS);
      const other = flipped(bytes, 8, 3);
      writeFileSync(path, other);
      expect(codeOf(() => open(directory))).to.equal('damaged');
      other.writeUInt32LE(crc32(other.subarray(16, 64), crc32(other.subarray(0, 12))), 12);
      writeFileSync(path, other);
      expect(codeOf(() => open(directory))).to.equal('format_version');
      expect(codeOf(() => readWalName(directory))).to.equal('format_version');
    });
  });
});

describe('consensus/wal: any damage', () => {
  skipSyncs();

  const groups = fc.array(
    fc.array(
      fc.uint8Array({ maxLength: 40 }).map((record) => Buffer.from(record).toString('latin1')),
      { minLength: 1, maxLength: 4 },
    ),
    { minLength: 1, maxLength: 5 },
  );
  const changes = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    by: fc.oneof(
      fc.constant('cut' as const),
      fc.uint8Array({ minLength: 1, maxLength: 30 }),
      fc.constant('zeros' as const),
    ),
  });

  function change(bytes: Buffer, offset: number, by: 'cut' | 'zeros' | Uint8Array): Buffer {
    if (by === 'cut') return bytes.subarray(0, offset);
    const changed = Buffer.from(bytes);
    if (by === 'zeros') changed.fill(0, offset);
    else changed.set(by.subarray(0, bytes.length - offset), offset);
    return changed;
  }

  it('leaves a prefix with every group before it, or is refused', () => {
    fc.assert(
      fc.property(groups, fc.array(changes, { minLength: 1, maxLength: 12 }), (written, many) =>
        inFolder((directory) => {
          const { path, bytes, starts } = write(directory, written);
          const all = written.flat();
          for (const { at, by } of many) {
            const offset = Math.floor(at * bytes.length);
            writeFileSync(path, change(bytes, offset, by));
            const before = starts.filter((_, group) => (starts[group + 1] ?? Infinity) <= offset);
            const least = written.slice(0, before.length).flat().length;
            try {
              const { wal, records } = open(directory);
              wal.close();
              expect(asText(records)).to.deep.equal(all.slice(0, records.length));
              expect(records.length).to.be.at.least(least);
            } catch (error) {
              if (codeOf(() => rethrow(error)) !== 'damaged') throw error;
            }
          }
        }),
      ),
      { numRuns: 25 },
    );
  });

  it('of a folder full of noise is an error of the log, never another one', () => {
    const names = fc.constantFrom(1, 2, 3).map((n) => `wal-${String(n).padStart(20, '0')}.log`);
    fc.assert(
      fc.property(fc.dictionary(names, fc.uint8Array({ maxLength: 200 })), (files) =>
        inFolder((directory) => {
          for (const [name, bytes] of Object.entries(files)) {
            writeFileSync(join(directory, name), bytes);
          }
          const code = codeOf(() => readWalName(directory));
          expect(code).to.be.oneOf(['damaged', 'no error']);
          expect(codeOf(() => open(directory).wal.close())).to.equal(code);
        }),
      ),
      { numRuns: 60 },
    );
  });
});

describe('consensus/wal: a segment that was never finished', () => {
  skipSyncs();

  it('is begun again when it is the first', () => {
    inFolder((directory) => {
      open(directory).wal.close();
      const { path, bytes } = onlySegment(directory);
      for (let size = 0; size < bytes.length; size += 7) {
        writeFileSync(path, bytes.subarray(0, size));
        expect(readWalName(directory)).to.equal(undefined);
        const { wal, records, torn } = open(directory, { name: new Uint8Array(32) });
        wal.close();
        expect(records).to.deep.equal([]);
        expect(torn).to.include('its creation');
      }
    });
  });

  it('gives way to the older one, cut at any length or garbled, and is removed', () => {
    inFolder((directory) => {
      const opened = open(directory);
      appendGroup(opened, 'old');
      const { path } = onlySegment(directory);
      const old = { path, bytes: readFileSync(path) };
      const kept = join(directory, 'kept');
      copyFileSync(old.path, kept);
      opened.wal.rotate([asBytes('s'), asBytes('tt')]);
      opened.wal.close();
      const next = onlySegment(directory);
      for (let size = 0; size <= next.bytes.length; size += 1) {
        for (const bytes of [next.bytes.subarray(0, size), flipped(next.bytes, size)]) {
          copyFileSync(kept, old.path);
          writeFileSync(next.path, bytes.subarray(0, next.bytes.length));
          expect(readWalName(directory)).to.deep.equal(NAME);
          const isWhole = size === next.bytes.length;
          expect(contentsOf(directory)).to.deep.equal(isWhole ? ['s', 'tt'] : ['old']);
          expect(segmentsOf(directory)).to.deep.equal([isWhole ? next.path : old.path]);
        }
      }
      expect(readFileSync(kept).equals(old.bytes)).to.equal(true);
    });
  });
});

function rethrow(error: unknown): never {
  throw error;
}
