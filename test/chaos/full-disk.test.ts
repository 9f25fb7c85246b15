/** A disk without room: a small tmpfs under one replica's folder, and a file that fills it. */
import { execFileSync } from 'node:child_process';
import { closeSync, cpSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { eventually } from '../support/until.ts';
import { ChaosNetwork } from './chaos-network.ts';

const MIB = 1024 * 1024;
const CHUNK_BYTES = MIB;
const DISK_BYTES = 96 * MIB;
const RESERVE_BYTES = 8 * MIB;
const VICTIM = 3;

/** Says why not, when this process may not mount anything. */
function mountProblem(folder: string): string | undefined {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', folder]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe('a full disk', function () {
  this.timeout(600_000);
  let chaos: ChaosNetwork;
  let disk: string;
  let mounted = false;

  beforeEach(async function () {
    chaos = await ChaosNetwork.create();
    chaos.network.configure(VICTIM, { diskReserveBytes: RESERVE_BYTES });
    disk = dirname(chaos.network.channelFolder(VICTIM));
    const aside = `${disk}.aside`;
    cpSync(disk, aside, { recursive: true });
    const problem = mountProblem(disk);
    if (problem !== undefined) {
      console.log(`full disk: skipped, no tmpfs could be mounted (root may): ${problem}`);
      this.skip();
    }
    mounted = true;
    cpSync(aside, disk, { recursive: true });
    await chaos.network.start();
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.log(chaos.network.logs());
    await chaos.network.stop();
    if (mounted) execFileSync('umount', [disk]);
    mounted = false;
    await chaos.destroy();
  });

  /** Fills the disk but for so many bytes. */
  function fillDisk(leaveBytes: number): string {
    const ballast = join(disk, 'ballast');
    const file = openSync(ballast, 'w');
    const chunk = new Uint8Array(CHUNK_BYTES).fill(1);
    try {
      for (let { bavail, bsize } = statfsSync(disk); bavail * bsize > leaveBytes; ) {
        const bytes = Math.min(chunk.length, bavail * bsize - leaveBytes);
        writeSync(file, chunk, 0, bytes);
        ({ bavail, bsize } = statfsSync(disk));
      }
    } catch (error) {
      // The replica has taken the last bytes itself.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    } finally {
      closeSync(file);
    }
    return ballast;
  }

  it('down to the reserve: it stands still, says so, and goes on when there is room', async () => {
    chaos.startLoad();
    await chaos.committed(30);
    const ballast = fillDisk(RESERVE_BYTES / 2);
    await eventually('it says that its disk is full', async () =>
      ((await chaos.obstacle(VICTIM)) ?? '').includes('disk is full'),
    );
    expect((await chaos.info(VICTIM)).disk).to.equal('full');
    const { view } = await chaos.info(1);
    await chaos.committed(100);
    const { executedSlot } = await chaos.info(VICTIM);
    await chaos.committed(50);
    expect((await chaos.info(VICTIM)).executedSlot, 'it stands still').to.equal(executedSlot);
    expect((await chaos.info(1)).view, 'a full disk changes no leader').to.equal(view);
    rmSync(ballast);
    const startedMs = performance.now();
    await chaos.takePart([VICTIM]);
    console.log(
      `full disk: back ${(performance.now() - startedMs).toFixed(0)} ms after there was room`,
    );
    await chaos.voteAll();
    await chaos.stopLoad();
    await chaos.verify('full disk');
  });

  it('to the last byte, under the leader: it stands still or ends, and loses nothing', async () => {
    chaos.startLoad();
    await chaos.committed(30);
    // It leads from now on: those before it are away one after the other.
    for (let tries = 0; (await chaos.leader()) !== VICTIM && tries < 4; tries++) {
      const leader = await chaos.leader();
      await chaos.network.kill(leader);
      await chaos.committed(10);
      chaos.restart(leader);
      await chaos.takePart([leader]);
    }
    const ballast = fillDisk(0);
    await chaos.committed(100);
    const ended = !chaos.network.process(VICTIM).running;
    if (ended) expect(chaos.network.log(VICTIM)).to.contain('disk_full');
    else expect(await chaos.obstacle(VICTIM)).to.contain('disk is full');
    rmSync(ballast);
    if (ended) chaos.restart(VICTIM);
    await chaos.takePart([VICTIM]);
    console.log(
      `disk full to the last byte: it ${ended ? 'ended, was started again' : 'stood still'}`,
    );
    await chaos.voteAll();
    await chaos.stopLoad();
    await chaos.verify('disk full to the last byte');
  });
});
