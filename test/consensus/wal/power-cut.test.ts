/** The machine stops at any step of any call, and a call of the operating system fails. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import type { OpenedWal } from '../../../consensus/wal/index.ts';
import { Disk, type Fault } from './disk.ts';
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

/** `RUNS=5000` looks longer. */
const RUNS = Number(process.env.RUNS ?? 40);

type Action =
  /** With `full`: the disk is full at that step of the call, and the call is made again. */
  | { kind: 'sync'; records: string[]; full: number | undefined }
  /** With `full`: the disk is full at that step of the call, and the caller goes on without. */
  | { kind: 'rotate'; records: string[]; full: number | undefined };

type Check = (found: readonly string[]) => boolean;

const same = (left: readonly string[], right: readonly string[]): boolean =>
  left.length === right.length && left.every((record, index) => record === right[index]);

const isPrefix = (part: readonly string[], whole: readonly string[]): boolean =>
  same(part, whole.slice(0, part.length));

/** What may be found when the machine stops, by the number of steps that were done. */
class History {
  readonly #checks: Check[] = [];

  /** The call that ended with step `steps` allows `during` before, and `after` from then on. */
  add(steps: number, during: Check, after: Check): void {
    while (this.#checks.length < steps) this.#checks.push(during);
    this.#checks[steps] = after;
  }

  after(steps: number): Check {
    return this.#checks[steps] ?? (() => false);
  }
}

/** Plays the actions on a log that holds `held`. */
function play(
  disk: Disk,
  { wal }: OpenedWal,
  history: History,
  held: readonly string[],
  actions: readonly Action[],
): void {
  let now = held;
  for (const { kind, records, full } of actions) {
    const before = now;
    const fault: Fault | undefined =
      full === undefined ? undefined : { step: full, errno: 'ENOSPC' };
    if (kind === 'sync') {
      const after = [...before, ...records];
      for (const record of records) wal.append(asBytes(record));
      const code = codeOf(() => disk.watch(() => wal.sync(), fault));
      if (code === 'disk_full') disk.watch(() => wal.sync());
      else expect(code).to.equal('no error');
      now = after;
      history.add(
        disk.steps,
        (found) => found.length >= before.length && isPrefix(found, after),
        (found) => same(found, after),
      );
      continue;
    }
    const code = codeOf(() => disk.watch(() => wal.rotate(records.map(asBytes)), fault));
    const either: Check = (found) => same(found, before) || same(found, records);
    if (code === 'io') {
      // The new log is in force, and the old one could not be removed: the machine stops here.
      history.add(disk.steps, either, either);
      return;
    }
    expect(code).to.be.oneOf(['no error', 'disk_full']);
    const settled = code === 'no error' ? records : before;
    now = settled;
    history.add(disk.steps, either, (found) => same(found, settled));
  }
}

describe('consensus/wal: a power cut', function () {
  this.timeout(600_000);
  const record = fc
    .oneof(
      { weight: 3, arbitrary: fc.uint8Array({ maxLength: 60 }) },
      { weight: 1, arbitrary: fc.uint8Array({ minLength: 400, maxLength: 1200, size: 'max' }) },
    )
    .map((bytes) => Buffer.from(bytes).toString('latin1'));
  const full = fc.option(fc.nat(6), { nil: undefined, freq: 3 });
  const action: fc.Arbitrary<Action> = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('sync' as const),
        records: fc.array(record, { minLength: 1, maxLength: 4 }),
        full,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('rotate' as const),
        records: fc.array(record, { maxLength: 3 }),
        full,
      }),
    },
  );
  const life = fc.record({
    actions: fc.array(action, { maxLength: 5 }),
    /** Where in its history the machine stops. */
    stop: fc.double({ min: 0, max: 1, noNaN: true }),
    choices: fc.infiniteStream(fc.nat(2 ** 20)),
  });

  it('at any step loses nothing that was synced, over several lives', () => {
    fc.assert(
      fc.property(fc.array(life, { minLength: 1, maxLength: 4 }), (lives) =>
        inFolder((directory) => {
          let folder = join(directory, '0');
          mkdirSync(folder);
          let mayHold: Check = (found) => found.length === 0;
          for (const [index, { actions, stop, choices }] of lives.entries()) {
            const disk = new Disk(folder);
            const opened = disk.watch(() => open(folder));
            const held = asText(opened.records);
            expect(mayHold(held), 'what is found was allowed').to.equal(true);
            const history = new History();
            history.add(disk.steps, mayHold, (found) => same(found, held));
            play(disk, opened, history, held, actions);
            opened.wal.close();
            folder = join(directory, `${index + 1}`);
            mkdirSync(folder);
            const steps = Math.round(stop * disk.steps);
            disk.crash(folder, steps, (below) => choices.next().value % below);
            mayHold = history.after(steps);
          }
          expect(mayHold(contentsOf(folder)), 'what is found was allowed').to.equal(true);
        }),
      ),
      { numRuns: RUNS, endOnFailure: true },
    );
  });
});

describe('consensus/wal: the folder', () => {
  const first = 'wal-00000000000000000001.log';
  const second = 'wal-00000000000000000002.log';
  const fourth = 'wal-00000000000000000004.log';
  const spare = 'wal.spare';

  it('has one segment for good whenever a call has returned', () => {
    inFolder((directory) => {
      const disk = new Disk(directory);
      const { wal } = disk.watch(() => open(directory));
      expect(disk.possibleNames()).to.deep.equal([first]);
      const rotate = () => wal.rotate([]);
      // Behind create, write and sync: the new segment is whole, and its name may last already.
      expect(codeOf(() => disk.watch(rotate, { step: 3, errno: 'ENOSPC' }))).to.equal('disk_full');
      expect(disk.possibleNames()).to.deep.equal([first]);
      disk.watch(rotate);
      expect(disk.possibleNames()).to.deep.equal([second, spare]);
      // Behind write, sync and the change of its name.
      expect(codeOf(() => disk.watch(rotate, { step: 3, errno: 'ENOSPC' }))).to.equal('disk_full');
      expect(disk.possibleNames()).to.deep.equal([second]);
      disk.watch(rotate);
      disk.watch(rotate);
      expect(disk.possibleNames().sort()).to.deep.equal([fourth, spare]);
      wal.close();
    });
  });

  it('has one segment for good when an opening has finished what a crash cut off', () => {
    inFolder((directory) => {
      const { wal } = open(directory);
      const old = onlySegment(directory);
      wal.rotate([]);
      wal.close();
      writeFileSync(old.path, old.bytes);
      const disk = new Disk(directory);
      disk.watch(() => open(directory)).wal.close();
      expect(disk.possibleNames().sort()).to.deep.equal([second, spare]);
    });
  });
});

describe('consensus/wal: a call that the operating system refuses', () => {
  const group = ['a'.repeat(900), 'b', 'c'.repeat(900)];

  /** Runs `call` with each of its steps failing in turn, on a log that holds `held`. */
  function failEachStep(
    errno: Fault['errno'],
    call: (opened: OpenedWal) => void,
    check: (opened: OpenedWal, code: string, directory: string, disk: Disk) => void,
  ): void {
    for (let step = 0; ; step += 1) {
      const code = inFolder((directory) => {
        const disk = new Disk(directory);
        const opened = disk.watch(() => open(directory));
        disk.watch(() => appendGroup(opened, 'held'));
        for (const record of group) opened.wal.append(asBytes(record));
        const found = codeOf(() => disk.watch(() => call(opened), { step, errno }));
        disk.watch(() => check(opened, found, directory, disk));
        opened.wal.close();
        return found;
      });
      if (code === 'no error') {
        expect(step).to.be.greaterThan(2);
        return;
      }
    }
  }

  it('for want of room leaves what waits, and the next sync() writes it', () => {
    failEachStep(
      'ENOSPC',
      ({ wal }) => wal.sync(),
      ({ wal }, code, directory) => {
        if (code !== 'no error') {
          expect(code).to.equal('disk_full');
          expect(wal.pendingBytes).to.be.greaterThan(1800);
        }
        wal.append(asBytes('later'));
        wal.sync();
        wal.close();
        expect(contentsOf(directory)).to.deep.equal(['held', ...group, 'later']);
      },
    );
  });

  it('for want of room leaves the old log, and rotate() may be called again', () => {
    const codes = new Set<string>();
    failEachStep(
      'ENOSPC',
      ({ wal }) => wal.rotate([asBytes('snapshot')]),
      ({ wal }, code, directory) => {
        codes.add(code);
        if (code === 'disk_full') {
          expect(segmentsOf(directory)).to.have.length(1);
          wal.sync();
          wal.rotate([asBytes('snapshot')]);
        }
        wal.close();
        expect(contentsOf(directory)).to.deep.equal(['snapshot']);
      },
    );
    expect([...codes].sort()).to.deep.equal(['disk_full', 'io', 'no error']);
  });

  it('for another reason ends the log; what was synced is there afterwards', () => {
    for (const call of [
      ({ wal }: OpenedWal) => wal.sync(),
      ({ wal }: OpenedWal) => wal.rotate(['held', ...group].map(asBytes)),
    ]) {
      failEachStep('EIO', call, ({ wal }, code, directory, disk) => {
        if (code === 'no error') return;
        expect(code).to.equal('io');
        expect(codeOf(() => wal.append(asBytes('x')))).to.equal('io');
        expect(codeOf(() => wal.sync())).to.equal('io');
        expect(codeOf(() => wal.rotate([]))).to.equal('io');
        const found = contentsOf(directory);
        expect(isPrefix(found, ['held', ...group]) && found.length > 0).to.equal(true);
        // What an opening has found lasts, though the process before it never synced it.
        inFolder((afterwards) => {
          disk.crash(afterwards, disk.steps, () => 0);
          expect(contentsOf(afterwards)).to.deep.equal(found);
        });
      });
    }
  });

  it('while the log is created leaves it for the next opening, which makes it last', () => {
    for (let step = 0; ; step += 1) {
      const code = inFolder((directory) => {
        const disk = new Disk(directory);
        const found = codeOf(() => disk.watch(() => open(directory), { step, errno: 'EIO' }));
        disk.watch(() => appendGroup(open(directory), 'x'));
        inFolder((afterwards) => {
          disk.crash(afterwards, disk.steps, () => 0);
          expect(contentsOf(afterwards)).to.deep.equal(['x']);
        });
        return found;
      });
      if (code === 'no error') {
        expect(step).to.equal(5);
        return;
      }
      expect(code).to.equal('io');
    }
  });

  it('while it is opened leaves the log for the next opening', () => {
    for (let step = 0; ; step += 1) {
      const code = inFolder((directory) => {
        appendGroup(
          new Disk(directory).watch(() => open(directory)),
          'held',
          'torn',
        );
        const { path, bytes } = onlySegment(directory);
        writeFileSync(path, bytes.subarray(0, -1));
        const found = codeOf(() =>
          new Disk(directory).watch(() => open(directory), { step, errno: 'EIO' }),
        );
        expect(contentsOf(directory)).to.deep.equal(['held']);
        return found;
      });
      if (code === 'no error') {
        expect(step).to.equal(4);
        return;
      }
      expect(code).to.equal('io');
    }
  });
});
