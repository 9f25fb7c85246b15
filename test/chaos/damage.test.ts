/** Bytes on disk that change: the replica refuses to start, says what to do, and doing it helps. */
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { listSegments } from '../../consensus/wal/recovery.ts';
import { scanSegment } from '../../consensus/wal/scan.ts';
import { ChaosNetwork } from './chaos-network.ts';

const VICTIM = 2;
const FLIPPED_BYTES = 16;
/** What is wrong, and the way out that docs/operations.md describes. */
const LEDGER_DAMAGED = /not what was written.*move the whole folder of the channel away/;

/** The largest file in the folder whose name ends so. */
function largest(folder: string, ending: string): string {
  const names = readdirSync(folder).filter((name) => name.endsWith(ending));
  const size = (name: string): number => statSync(join(folder, name)).size;
  const [name] = names.sort((a, b) => size(b) - size(a));
  if (name === undefined) throw new Error(`no ${ending} in ${folder}`);
  return join(folder, name);
}

/** Inverts some bytes at this part of the file's first `size` bytes. */
function flip(file: string, part: number, size = statSync(file).size): void {
  const at = Math.floor(size * part);
  const handle = openSync(file, 'r+');
  try {
    const bytes = Buffer.alloc(FLIPPED_BYTES);
    readSync(handle, bytes, 0, FLIPPED_BYTES, at);
    writeSync(
      handle,
      bytes.map((byte) => byte ^ 0xff),
      0,
      FLIPPED_BYTES,
      at,
    );
  } finally {
    closeSync(handle);
  }
}

/** The segment that a start reads, and how much of it holds records: behind them is room, or what an older segment held. */
function wholeSegment(folder: string): { path: string; writtenBytes: number } {
  for (const { path, sequence } of listSegments(folder)) {
    const scan = scanSegment(readFileSync(path), sequence);
    if (scan.kind === 'complete') return { path, writtenBytes: scan.end };
  }
  throw new Error(`no whole segment in ${folder} before anything was changed`);
}

describe('damaged files', function () {
  this.timeout(600_000);
  let chaos: ChaosNetwork;

  beforeEach(async () => {
    chaos = await ChaosNetwork.start();
    chaos.startLoad();
    await chaos.committed(200);
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.log(chaos.network.logs());
    await chaos.destroy();
  });

  /** What the replica says when it refuses to start. */
  async function refusal(): Promise<string> {
    const before = chaos.network.log(VICTIM).length;
    chaos.restart(VICTIM);
    await chaos.network.process(VICTIM).exited;
    expect(chaos.network.process(VICTIM).exitCode).to.be.oneOf([1, 2]);
    return chaos.network.log(VICTIM).slice(before);
  }

  async function startAfresh(name: string, folder: string): Promise<void> {
    renameSync(folder, join(chaos.network.directory, 'damaged'));
    chaos.restart(VICTIM);
    await chaos.takePart([VICTIM]);
    await chaos.voteAll();
    await chaos.stopLoad();
    await chaos.verify(name);
  }

  it('a segment file, in the middle', async () => {
    await chaos.network.kill(VICTIM);
    const folder = chaos.network.channelFolder(VICTIM);
    flip(largest(join(folder, 'segments'), '.seg'), 0.5);
    const said = await refusal();
    expect(said).to.match(LEDGER_DAMAGED);
    await startAfresh('damaged segment file', folder);
  });

  it('a log of LevelDB, in the middle', async () => {
    await chaos.network.kill(VICTIM);
    const folder = chaos.network.channelFolder(VICTIM);
    flip(largest(join(folder, 'db'), '.log'), 0.5);
    const said = await refusal();
    expect(said).to.match(LEDGER_DAMAGED);
    await startAfresh('damaged LevelDB log', folder);
  });

  it('a table of LevelDB', async () => {
    // What was in the log becomes a table at the next start.
    await chaos.network.kill(VICTIM);
    chaos.restart(VICTIM);
    await chaos.takePart([VICTIM]);
    await chaos.network.kill(VICTIM);
    const folder = chaos.network.channelFolder(VICTIM);
    flip(largest(join(folder, 'db'), '.ldb'), 0.5);
    const said = await refusal();
    expect(said).to.match(LEDGER_DAMAGED);
    await startAfresh('damaged LevelDB table', folder);
  });

  it('the write-ahead log, in the middle', async () => {
    await chaos.network.kill(VICTIM);
    const folder = join(chaos.network.channelFolder(VICTIM), 'log');
    const { path, writtenBytes } = wholeSegment(folder);
    flip(path, 0.5, writtenBytes);
    const said = await refusal();
    expect(said)
      .to.contain('damaged')
      .and.match(/move the folder of this file away/);
    await startAfresh('damaged write-ahead log', folder);
  });
});
