// The reader of cells over whatever a peer with the session's keys writes: cells of any content at any place, sealed or not, raw
// bytes, doorbells and hints.
#include <map>
#include <set>
#include <tuple>

#include "cell.h"
#include "input.h"
#include "support/clock.h"

namespace sluice::test {
namespace {

constexpr uint64_t kSlotsShown = 64;

// A slot near the window, or any at all.
uint64_t Slot(Input& input) {
  const uint8_t how = input.Take<uint8_t>();
  return how < 0xf0 ? how % kSlotsShown : input.Take<uint64_t>();
}

struct World {
  Geometry geometry = SmallGeometry();
  Memory memory{geometry};
  CellReader reader{geometry, memory.base(), kKey, kIncarnation, kEpoch};
  Forger forger;
  uint32_t doorbell = 0;
  // What was sealed for this session, whole: nothing else may ever be handed up.
  std::set<Bytes> sealed;
  std::map<std::pair<uint8_t, uint32_t>, std::pair<uint64_t, uint32_t>> newest;
};

void Ring(World& world, uint32_t hint) {
  uint8_t* base = world.memory.base();
  Store<uint32_t>(base + layout::kHeaderHints + 4 * (world.doorbell % layout::kHints), hint);
  world.doorbell++;
  Store<uint32_t>(base + layout::kHeaderDoorbell, world.doorbell);
}

void WriteCell(World& world, Input& input) {
  const uint8_t lies = input.Take<uint8_t>();
  const Geometry& geometry = world.geometry;
  const auto kind = static_cast<uint8_t>(1 + input.UpTo(lies & 1 ? 254 : 4));
  const uint64_t slot = Slot(input);
  const bool isKnown = kind >= layout::kKindProposal && kind <= layout::kKindCredit;
  const uint32_t ordinal =
      isKnown && !(lies & 2) ? geometry.ordinal(kind, slot) : input.UpTo(geometry.cells() - 1);
  const size_t bytes = geometry.cellBytes(ordinal);
  Bytes cell(bytes, input.Take<uint8_t>());
  Store<uint64_t>(&cell[layout::kCellSlot], slot);
  Store<uint32_t>(&cell[layout::kCellView], input.Take<uint8_t>());
  Store<uint16_t>(&cell[layout::kCellEpoch], lies & 4 ? input.Take<uint16_t>() : kEpoch);
  cell[layout::kCellKind] = kind;
  Store<uint64_t>(&cell[bytes - layout::kCellIncarnationFromEnd], lies & 8 ? input.Take<uint64_t>() : kIncarnation);
  world.forger.SealCell(cell.data(), bytes);
  if (lies & 16) cell[input.UpTo(static_cast<uint32_t>(bytes - 1))] ^= 1;
  else world.sealed.insert(Bytes(cell.begin(), cell.end() - layout::kCellIncarnationFromEnd));
  std::memcpy(world.memory.base() + geometry.cellOffset(ordinal), cell.data(), bytes);
  Ring(world, lies & 32 ? input.Take<uint32_t>() : ordinal);
}

void Raw(World& world, Input& input) {
  const Bytes bytes = input.Some(128);
  const size_t end = world.geometry.progressOffset + world.geometry.progressCellBytes;
  const size_t at = input.UpTo(static_cast<uint32_t>(end - bytes.size()));
  std::copy(bytes.begin(), bytes.end(), world.memory.base() + at);
  world.doorbell = Load<uint32_t>(world.memory.base() + layout::kHeaderDoorbell);
}

// What was handed up, written as a cell again up to its body's end: a prefix of what was sealed.
bool WasSealed(const World& world, const FoundCell& found) {
  Bytes start(layout::kCellBody);
  Store<uint64_t>(&start[layout::kCellSlot], found.slot);
  Store<uint32_t>(&start[layout::kCellView], found.view);
  Store<uint16_t>(&start[layout::kCellEpoch], kEpoch);
  start[layout::kCellKind] = found.kind;
  start[layout::kCellFlags] = found.flags;
  start.insert(start.end(), found.body.begin(), found.body.end());
  const auto near = world.sealed.lower_bound(start);
  return near != world.sealed.end() && near->size() >= start.size() &&
         std::equal(start.begin(), start.end(), near->begin());
}

void Scan(World& world, Input& input) {
  const uint64_t from = Slot(input);
  const SlotInterest interest = {from, input.Take<uint8_t>() < 0xf0 ? from + 7 : Slot(input)};
  Inbox inbox(1 + input.UpTo(15));
  world.reader.NoteDoorbell();
  const bool whole = world.reader.Scan(interest, inbox);
  CHECK(whole || inbox.Full());
  for (const FoundCell& found : inbox.cells) {
    CHECK(found.kind >= layout::kKindProposal && found.kind <= layout::kKindProgress);
    CHECK(found.slot <= limits::kSafeIntegerMax);
    CHECK(found.body.size() == world.geometry.bodyBytes(found.kind));
    CHECK(WasSealed(world, found));
    // Never back to what is older: a place that was handed up before only gets newer, or the same again.
    const auto place = std::pair(found.kind, world.geometry.ordinal(found.kind, found.slot));
    const auto version = std::pair(found.slot, found.kind == layout::kKindProgress ? 0 : found.view);
    const auto [known, isNew] = world.newest.try_emplace(place, version);
    CHECK(isNew || version >= known->second);
    known->second = version;
  }
}

}  // namespace

void Run(Input& input) {
  World world;
  while (!input.empty()) {
    switch (input.Take<uint8_t>() % 8) {
      case 0:
        Raw(world, input);
        break;
      case 1:
        NowUs() += 1000 * uint64_t{input.Take<uint8_t>()};
        break;
      case 2:
      case 3:
        Scan(world, input);
        break;
      default:
        WriteCell(world, input);
    }
  }
}

}  // namespace sluice::test
