#include "write_log.h"

#include "cell.h"
#include "ring_reader.h"
#include "ring_writer.h"
#include "support/fixture.h"

namespace sluice::test {
namespace {

// A writer with its copy of the region, and the region.
struct Shipped {
  Geometry geometry = SmallGeometry();
  Memory copy{geometry};
  Memory region{geometry};
  CellTable table{geometry};
  CellWriter cells{geometry, copy.base(), kKey, kIncarnation};
  RingWriter lane{geometry, layout::kRingLane, copy.base(), kKey, 60'000};
  WriteLog log{geometry, copy.base()};
  WriteApplier applier{geometry, region.base()};
  CellReader reader{geometry, region.base(), kKey, kIncarnation, kEpoch};
  RingReader laneReader{geometry, layout::kRingLane, region.base(), kKey, 60'000};
  Sha256 sha256;

  void Vote(uint64_t slot, uint32_t view) {
    const uint32_t ordinal = table.Put(layout::kKindVote, slot, view, 0, kEpoch, nullptr, 0);
    cells.Write(ordinal, table.at(ordinal), {});
    log.NoteCell(ordinal);
  }

  void Push(const Bytes& payload) {
    CHECK(lane.Push(std::make_shared<OutPayload>(payload.data(), payload.size(),
                                                 geometry.fragmentBytesMax(layout::kRingLane), sha256)));
  }

  // One parcel, in a block of just its size.
  Bytes Take(size_t bytesMax) {
    Bytes parcel(bytesMax);
    parcel.resize(log.Take(parcel.data(), bytesMax));
    parcel.shrink_to_fit();
    return parcel;
  }

  const char* Apply(const Bytes& parcel) { return applier.Apply(parcel.data(), parcel.size()); }
};

Bytes CellWrite(uint32_t ordinal, size_t bytes) {
  Bytes frame(8 + bytes);
  frame[0] = 1;
  Store<uint32_t>(&frame[4], ordinal);
  return frame;
}

Bytes RingWrite(uint8_t ring, uint32_t length, uint64_t position, size_t bytes) {
  Bytes frame(16 + bytes, 0xaa);
  frame[0] = 2;
  frame[1] = ring;
  frame[2] = 1;
  frame[3] = 0;
  Store<uint32_t>(&frame[4], length);
  Store<uint64_t>(&frame[8], position);
  return frame;
}

TEST("writes: a cell that is written often is shipped once, with its newest content") {
  Shipped shipped;
  for (uint32_t view = 0; view < 50; view++) shipped.Vote(3, view);
  const Bytes parcel = shipped.Take(4096);
  CHECK(parcel.size() == 8 + layout::kVoteCellBytes && !shipped.log.pending());
  CHECK(shipped.Apply(parcel) == nullptr);
  Inbox inbox;
  CHECK(shipped.reader.NoteDoorbell() && shipped.reader.Scan({0, 7}, inbox));
  CHECK(inbox.cells.size() == 1 && inbox.cells[0].view == 49);
}

TEST("writes: parcels of every size put the same together, wrap and all") {
  for (size_t bytesMax = 100; bytesMax < 5'000; bytesMax += 611) {
    Shipped shipped;
    for (uint8_t round = 0; round < 12; round++) {
      shipped.Vote(round % 8, round);
      shipped.Push(Bytes(5'001, round));
      for (Bytes parcel = shipped.Take(bytesMax); !parcel.empty(); parcel = shipped.Take(bytesMax)) {
        CHECK(shipped.Apply(parcel) == nullptr);
      }
      CHECK(!shipped.log.pending());
      Inbox inbox;
      shipped.laneReader.Read(SIZE_MAX, inbox, shipped.sha256);
      CHECK(inbox.payloads.size() == 1 && inbox.payloads[0].bytes == Bytes(5'001, round));
      CHECK(shipped.lane.Acknowledge(shipped.laneReader.head()));
    }
  }
}

TEST("writes: a parcel has no byte more than it may, and no half a cell") {
  Shipped shipped;
  for (uint64_t slot = 0; slot < 8; slot++) shipped.Vote(slot, 0);
  for (const size_t bytesMax : {size_t{0}, size_t{71}}) CHECK(shipped.Take(bytesMax).empty());
  CHECK(shipped.Take(72).size() == 72);
  CHECK(shipped.Take(150).size() == 144);
}

TEST("writes: a device takes each cell once, and of a ring what is new") {
  Shipped shipped;
  uint32_t ordinal = 0;
  uint64_t from = 1;
  uint64_t tail = 1;
  CHECK(!shipped.log.pending() && !shipped.log.PopCell(ordinal));
  CHECK(!shipped.log.PopRing(layout::kRingLane, from, tail));
  shipped.Vote(2, 1);
  shipped.Vote(2, 2);
  shipped.Push(Bytes(100, 1));
  CHECK(shipped.log.pending());
  CHECK(shipped.log.PopCell(ordinal) && ordinal == shipped.geometry.ordinal(layout::kKindVote, 2));
  CHECK(!shipped.log.PopCell(ordinal));
  CHECK(shipped.log.PopRing(layout::kRingLane, from, tail) && from == 0 && tail == FrameBytes(100));
  CHECK(shipped.log.shipped(layout::kRingLane) == tail && !shipped.log.pending());
}

TEST("writes: that lie change nothing, up to the last byte") {
  const uint32_t cells = SmallGeometry().cells();
  const std::vector<Bytes> lies = {
      {1},
      {1, 0, 0, 0, 0, 0, 0},
      Bytes(64, 0),
      Bytes(64, 3),
      CellWrite(cells, 4096),
      CellWrite(UINT32_MAX, 64),
      CellWrite(0, 8),
      CellWrite(cells - 1, SmallGeometry().progressCellBytes - 1),
      RingWrite(2, 64, 0, 64),
      RingWrite(255, 64, 0, 64),
      RingWrite(0, 0, 0, 64),
      RingWrite(0, (16u << 10) + 1, 0, 20'000),
      RingWrite(1, UINT32_MAX, 0, 64),
      RingWrite(0, 64, 64, 64),
      RingWrite(0, 64, UINT64_MAX - 63, 64),
      RingWrite(0, 64, 0, 63),
      Bytes{2, 0, 1, 0, 1, 0, 0, 0},
  };
  for (const Bytes& lie : lies) {
    Shipped shipped;
    const Bytes exact(lie);
    CHECK(shipped.Apply(exact) != nullptr);
    const Bytes untouched(shipped.region.bytes());
    CHECK(std::memcmp(shipped.region.base(), untouched.data(), untouched.size()) == 0);
  }
}

TEST("writes: the last cell and a whole ring fit to the byte") {
  Shipped shipped;
  const Geometry& geometry = shipped.geometry;
  CHECK(shipped.Apply(CellWrite(geometry.cells() - 1, geometry.progressCellBytes)) == nullptr);
  const auto ringBytes = static_cast<uint32_t>(geometry.ringBytes(1));
  CHECK(shipped.Apply(RingWrite(1, 1, 0, 1)) == nullptr);
  CHECK(shipped.Apply(RingWrite(1, ringBytes, 1, ringBytes)) == nullptr);
  CHECK(shipped.region.base()[geometry.regionBytes - 1] == 0xaa);
}

}  // namespace
}  // namespace sluice::test
