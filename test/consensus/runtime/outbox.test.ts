/** The order of effects against a real log: what follows a record waits until the record is on disk. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Effect, LogRecord } from '../../../consensus/core/index.ts';
import { Outbox, type OuterEffect } from '../../../consensus/runtime/outbox.ts';
import { openWal, type Wal } from '../../../consensus/wal/index.ts';
import { decodeRecord } from '../../../consensus/wire/index.ts';

const RUN_ID = new Uint8Array(32).fill(7);
const EMPTY_TIP = { seq: 0, digest: new Uint8Array(32) };

function vote(slot: number): LogRecord {
  const frontier = [EMPTY_TIP, EMPTY_TIP, EMPTY_TIP, EMPTY_TIP];
  return { kind: 'vote', view: 0, proposal: { slot, timeMs: 1, cut: false, frontier } };
}

const persist = (slot: number): Effect => ({ kind: 'persist', record: vote(slot) });
const dropOf = (seq: number): Effect => {
  return { kind: 'drop-batch', lane: 1, ref: { seq, digest: new Uint8Array(32) } };
};
const ROTATE: Effect = {
  kind: 'rotate-log',
  records: [{ kind: 'checkpoint', certificate: undefined }],
};

describe('outbox', () => {
  let directory: string;
  let carriedOut: number[];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-outbox-'));
    carriedOut = [];
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const execute = (effect: OuterEffect): void => {
    if (effect.kind === 'drop-batch') carriedOut.push(effect.ref.seq);
  };

  function open(): { wal: Wal; records: LogRecord[] } {
    const opened = openWal({ directory, reserveBytes: 0, recordBytesMax: 1 << 20, name: RUN_ID });
    const records = opened.records.map((bytes) => {
      const decoded = decodeRecord(bytes, 4);
      if (decoded.kind === 'malformed') throw new Error(decoded.reason);
      return decoded.value;
    });
    return { wal: opened.wal, records };
  }

  /** What a restart would read. */
  function onDisk(): LogRecord[] {
    const opened = open();
    opened.wal.close();
    return opened.records;
  }

  it('carries out at once what waits for nothing', () => {
    const outbox = new Outbox({ createWal: () => open().wal, execute });
    outbox.push([dropOf(1), dropOf(2)]);
    expect(carriedOut).to.eql([1, 2]);
  });

  it('holds back everything behind a record until the record is on disk, and keeps the order', () => {
    const outbox = new Outbox({ createWal: () => open().wal, execute });
    outbox.push([ROTATE]);
    outbox.flush();
    outbox.push([dropOf(1), persist(1), dropOf(2)]);
    outbox.push([dropOf(3), persist(2), dropOf(4)]);
    expect(carriedOut).to.eql([1]);
    outbox.flush();
    expect(carriedOut).to.eql([1, 2, 3, 4]);
    outbox.close();
    expect(onDisk().map(({ kind }) => kind)).to.eql(['checkpoint', 'vote', 'vote']);
  });

  it('begins the log anew in the place where the core says so', () => {
    const outbox = new Outbox({ createWal: () => open().wal, execute });
    outbox.push([ROTATE, persist(1)]);
    outbox.flush();
    outbox.push([persist(2), ROTATE, persist(3)]);
    outbox.flush();
    outbox.close();
    const votes = onDisk().flatMap((record) =>
      record.kind === 'vote' ? [record.proposal.slot] : [],
    );
    expect(votes).to.eql([3]);
  });

  it('writes nothing for a replica that has no log yet, or never will', () => {
    const joining = new Outbox({ createWal: () => open().wal, execute });
    joining.push([persist(1), dropOf(1)]);
    expect(carriedOut).to.eql([1]);
    expect(readdirSync(directory)).to.eql([]);
    const memory = new Outbox({ createWal: undefined, execute });
    memory.push([ROTATE, persist(1), dropOf(2)]);
    expect(carriedOut).to.eql([1, 2]);
    expect(readdirSync(directory)).to.eql([]);
  });
});
