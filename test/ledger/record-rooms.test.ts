import { expect } from 'chai';
import { STORE_LIMITS } from '../../ledger/store/limits.ts';
import { RecordRooms } from '../../ledger/store/segments/record-rooms.ts';

const KIB = 1024;

describe('rooms for records', () => {
  it('are lent to one at a time, and again when they are back', () => {
    const rooms = new RecordRooms();
    const first = rooms.take(100 * KIB);
    const second = rooms.take(100 * KIB);
    expect(first.length).to.equal(100 * KIB);
    expect(second.buffer).not.to.equal(first.buffer);
    rooms.giveBack(first);
    const third = rooms.take(120 * KIB);
    expect(third.buffer, 'large enough').to.equal(first.buffer);
    expect(third.length).to.equal(120 * KIB);
    rooms.giveBack(third);
    expect(rooms.take(129 * KIB).buffer, 'too small').not.to.equal(first.buffer);
  });

  it('are not lent to two when one is given back twice, nor when it is from elsewhere', () => {
    const rooms = new RecordRooms();
    const own = rooms.take(10);
    rooms.giveBack(own);
    rooms.giveBack(own);
    const foreign = new Uint8Array(64 * KIB);
    rooms.giveBack(foreign);
    const taken = [rooms.take(10), rooms.take(10), rooms.take(10)].map(({ buffer }) => buffer);
    expect(taken[0]).to.equal(own.buffer);
    expect(new Set(taken).size).to.equal(3);
    expect(taken).not.to.include(foreign.buffer);
  });

  it('are kept up to a bound, the newest', () => {
    const rooms = new RecordRooms();
    const size = STORE_LIMITS.roomBytesMax / 2;
    const taken = [rooms.take(size), rooms.take(size), rooms.take(size)];
    for (const room of taken) rooms.giveBack(room);
    expect(rooms.take(size).buffer).to.equal(taken[2]?.buffer);
    expect(rooms.take(size).buffer).to.equal(taken[1]?.buffer);
    expect(taken.map(({ buffer }) => buffer)).not.to.include(rooms.take(size).buffer);
    rooms.giveBack(rooms.take(2 * STORE_LIMITS.roomBytesMax));
    expect(rooms.take(10).buffer.byteLength, 'one that is too large is not kept').to.equal(
      64 * KIB,
    );
  });
});
