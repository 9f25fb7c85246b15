#include "cell.h"

#include "support/fixture.h"
#include "wait.h"

namespace sluice::test {
namespace {

constexpr SlotInterest kAll = {0, 7};
// Longer than a wrong cell has to stay the same.
constexpr uint64_t kLongUs = 2'000'000;

struct Pair {
  Geometry geometry = SmallGeometry();
  Memory memory{geometry};
  CellTable table{geometry};
  CellWriter writer{geometry, memory.base(), kKey, kIncarnation};
  CellReader reader{geometry, memory.base(), kKey, kIncarnation, kEpoch};
  Doorbell doorbell{memory.base()};

  uint32_t Vote(uint64_t slot, uint32_t view) {
    const uint8_t body[24] = {static_cast<uint8_t>(slot), static_cast<uint8_t>(view)};
    const uint32_t ordinal = table.Put(layout::kKindVote, slot, view, 9, kEpoch, body, sizeof body);
    writer.Write(ordinal, table.at(ordinal), {});
    doorbell.Ring(ordinal);
    return ordinal;
  }

  uint8_t* Place(uint32_t ordinal) { return memory.base() + geometry.cellOffset(ordinal); }

  Inbox Poll(const SlotInterest& interest = kAll) {
    Inbox inbox;
    reader.NoteDoorbell();
    CHECK(reader.Scan(interest, inbox));
    return inbox;
  }

  // Looks until it has been called bad.
  std::vector<std::pair<uint8_t, uint32_t>> PollUntilBad() {
    for (const uint64_t end = MonotonicUs() + kLongUs; MonotonicUs() < end;) {
      Inbox inbox = Poll();
      CHECK(inbox.cells.empty());
      if (!inbox.badCells.empty()) return inbox.badCells;
    }
    return {};
  }
};

TEST("cells: what is sealed is handed up once, as it was written") {
  Pair pair;
  pair.Vote(3, 1);
  const Inbox inbox = pair.Poll();
  CHECK(inbox.cells.size() == 1);
  const FoundCell& cell = inbox.cells[0];
  CHECK(cell.kind == layout::kKindVote && cell.slot == 3 && cell.view == 1 && cell.flags == 9);
  CHECK(cell.body.size() == 24 && cell.body[0] == 3 && cell.body[1] == 1 && cell.body[2] == 0);
  CHECK(pair.Poll().cells.empty());
  pair.Vote(3, 2);
  CHECK(pair.Poll().cells.size() == 1);
}

TEST("cells: of all kinds and places come back, the largest geometry included") {
  for (const uint32_t replicas : {limits::kReplicasMin, limits::kReplicasMax}) {
    const Geometry geometry(replicas, 3, 16u << 10, 16u << 10);
    const Memory memory(geometry);
    CellTable table(geometry);
    CellWriter writer(geometry, memory.base(), kKey, kIncarnation);
    CellReader reader(geometry, memory.base(), kKey, kIncarnation, kEpoch);
    for (uint8_t kind = layout::kKindProposal; kind <= layout::kKindProgress; kind++) {
      for (uint64_t slot = 0; slot < 3; slot++) {
        const Bytes body(geometry.bodyBytes(kind), kind);
        const uint32_t ordinal = table.Put(kind, slot, 0, 0, kEpoch, body.data(), body.size());
        writer.Write(ordinal, table.at(ordinal), {});
      }
    }
    Inbox inbox;
    CHECK(reader.Scan({0, 2}, inbox));
    CHECK(inbox.cells.size() == 10 && inbox.badCells.empty());
    for (const FoundCell& cell : inbox.cells) {
      CHECK(cell.body == Bytes(geometry.bodyBytes(cell.kind), cell.kind));
    }
  }
}

TEST("cells: every byte of a cell is under its seal") {
  for (size_t at = 0; at < layout::kVoteCellBytes; at++) {
    Pair pair;
    const uint32_t ordinal = pair.Vote(3, 1);
    pair.Place(ordinal)[at] ^= 0x10;
    const Inbox inbox = pair.Poll();
    CHECK(inbox.cells.empty() && inbox.badCells.empty() && pair.reader.retrying());
  }
}

TEST("cells: a torn one is looked at again and handed up when it is whole") {
  Pair pair;
  const uint32_t ordinal = pair.Vote(3, 1);
  CHECK(pair.Poll().cells.size() == 1);
  const Bytes old(pair.Place(ordinal), pair.Place(ordinal) + layout::kVoteCellBytes);
  pair.Vote(3, 2);
  const Bytes whole(pair.Place(ordinal), pair.Place(ordinal) + layout::kVoteCellBytes);
  // The new tag over half of the old cell.
  std::memcpy(pair.Place(ordinal), old.data(), 32);
  CHECK(pair.Poll().cells.empty() && pair.reader.retrying());
  std::memcpy(pair.Place(ordinal), whole.data(), whole.size());
  CHECK(pair.Poll().cells.size() == 1);
  CHECK(!pair.reader.retrying() && pair.reader.badCells() == 0);
}

TEST("cells: what stays wrong is called bad, once") {
  Pair pair;
  const uint32_t ordinal = pair.Vote(3, 1);
  pair.Place(ordinal)[20] ^= 1;
  const auto bad = pair.PollUntilBad();
  CHECK(bad.size() == 1 && bad[0] == std::pair(layout::kKindVote, 3u));
  CHECK(!pair.reader.retrying() && pair.reader.badCells() == 1);
  pair.doorbell.Ring(ordinal);
  CHECK(pair.Poll().badCells.empty());
}

TEST("cells: moved to another place, or of another kind, session or epoch, they are nobody's") {
  Pair pair;
  const uint32_t from = pair.Vote(3, 1);
  for (const uint32_t to : {pair.geometry.ordinal(layout::kKindVote, 4),
                            pair.geometry.ordinal(layout::kKindCommit, 3)}) {
    std::memcpy(pair.Place(to), pair.Place(from), layout::kVoteCellBytes);
    pair.doorbell.Ring(to);
  }
  CHECK(pair.Poll().cells.size() == 1);
  for (const bool isEpoch : {false, true}) {
    CellReader other(pair.geometry, pair.memory.base(), kKey, kIncarnation + !isEpoch, kEpoch + isEpoch);
    Inbox inbox;
    CHECK(other.Scan(kAll, inbox) && inbox.cells.empty());
  }
}

TEST("cells: older content that is put back is not handed up") {
  Pair pair;
  const uint32_t ordinal = pair.Vote(3, 5);
  const Bytes old(pair.Place(ordinal), pair.Place(ordinal) + layout::kVoteCellBytes);
  CHECK(pair.Poll().cells.size() == 1);
  pair.Vote(11, 0);  // the same place
  CHECK(pair.Poll({8, 15}).cells.size() == 1);
  std::memcpy(pair.Place(ordinal), old.data(), old.size());
  pair.doorbell.Ring(ordinal);
  CHECK(pair.Poll({0, 15}).cells.empty());
}

TEST("cells: beyond the interest they come at once, and again when it covers them") {
  Pair pair;
  pair.Vote(20, 0);
  CHECK(pair.Poll({0, 7}).cells.size() == 1);
  CHECK(pair.Poll({8, 15}).cells.empty());
  CHECK(pair.Poll({16, 23}).cells.size() == 1);
  CHECK(pair.Poll({16, 23}).cells.empty());
}

TEST("cells: a sink that is full loses nothing") {
  Pair pair;
  for (uint64_t slot = 0; slot < 8; slot++) pair.Vote(slot, 0);
  pair.reader.NoteDoorbell();
  size_t found = 0;
  for (int polls = 0; polls < 8; polls++) {
    Inbox inbox(1);
    pair.reader.Scan(kAll, inbox);
    found += inbox.cells.size();
  }
  CHECK(found == 8);
}

TEST("cells: hints that lie, and a doorbell that laps them, hide nothing") {
  Pair pair;
  CHECK(pair.Poll().cells.empty());
  for (uint32_t i = 0; i < 3 * layout::kHints; i++) pair.doorbell.Ring(layout::kHintRing);
  pair.Vote(1, 0);
  CHECK(pair.Poll().cells.size() == 1);
  const uint32_t ordinal = pair.Vote(2, 0);
  CHECK(ordinal == pair.geometry.ordinal(layout::kKindVote, 2));
  SharedWord32(pair.memory.base() + layout::kHeaderHints).store(0xfffffff0u);
  for (uint32_t at = 0; at < layout::kHints; at++) {
    SharedWord32(pair.memory.base() + layout::kHeaderHints + 4 * at).store(0xfffffff0u);
  }
  CHECK(pair.Poll().cells.size() == 1);
}

TEST("cells: heads of a progress cell and of a credit are read, the credit itself is not handed up") {
  Pair pair;
  pair.writer.WriteCredit(kEpoch, {64, 128});
  CHECK(pair.Poll().cells.empty());
  CHECK(pair.reader.heads().lane == 64 && pair.reader.heads().control == 128);
  const uint32_t ordinal = pair.table.Put(layout::kKindProgress, 5, 1, 0, kEpoch, nullptr, 0);
  for (const uint64_t head : {192, 256}) {
    pair.writer.Write(ordinal, pair.table.at(ordinal), {head, head});
    pair.doorbell.Ring(ordinal);
    const Inbox inbox = pair.Poll();
    CHECK(inbox.cells.size() == (head == 192 ? 1 : 0));
    CHECK(pair.reader.heads().lane == head);
  }
}

}  // namespace
}  // namespace sluice::test
