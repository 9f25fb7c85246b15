/**
 * Bad input against four real replicas: each is answered with its status and code, and after each
 * the four go on ordering, as one chain, in good health.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect } from 'chai';
import { buildEnvelope, createWriter, type Writer } from '../../api/client/index.ts';
import {
  encodeEnvelope,
  encodePayload,
  HEADER_TYPES,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import { createTestAuthority } from '../support/certificates.ts';
import { residentBytes } from '../support/process-stats.ts';
import { blockHashOf, blockOf, infoOf } from '../support/replica-api.ts';
import { eventually, until } from '../support/until.ts';
import { useNetwork } from '../support/use-network.ts';

const ENVELOPE = 'application/octet-stream';
const MIB = 1024 * 1024;

interface Answer {
  readonly status: number;
  readonly body: {
    readonly code?: string;
    readonly message?: string;
    readonly txId?: string;
    readonly status?: string;
    readonly blockNumber?: number;
    readonly index?: number;
  };
}

interface Submission {
  readonly body: Uint8Array | string;
  readonly type?: string | undefined;
  readonly replica?: number;
  readonly channel?: string;
  readonly wait?: boolean;
}

describe('bad input to a network of four replicas', function () {
  this.timeout(30_000);
  const network = useNetwork();
  let user: Writer;
  let halfOpen: RawSocket[];

  before(async () => {
    const { mspId, certificateFile, keyFile } = network.created.user;
    user = createWriter({
      mspId,
      certificatePem: readFileSync(certificateFile, 'utf8'),
      privateKeyPem: readFileSync(keyFile, 'utf8'),
    });
    // The oldest limit of the API is ten seconds: it runs while the other tests do.
    halfOpen = await Promise.all(
      network.urls.flatMap((url) => [
        rawSocket(portOf(url), ''),
        rawSocket(portOf(url), 'POST /v1/channels/main/transactions HTTP/1.1\r\nHost: x\r\nConte'),
      ]),
    );
  });

  after(() => {
    for (const { socket } of halfOpen ?? []) socket.destroy();
  });

  afterEach(async () => {
    await expectOrdering();
  });

  async function submit(submission: Submission): Promise<Answer> {
    const { body, type, replica = 1, channel = 'main', wait = false } = submission;
    const answer = await fetch(
      `${network.url(replica)}/v1/channels/${channel}/transactions${wait ? '?wait=commit' : ''}`,
      {
        method: 'POST',
        headers:
          'type' in submission
            ? { ...(type && { 'content-type': type }) }
            : { 'content-type': ENVELOPE },
        body: Buffer.from(body),
      },
    );
    return { status: answer.status, body: (await answer.json()) as Answer['body'] };
  }

  async function expectRefused(
    submission: Submission,
    status: number,
    code: string,
  ): Promise<void> {
    const answer = await submit(submission);
    expect(answer.body.code, JSON.stringify(answer.body)).to.equal(code);
    expect(answer.status, code).to.equal(status);
  }

  async function expectGet(path: string, status: number, code: string): Promise<void> {
    const answer = await fetch(`${network.url(2)}/v1/channels/${path}`);
    const body = (await answer.json()) as Answer['body'];
    expect(body.code, path).to.equal(code);
    expect(answer.status, path).to.equal(status);
  }

  function envelope(data: string | Uint8Array = 'x', overrides: object = {}): Uint8Array {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    return buildEnvelope({ channel: 'main', data: bytes, writer: user, ...overrides }).envelope;
  }

  /** A transaction through each of the four is committed, and all have the same newest block. */
  async function expectOrdering(): Promise<void> {
    const answers = await Promise.all(
      [1, 2, 3, 4].map((replica) => submit({ body: envelope(), replica, wait: true })),
    );
    for (const { status, body } of answers) expect(status, JSON.stringify(body)).to.equal(200);
    const newest = Math.max(...answers.map(({ body }) => body.blockNumber ?? -1));
    const hashes = new Set<string>();
    for (const replica of [1, 2, 3, 4]) {
      const url = network.url(replica);
      await eventually(
        `block ${newest} at replica ${replica}`,
        async () => (await infoOf(url)).height > newest,
      );
      hashes.add(await blockHashOf(url, newest));
      expect((await fetch(`${url}/healthz`)).status).to.equal(200);
    }
    expect(hashes.size).to.equal(1);
  }

  it('a wrong content type', async () => {
    const body = envelope();
    for (const type of ['text/plain', 'application/grpc', 'multipart/form-data; boundary=x', '']) {
      await expectRefused({ body, type }, 415, 'unsupported_media_type');
    }
    await expectRefused({ body, type: 'application/json' }, 400, 'malformed_json');
    await expectRefused({ body: '{"data":', type: 'application/json' }, 400, 'malformed_json');
    await expectRefused({ body: '[1]', type: 'application/json' }, 400, 'malformed_body');
    await expectRefused(
      { body: '{"envelope": "%%%"}', type: 'application/json' },
      400,
      'malformed_body',
    );
    await expectRefused({ body, type: 'application/x-protobuf-seq' }, 400, 'malformed_body');
  });

  it('a truncated or garbled protobuf, and one with more than a transaction has', async () => {
    const body = envelope();
    await expectRefused({ body: '' }, 400, 'empty_envelope');
    // Near the end the cut falls into the signature, and leaves an envelope that ends early.
    for (let length = 1; length < body.length; length += 61) {
      await expectRefused({ body: body.subarray(0, length) }, 400, 'malformed_envelope');
    }
    for (let i = 0; i < 20; i++) {
      const answer = await submit({ body: randomBytes(300) });
      expect(answer.status).to.equal(400);
    }
    // Field 15, varint 1.
    await expectRefused({ body: Buffer.concat([body, Buffer.of(0x78, 1)]) }, 400, 'not_canonical');
  });

  it('more bytes than the channel takes', async () => {
    await expectRefused({ body: new Uint8Array(32 * MIB) }, 413, 'body_too_large');
    const { status, body } = await submit({ body: envelope(new Uint8Array(10 * MIB)) });
    expect([status, body.code]).to.deep.equal([413, 'envelope_too_large']);
  });

  it('an unknown channel, in the path or in the envelope', async () => {
    await expectRefused({ body: envelope(), channel: 'nope' }, 404, 'no_such_channel');
    await expectRefused({ body: envelope(), channel: '..%2fmain' }, 404, 'no_such_channel');
    await expectRefused({ body: envelope('x', { channel: 'other' }) }, 400, 'wrong_channel');
    await expectGet('nope', 404, 'no_such_channel');
    await expectGet('nope/deliver', 404, 'no_such_channel');
  });

  it('a signature that does not fit, an unknown writer, a false tx_id, a type not for clients', async () => {
    const parsed = parseEnvelope(envelope());
    if (parsed.kind === 'malformed') throw new Error(parsed.reason);
    const { payload, signature, channelHeader, signatureHeader, data } = parsed.value;
    const forged = Uint8Array.from(signature);
    forged[10] = (forged[10] ?? 0) ^ 1;
    await expectRefused({ body: encodeEnvelope(payload, forged) }, 403, 'bad_signature');
    await expectRefused({ body: encodeEnvelope(payload, new Uint8Array(0)) }, 403, 'bad_signature');
    const txId = 'ab'.repeat(32);
    const misnamed = encodePayload({ ...channelHeader, txId }, signatureHeader, data);
    await expectRefused({ body: encodeEnvelope(misnamed, signature) }, 400, 'bad_tx_id');
    const authority = await createTestAuthority('Org1MSP');
    const { certPem, keyPem } = await authority.issue({ commonName: 'user', usage: 'identity' });
    for (const mspId of ['Org1MSP', 'Org2MSP']) {
      const writer = createWriter({ mspId, certificatePem: certPem, privateKeyPem: keyPem });
      await expectRefused({ body: envelope('x', { writer }) }, 403, 'unknown_writer');
    }
    const type = HEADER_TYPES.CONFIG;
    await expectRefused({ body: envelope('x', { type }) }, 400, 'unsupported_type');
  });

  it('the same transaction at two replicas at once, and again: it is ordered once', async () => {
    const bodies = Array.from({ length: 20 }, () => envelope('twice'));
    const answers = await Promise.all(
      bodies.map((body, i) =>
        Promise.all([
          submit({ body, replica: 1 + (i % 4), wait: true }),
          submit({ body, replica: 1 + ((i + 1) % 4), wait: true }),
        ]),
      ),
    );
    for (const [first, second] of answers) {
      expect(first.status, JSON.stringify(first.body)).to.equal(200);
      expect(second.body.blockNumber).to.equal(first.body.blockNumber);
      expect(second.body.index).to.equal(first.body.index);
    }
    await expectRefused({ body: bodies[0] ?? '', replica: 4 }, 409, 'duplicate_transaction');
    const again = await submit({ body: bodies[0] ?? '', replica: 4, wait: true });
    expect(again.body.blockNumber).to.equal(answers[0]?.[0].body.blockNumber);
    const nonce = randomBytes(24);
    await submit({ body: envelope('one', { nonce }), wait: true });
    const other = { body: envelope('another', { nonce }), wait: true };
    await expectRefused(other, 409, 'duplicate_transaction');
    const wanted = new Set(answers.map(([{ body }]) => body.txId));
    for (const replica of [1, 2, 3, 4]) {
      const found = (await allTxIds(replica)).filter((txId) => wanted.has(txId));
      expect(found.length, `replica ${replica}`).to.equal(bodies.length);
      expect(new Set(found).size).to.equal(bodies.length);
    }
  });

  async function allTxIds(replica: number): Promise<string[]> {
    const txIds: string[] = [];
    const url = network.url(replica);
    const { height } = await infoOf(url);
    for (let number = 1; number < height; number++) {
      for (const entry of (await blockOf(url, number)).data) {
        const parsed = parseEnvelope(entry);
        if (parsed.kind === 'ok') txIds.push(parsed.value.channelHeader.txId);
      }
    }
    return txIds;
  }

  it('block numbers below zero, beyond the chain and beyond all numbers', async () => {
    const huge = ['9007199254740992', '18446744073709551616', '9'.repeat(60)];
    for (const number of ['-1', '1.5', '1e3', 'NaN', '0x10', ...huge]) {
      await expectGet(`main/blocks/${number}`, 400, 'invalid_parameter');
      await expectGet(`main/deliver?from=${number}`, 400, 'invalid_parameter');
    }
    await expectGet('main/blocks/9007199254740991', 404, 'block_not_ready');
    await expectGet('main/deliver?from=9007199254740991', 404, 'block_not_ready');
    await expectGet('main/deliver?from=3&to=1', 400, 'bad_range');
    await expectGet('main/transactions/zz', 400, 'invalid_parameter');
    await expectGet(`main/transactions/${'00'.repeat(32)}`, 404, 'no_such_transaction');
  });

  it('garbage and strangers on the link ports', async () => {
    const ports = network.urls.map((_, i) => portOf(network.url(1)) + 4 + i);
    const sockets = await Promise.all(
      ports.flatMap((port) => [
        rawSocket(port, randomBytes(4096)),
        rawSocket(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
        // A TLS record header that promises more than TLS allows.
        rawSocket(port, Buffer.of(0x16, 3, 1, 0xff, 0xff)),
      ]),
    );
    await Promise.all(sockets.map(({ gone }) => gone));
    for (const port of ports) {
      // No certificate: the handshake may complete at this end before the other refuses.
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
      socket.on('error', () => {});
      socket.resume();
      socket.once('secureConnect', () => socket.write(randomBytes(100)));
      await new Promise((resolve) => socket.once('close', resolve));
    }
  });

  it('a deliver client that stops reading while the chain grows', async () => {
    const client = await rawSocket(
      portOf(network.url(1)),
      'GET /v1/channels/main/deliver?from=0&follow=true HTTP/1.1\r\nHost: x\r\n\r\n',
    );
    await until('the stream', () => client.bytes() > 0);
    client.socket.pause();
    const before = client.bytes();
    const data = new Uint8Array(MIB / 2);
    for (let i = 0; i < 12; i++) {
      const answers = await Promise.all(
        [1, 2].map((replica) => submit({ body: envelope(data, {}), replica, wait: true })),
      );
      for (const { status } of answers) expect(status).to.equal(200);
    }
    expect(residentBytes(network.process(1).pid).now).to.be.below(200 * MIB);
    // It goes on where it was, as long as it was not silent for too long.
    client.socket.resume();
    await until('the rest', () => client.bytes() > before + 12 * MIB);
    client.socket.destroy();
  });

  it('connections that are left half open', async () => {
    await Promise.all(halfOpen.map(({ gone }) => gone));
    for (const { text } of halfOpen) expect(text()).to.match(/^HTTP\/1\.1 408 .*request_timeout/s);
  });
});

interface RawSocket {
  readonly socket: Socket;
  /** Resolves when the connection is closed. */
  readonly gone: Promise<void>;
  readonly text: () => string;
  readonly bytes: () => number;
}

/** A connection that sends these bytes and then keeps silent. */
async function rawSocket(port: number, bytes: string | Uint8Array): Promise<RawSocket> {
  const socket = connectTcp(port, '127.0.0.1');
  const gone = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  });
  let text = '';
  socket.on('data', (chunk) => {
    if (text.length < 4_096) text += chunk.toString('latin1');
  });
  // A reset is one of the ways in which a server hangs up.
  socket.on('error', () => {});
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve());
  });
  if (bytes.length > 0) socket.write(bytes);
  return { socket, gone, text: () => text, bytes: () => socket.bytesRead };
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}
