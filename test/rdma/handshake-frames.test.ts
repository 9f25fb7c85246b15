/**
 * What is read before and while a session opens, over frames that were true once and have been tampered with: random bytes
 * alone do not get far into a parser. `RUNS=1000000` looks longer.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import {
  BOOTSTRAP_REFUSALS,
  type BootstrapFrame,
  decodeBootstrapFrame,
  encodeBootstrapFrame,
} from '../../rdma/bootstrap-frames.ts';
import { PROVIDERS, type RegionOffer } from '../../rdma/contract.ts';
import { REFUSAL_CODES } from '../../rdma/links/errors.ts';
import {
  decodeLinkControl,
  encodeFrame,
  encodeHello,
  encodePing,
  encodeRefused,
  FrameReader,
} from '../../rdma/links/frames.ts';

const SHORT_RUNS = 500;
const RUNS = Number(process.env.RUNS ?? SHORT_RUNS);
const PARAMETERS = { numRuns: RUNS };
const LINK_HEADER_BYTES = 6;
const BODY_BYTES_MAX = 300;

const hex = (chars: number) => {
  const digit = fc.constantFrom(...'0123456789abcdef');
  return fc.array(digit, { minLength: chars, maxLength: chars }).map((digits) => digits.join(''));
};

const channel = fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/);
const region = fc.record({
  name: fc.stringMatching(/^\/?[A-Za-z0-9_-][A-Za-z0-9._-]{0,40}$/),
  regionBytes: fc.integer({ min: 1, max: 2 ** 40 }),
  layoutDigest: hex(64),
});
// The keys in the order in which the decoder gives them back.
const offer: fc.Arbitrary<RegionOffer> = fc
  .tuple(fc.constantFrom(...PROVIDERS), region, hex(80))
  .map(([provider, own, endpoint]) =>
    provider === 'verbs' ? { provider, ...own, endpoint } : { provider, ...own },
  );
const bootstrapFrame: fc.Arbitrary<BootstrapFrame> = fc.oneof(
  fc.record({ kind: fc.constant('offer' as const), channel, token: hex(32), offer }),
  fc.record({ kind: fc.constant('mapped' as const), channel, token: hex(32) }),
  fc.record({
    kind: fc.constant('refused' as const),
    channel,
    code: fc.constantFrom(...BOOTSTRAP_REFUSALS),
    message: fc.stringMatching(/^[ -~]{0,200}$/),
  }),
);
const linkFrame: fc.Arbitrary<Buffer> = fc.oneof(
  fc
    .tuple(
      fc.nat(0xffff),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.stringMatching(/^\w{1,50}$/),
    )
    .map(([index, incarnation, networkId]) =>
      encodeHello({ index, incarnation: incarnation.toString(), networkId }),
    ),
  fc.constant(encodePing()),
  fc
    .tuple(fc.constantFrom(...REFUSAL_CODES), fc.string({ maxLength: 60 }))
    .map(([code, message]) => encodeRefused({ code, message })),
  fc
    .tuple(fc.nat(0xffff), fc.uint8Array({ maxLength: 40 }))
    .map(([topic, body]) => encodeFrame(topic, body)),
);

/** One change: bytes cut out at a place, and others put there. */
const change = fc.record({
  at: fc.nat(400),
  cut: fc.nat(6),
  put: fc.oneof(
    fc.uint8Array({ maxLength: 6 }),
    fc
      .constantFrom('"', '{', '}', ',', ':', '\\u0000', '1e9', 'null')
      .map((text) => Buffer.from(text)),
  ),
});
const changes = fc.array(change, { maxLength: 3 });

function tampered(
  bytes: Uint8Array,
  made: readonly { at: number; cut: number; put: Uint8Array }[],
): Buffer {
  let now = Buffer.from(bytes);
  for (const { at, cut, put } of made) {
    const place = at % (now.length + 1);
    now = Buffer.concat([now.subarray(0, place), put, now.subarray(place + cut)]);
  }
  return now;
}

/** All that is accepted is what a correct replica could have said, to the letter. */
function expectSound(frame: ReturnType<typeof decodeBootstrapFrame>): void {
  if (frame.kind === 'malformed') return;
  expect(frame.channel).to.match(/^[a-z][a-z0-9.-]{0,248}$/);
  expect(decodeBootstrapFrame(encodeBootstrapFrame(frame))).to.deep.equal(frame);
  if (frame.kind === 'refused') expect(frame.message).to.match(/^[ -~]{0,200}$/);
  else expect(frame.token).to.match(/^[0-9a-f]{32}$/);
  if (frame.kind !== 'offer') return;
  expect(frame.offer.name).not.to.match(/\.\.\/|.\//);
  expect(frame.offer.regionBytes).to.be.within(1, 2 ** 40);
}

/** Every value in a tree of JSON, as the path to it. */
function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const below = Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]));
  return [path, ...below];
}

function replaced(value: unknown, path: readonly string[], by: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return by;
  const old = value as Record<string, unknown>;
  return { ...old, [key]: replaced(old[key], rest, by) };
}

describe('handshake frames that were tampered with', function () {
  if (RUNS > SHORT_RUNS) this.timeout(0);

  it('come back as they were said when nothing was done to them', () => {
    fc.assert(
      fc.property(bootstrapFrame, (frame) => {
        expect(decodeBootstrapFrame(encodeBootstrapFrame(frame))).to.deep.equal(frame);
      }),
      PARAMETERS,
    );
  });

  it('with bytes changed are malformed or sound (bootstrap)', () => {
    fc.assert(
      fc.property(bootstrapFrame, changes, (frame, made) => {
        expectSound(decodeBootstrapFrame(tampered(encodeBootstrapFrame(frame), made)));
      }),
      PARAMETERS,
    );
  });

  it('with a value of another kind anywhere, or one too many, are malformed or sound (bootstrap)', () => {
    const other = fc.oneof(fc.jsonValue(), fc.constantFrom(2 ** 60, -1, '__proto__', {}, []));
    fc.assert(
      fc.property(bootstrapFrame, fc.nat(), other, fc.boolean(), (frame, which, value, isMore) => {
        const paths = pathsOf(frame);
        const path = paths[which % paths.length] ?? [];
        const changed = replaced(frame, isMore ? [...path, 'more'] : path, value);
        const decoded = decodeBootstrapFrame(Buffer.from(JSON.stringify(changed)));
        expectSound(decoded);
        if (isMore && path.length === 0) expect(decoded.kind).to.equal('malformed');
      }),
      PARAMETERS,
    );
  });

  it('with bytes changed are decoded totally, and within the bounds (links)', () => {
    fc.assert(
      fc.property(linkFrame, changes, (frame, made) => {
        const decoded = decodeLinkControl(tampered(frame.subarray(LINK_HEADER_BYTES), made));
        if (decoded.kind === 'hello') {
          expect(decoded.hello.index).to.be.within(0, 0xffff);
          expect(decoded.hello.incarnation).to.match(/^(0|[1-9]\d{0,19})$/);
          const isText = !decoded.hello.networkId.includes('\ufffd');
          if (isText) {
            const again = encodeHello(decoded.hello).subarray(LINK_HEADER_BYTES);
            expect(decodeLinkControl(again)).to.deep.equal(decoded);
          }
        } else if (decoded.kind === 'refused') {
          expect(decoded.refusal.code).to.be.oneOf([...REFUSAL_CODES]);
          expect(decoded.refusal.message).to.match(/^[ -~]*$/);
        }
      }),
      PARAMETERS,
    );
  });

  it('are cut out of a stream alike wherever it is torn, up to the fault (links)', () => {
    const cuts = fc.array(fc.nat(2_000), { maxLength: 12 });
    fc.assert(
      fc.property(fc.array(linkFrame, { maxLength: 6 }), changes, cuts, (frames, made, at) => {
        const stream = tampered(Buffer.concat(frames), made);
        const whole = read([stream]);
        const places = at.map((cut) => cut % (stream.length + 1)).sort((x, y) => x - y);
        const ends = [...places, stream.length];
        const torn = ends.map((end, i) => stream.subarray(i === 0 ? 0 : ends[i - 1], end));
        expect(read(torn)).to.deep.equal(whole);
        for (const body of whole.bodies) expect(body.length).to.be.at.most(2 * BODY_BYTES_MAX);
      }),
      PARAMETERS,
    );
  });
});

function read(chunks: readonly Buffer[]) {
  const reader = new FrameReader(BODY_BYTES_MAX);
  const bodies: string[] = [];
  for (const chunk of chunks) {
    const fault = reader.push(Buffer.from(chunk), (topic, body) => {
      bodies.push(body.toString('hex'));
      return topic >= 0;
    });
    if (fault !== undefined) return { bodies, fault };
  }
  return { bodies, fault: undefined };
}
