/** A replica whose disk has no room left: it stands still, says so, and goes on by itself. */
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { TestNetwork } from '../support/network.ts';
import { infoOf } from '../support/replica-api.ts';
import { eventually } from '../support/until.ts';

const MIB = 1024 * 1024;
/** What others may do to the disk meanwhile must not matter. */
const MARGIN_BYTES = 96 * MIB;

async function post(url: string, wait: boolean): Promise<{ status: number; body: string }> {
  const answer = await fetch(
    `${url}/v1/channels/main/transactions${wait ? '?wait=commit&timeoutMs=15000' : ''}`,
    {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ data: 'room?' }),
    },
  );
  return { status: answer.status, body: await answer.text() };
}

async function healthOf(url: string): Promise<string> {
  const answer = await fetch(`${url}/healthz`);
  return `${answer.status} ${await answer.text()}`;
}

const PATIENCE_MS = 20_000;

const until = (what: string, condition: () => Promise<boolean>): Promise<void> =>
  eventually(what, condition, PATIENCE_MS);

describe('a replica without room on its disk', function () {
  this.timeout(60_000);
  let network: TestNetwork;

  afterEach(async () => {
    await network?.destroy();
  });

  it('stands still and says so while the others go on, and takes part again when there is room', async () => {
    network = await TestNetwork.create();
    const { bavail, bsize } = statfsSync(network.directory);
    const reserve = bavail * bsize - MARGIN_BYTES;
    network.configure(2, { diskReserveBytes: reserve });
    await network.start();
    expect((await post(network.url(2), true)).status).to.equal(200);

    const ballast = join(network.directory, 'ballast');
    const file = openSync(ballast, 'w');
    const chunk = new Uint8Array(8 * MIB).fill(1);
    for (let bytes = 0; bytes < 2 * MARGIN_BYTES; bytes += chunk.length) writeSync(file, chunk);
    closeSync(file);
    for (let i = 0; i < 10; i++) expect((await post(network.url(1), true)).status).to.equal(200);
    await until('it says that its disk is full', async () =>
      (await healthOf(network.url(2))).includes('the disk is full: make room'),
    );
    expect(await healthOf(network.url(2))).to.match(/^503 /);
    const refused = await post(network.url(2), false);
    expect(refused.status).to.equal(503);
    expect(refused.body).to.contain('not_ready').and.contain('the disk is full');
    expect(await infoOf(network.url(2))).to.include({ disk: 'full' });

    rmSync(ballast);
    await network.ready();
    await until('it has caught up and votes', async () => {
      expect((await post(network.url(2), true)).status).to.equal(200);
      return (await infoOf(network.url(2))).path === 'fast';
    });
    expect(network.log(2)).to.contain('the disk has room again');
  });
});
