import { expect } from 'chai';
import fc from 'fast-check';
import {
  createFrameReader,
  decodeMessages,
  encodeFrames,
  type Frame,
  frameHeader,
} from '../../api/framing.ts';

const messages = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 20 });

describe('length-prefixed framing', () => {
  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(messages, (list) => {
        const decoded = decodeMessages(encodeFrames(list), list.length);
        expect(decoded).to.deep.equal({ kind: 'ok', value: list });
      }),
    );
  });

  it('is total on any bytes, and never reads past the end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const decoded = decodeMessages(bytes, 100);
        if (decoded.kind === 'ok') {
          expect(Buffer.from(encodeFrames(decoded.value)).equals(bytes)).to.equal(true);
        }
      }),
    );
  });

  it('stops counting one past the limit', () => {
    const many = encodeFrames(Array.from({ length: 50 }, () => new Uint8Array(1)));
    const decoded = decodeMessages(many, 10);
    expect(decoded.kind === 'ok' && decoded.value.length).to.equal(11);
  });

  it('reads a stream cut anywhere, with heart-beats and a notice', () => {
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 64 })), (list, cuts) => {
        const notice = new TextEncoder().encode('{"code":"shutting_down"}');
        const stream = Buffer.concat([
          encodeFrames(list),
          new Uint8Array(4),
          frameHeader(notice.length, 'notice'),
          notice,
        ]);
        const reader = createFrameReader(300);
        const frames: Frame[] = [];
        for (let offset = 0, turn = 0; offset < stream.length; turn += 1) {
          const size = cuts[turn % Math.max(1, cuts.length)] ?? 7;
          const read = reader.push(stream.subarray(offset, offset + size));
          if (read.kind === 'malformed') throw new Error(read.reason);
          frames.push(...read.value);
          offset += size;
        }
        expect(
          frames.slice(0, -2).map((frame) => 'bytes' in frame && [...frame.bytes]),
        ).to.deep.equal(list.map((bytes) => [...bytes]));
        expect(frames.slice(-2)).to.deep.equal([
          { kind: 'heartbeat' },
          { kind: 'notice', text: '{"code":"shutting_down"}' },
        ]);
      }),
    );
  });

  it('refuses a frame above the limit before it arrives', () => {
    const read = createFrameReader(10).push(frameHeader(11, 'message'));
    expect(read.kind).to.equal('malformed');
  });

  it('hands out what came before a frame that is none', () => {
    const bytes = Buffer.concat([encodeFrames([new Uint8Array(3)]), frameHeader(11, 'message')]);
    const read = createFrameReader(10).push(bytes);
    expect(read.kind).to.equal('malformed');
    expect(read.value).to.have.length(1);
  });

  it('holds of an incomplete frame about as much as has arrived, in pieces of any size', () => {
    const reader = createFrameReader(1_000_000);
    const bytes = encodeFrames([new Uint8Array(1_000_000).fill(7)]);
    for (const byte of bytes.subarray(0, 500_000)) reader.push(Uint8Array.of(byte));
    expect(reader.heldBytes).to.equal(500_000);
    const read = reader.push(bytes.subarray(500_000));
    const [frame] = read.value;
    expect(frame?.kind === 'message' && frame.bytes.every((byte) => byte === 7)).to.equal(true);
    expect(reader.heldBytes).to.equal(0);
  });
});
