/** Submission streams that are held back, run out of time, or are ended by the server. */
import { expect } from 'chai';
import { encodeFrames } from '../../api/framing.ts';
import { makeEnvelope, txIdOf } from '../support/memory-service.ts';
import { until } from '../support/until.ts';
import { useApi } from './harness.ts';
import { StreamClient } from './stream-client.ts';

const KIB = 1024;

function envelopes(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => makeEnvelope(`${index}`));
}

describe('submission streams under load', () => {
  const t = useApi({ limits: { submitStreamItemsMax: 8, submitStreamBytesMax: 16 * KIB } });

  it('have so many under way, and are read on as those get their results', async () => {
    t.channel.hold();
    const client = new StreamClient(t);
    client.send(...envelopes(100));
    await until('eight wait', () => t.channel.waiting === 8);
    expect(t.channel.info().transactionsPending).to.equal(8);
    t.channel.resume();
    const lines = await client.results(100);
    expect(lines.every(({ status }) => status === 'committed')).to.equal(true);
    client.request.end();
    await until('the end', () => client.ended);
  });

  it('hold little of what is sent again and again while it waits', async () => {
    t.channel.hold();
    const client = new StreamClient(t);
    const envelope = makeEnvelope(new Uint8Array(10 * KIB));
    client.send(...Array.from({ length: 30 }, () => envelope));
    await until('some wait', () => t.channel.waiting > 1);
    expect(t.api.load().bodyBytes).to.be.above(10 * KIB);
    t.channel.resume();
    const lines = await client.results(30);
    expect(lines.every(({ status }) => status === 'committed')).to.equal(true);
    await until('the bytes are given back', () => t.api.load().bodyBytes === 0);
    client.request.end();
    await until('the end', () => client.ended);
  });

  it('wait for room instead of being refused', async () => {
    for (let count = 0; count < 12; count++) {
      t.channel.refuseNext({ code: 'overloaded', message: 'full', retryAfterMs: 5 });
    }
    const client = new StreamClient(t);
    const sent = envelopes(5);
    client.send(...sent);
    const lines = await client.results(5);
    expect(lines.every(({ status }) => status === 'committed')).to.equal(true);
    expect(new Set(lines.map((line) => 'txId' in line && line.txId))).to.deep.equal(
      new Set(sent.map(txIdOf)),
    );
    client.request.end();
    await until('the end', () => client.ended);
  });
});

describe('the places of waiters', () => {
  const t = useApi({ limits: { waitersMax: 3 } });

  it('are shared by streams: who finds none waits', async () => {
    t.channel.hold();
    const clients = [new StreamClient(t), new StreamClient(t)];
    for (const client of clients) client.send(...envelopes(4));
    await until('three wait', () => t.channel.waiting === 3);
    t.channel.resume();
    for (const client of clients) {
      await client.results(4);
      client.request.end();
    }
  });
});

/** Sends for ever, as long as the connection takes it; answers what undoes it. */
function sendOn(client: StreamClient, perPiece: number, sent: { count: number }): () => void {
  const timer = setInterval(() => {
    if (client.request.writableLength > 512 * KIB) return;
    client.send(...envelopes(perPiece));
    sent.count += perPiece;
  }, 1);
  return () => clearInterval(timer);
}

describe('a submission stream whose client reads no results', () => {
  const t = useApi({ limits: { submitStreamItemsMax: 64, submitStreamBytesMax: 64 * KIB } });

  it('is not read any more, costs little, and goes on when it is', async () => {
    const client = new StreamClient(t);
    await client.opened();
    client.response?.pause();
    const sent = { count: 0 };
    const stop = sendOn(client, 256, sent);
    let last = '';
    let looks = 0;
    await until(
      'nothing moves',
      () => {
        const now = `${sent.count} ${client.request.writableLength} ${t.channel.info().height}`;
        looks = now === last ? looks + 1 : 0;
        last = now;
        return looks > 50;
      },
      30_000,
    );
    stop();
    expect(client.request.writableLength, 'held back').to.be.above(512 * KIB);
    expect(t.api.load().bodyBytes).to.be.at.most(256 * KIB);
    expect(t.api.load().waiters).to.be.at.most(64);
    client.response?.resume();
    client.request.end();
    await until('the end', () => client.ended, 30_000);
    expect(client.lines).to.have.length(sent.count);
  }).timeout(60_000);
});

describe('a submission stream whose client never reads again', () => {
  const t = useApi({
    limits: {
      framePressedMsMax: 100,
      deliverStallMsMax: 100,
      deliverBytesPerSecondMin: 1e9,
      deliverLingerMs: 100,
    },
  });

  it('is cut', async () => {
    const client = new StreamClient(t);
    await client.opened();
    client.response?.pause();
    const stop = sendOn(client, 256, { count: 0 });
    await until('it is cut', () => t.api.load().submitStreams === 0, 30_000);
    stop();
    client.request.destroy();
  }).timeout(60_000);
});

describe('submission streams and time', () => {
  const t = useApi({
    limits: {
      submitStreamIdleMsMax: 700,
      deliverHeartbeatMs: 30,
      headersMsMax: 100,
      requestMsMax: 100,
      connectionCheckMs: 20,
    },
  });

  it('live longer than a request may take to arrive, and carry heart-beats both ways', async () => {
    const client = new StreamClient(t);
    const beating = setInterval(() => client.request.write(new Uint8Array(4)), 50);
    await until('heart-beats', () => client.heartbeats > 30);
    client.send(makeEnvelope('late'));
    expect((await client.results(1))[0]).to.include({ item: 0, status: 'committed' });
    clearInterval(beating);
    client.request.end();
    await until('the end', () => client.ended);
  });

  it('end when nothing comes, not even a whole heart-beat', async () => {
    const client = new StreamClient(t);
    const dripping = setInterval(() => client.request.write(new Uint8Array(1)), 300);
    client.request.write(encodeFrames([makeEnvelope('a')]).subarray(0, 9));
    const last = await client.last();
    clearInterval(dripping);
    expect(last).to.include({ code: 'stream_idle' });
    expect(last.details).to.deep.equal({ items: 0 });
    client.request.end();
  });
});

describe('a server that stops', () => {
  const t = useApi({ limits: { submitStreamItemsMax: 4 } });

  it('answers what its submission streams have sent, and says why they end', async () => {
    t.channel.hold();
    const client = new StreamClient(t);
    client.send(...envelopes(6));
    await until('four wait', () => t.channel.waiting === 4);
    const closed = t.api.close();
    const last = await client.last();
    expect(last).to.include({ code: 'shutting_down' });
    expect(last.details).to.deep.equal({ items: 6 });
    const told = client.lines.slice(0, -1).map(({ item, status }) => [item, status]);
    expect(told).to.have.deep.members([
      [4, 'refused'],
      [5, 'refused'],
      [0, 'pending'],
      [1, 'pending'],
      [2, 'pending'],
      [3, 'pending'],
    ]);
    client.request.end();
    await closed;
  });

  it('ends streams that nothing was sent on at once', async () => {
    const client = new StreamClient(t);
    await client.opened();
    const closed = t.api.close();
    expect(await client.last()).to.include({ code: 'shutting_down' });
    client.request.end();
    await closed;
  });
});
