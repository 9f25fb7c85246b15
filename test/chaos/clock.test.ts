/** The wall clock of one replica steps by an hour while it runs, and while it is down (libfaketime). */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { DEFAULT_LIMITS } from '../../consensus/core/index.ts';
import { eventually } from '../support/until.ts';
import { blockTimesMs } from './chain.ts';
import { ChaosNetwork } from './chaos-network.ts';

const LIBRARY = 'libfaketimeMT.so.1';
const LIBRARY_FOLDERS = '/usr/lib';
const STEP_SECONDS = 3_600;
const CLOCK_TOLERANCE_MS = 60_000;
/** More would be a storm: the leader with the wrong clock is replaced, and a busy machine has its moments. */
const VIEW_CHANGES_MAX = 6;

function findLibrary(): string | undefined {
  for (const name of readdirSync(LIBRARY_FOLDERS)) {
    const file = join(LIBRARY_FOLDERS, name, 'faketime', LIBRARY);
    if (existsSync(file)) return file;
  }
  return undefined;
}

/** Debian's package, when this machine is one and this process may install it. */
function installLibrary(): string | undefined {
  try {
    execFileSync('apt-get', ['install', '-y', 'faketime'], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  return findLibrary();
}

describe('a clock that steps', function () {
  this.timeout(600_000);
  let chaos: ChaosNetwork;
  let library: string;
  let clockFile: string;

  before(function () {
    const found = findLibrary() ?? installLibrary();
    if (found === undefined) {
      console.log(`clock: skipped, there is no ${LIBRARY} (Debian: apt-get install faketime)`);
      this.skip();
    }
    library = found;
  });

  beforeEach(async () => {
    // Certificates are to be valid in all that this test calls time.
    chaos = await ChaosNetwork.create({ createdAtMs: Date.now() - 86_400_000 });
    clockFile = join(chaos.network.directory, 'clock');
    setClock(0);
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.log(chaos.network.logs());
    await chaos.destroy();
  });

  function setClock(offsetSeconds: number): void {
    const sign = offsetSeconds < 0 ? '-' : '+';
    writeFileSync(clockFile, `${sign}${Math.abs(offsetSeconds)}\n`);
  }

  function spawnWithClock(number: number): void {
    chaos.network.spawnWith(number, {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: clockFile,
      FAKETIME_NO_CACHE: '1',
      // A step of the wall clock is none of the monotonic one.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    });
  }

  /** Waits until this replica's clock is off by so much: its answers are dated. */
  async function clockIsOff(number: number, offsetSeconds: number): Promise<void> {
    await eventually(`the clock of replica ${number} is off by ${offsetSeconds} s`, async () => {
      const answer = await fetch(`${chaos.network.url(number)}/livez`);
      await answer.arrayBuffer();
      const offMs = Date.parse(answer.headers.get('date') ?? '') - Date.now();
      return Math.abs(offMs - 1_000 * offsetSeconds) < CLOCK_TOLERANCE_MS;
    });
  }

  async function highestView(numbers: readonly number[] = chaos.numbers): Promise<number> {
    const infos = await Promise.all(numbers.map((number) => chaos.info(number)));
    return Math.max(...infos.map(({ view }) => view));
  }

  /** Never back, and never further ahead of this test's clock than is allowed to a leader. */
  async function expectSaneTimes(fromMs: number): Promise<void> {
    const timesMs = await blockTimesMs(chaos.network.url(1), chaos.channel);
    expect(timesMs).to.have.length.above(0);
    expect(timesMs).to.deep.equal(timesMs.toSorted((a, b) => a - b));
    expect(timesMs.at(0)).to.be.at.least(fromMs - DEFAULT_LIMITS.clockSkewMsMax);
    expect(timesMs.at(-1)).to.be.at.most(Date.now() + DEFAULT_LIMITS.clockSkewMsMax);
  }

  it('while it runs, on the leader: forward, back, and to where it should be', async () => {
    const startedMs = Date.now();
    chaos.network.spawn(2, 3, 4);
    spawnWithClock(1);
    await chaos.network.ready();
    chaos.startLoad();
    await chaos.committed(30);
    const before = await highestView();
    for (const offset of [STEP_SECONDS, -STEP_SECONDS, 0]) {
      setClock(offset);
      await clockIsOff(1, offset);
      await chaos.committed(100);
      await chaos.probe(chaos.numbers);
    }
    const changes = (await highestView()) - before;
    console.log(`clock steps by ${STEP_SECONDS} s on the leader: ${changes} view changes`);
    expect(changes).to.be.at.most(VIEW_CHANGES_MAX);
    await chaos.voteAll();
    await chaos.stopLoad();
    await chaos.settle();
    await expectSaneTimes(startedMs);
    await chaos.verify('clock steps');
  });

  for (const offset of [STEP_SECONDS, -STEP_SECONDS]) {
    const name = `clock ${offset > 0 ? 'ahead' : 'behind'} by ${STEP_SECONDS} s`;
    it(`while it is down: ${name}, it is restarted, and the next leader is killed`, async () => {
      const startedMs = Date.now();
      await chaos.network.start();
      chaos.startLoad();
      await chaos.committed(30);
      await chaos.network.kill(2);
      setClock(offset);
      spawnWithClock(2);
      await chaos.takePart([2]);
      await clockIsOff(2, offset);
      // Replica 2 is next in turn: it leads, with its clock, for as long as the others let it.
      await chaos.network.kill(1);
      await chaos.committed(100);
      const before = await highestView([2, 3, 4]);
      await chaos.committed(100);
      const changes = (await highestView([2, 3, 4])) - before;
      chaos.restart(1);
      await chaos.takePart([1]);
      console.log(`${name}: ${changes} view changes after the leader was replaced`);
      expect(changes).to.be.at.most(VIEW_CHANGES_MAX);
      await chaos.stopLoad();
      await chaos.settle();
      await expectSaneTimes(startedMs);
      await chaos.verify(name);
    });
  }
});
