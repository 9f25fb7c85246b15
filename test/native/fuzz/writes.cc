// Writes that travel as frames, from a peer that says anything: they land where that peer may write, or nowhere, and what reads
// the region afterwards copes with it.
#include "cell.h"
#include "input.h"
#include "ring_reader.h"
#include "write_log.h"

namespace sluice::test {
namespace {

constexpr size_t kPayloadBytesMax = 20'000;

struct World {
  World() : untouched(memory.base(), memory.base() + layout::kHeaderBytes) {}

  Geometry geometry = SmallGeometry();
  Memory memory{geometry};
  CellReader cells{geometry, memory.base(), kKey, kIncarnation, kEpoch};
  RingReader lane{geometry, layout::kRingLane, memory.base(), kKey, kPayloadBytesMax};
  RingReader control{geometry, layout::kRingControl, memory.base(), kKey, kPayloadBytesMax};
  WriteApplier applier{geometry, memory.base()};
  Forger forger;
  Sha256 sha256;
  uint64_t sent[2] = {};
  uint64_t sequence[2] = {};
  bool refused = false;
  Bytes untouched;
};

void Append(Bytes& parcel, const Bytes& bytes) { parcel.insert(parcel.end(), bytes.begin(), bytes.end()); }

void AddCell(World& world, Bytes& parcel, Input& input) {
  const uint8_t lies = input.Take<uint8_t>();
  const uint32_t ordinal = lies & 1 ? input.Take<uint32_t>() : input.UpTo(world.geometry.cells() - 1);
  Bytes head(8);
  head[0] = 1;
  Store<uint32_t>(&head[4], ordinal);
  Append(parcel, head);
  const size_t bytes = ordinal < world.geometry.cells() ? world.geometry.cellBytes(ordinal) : 64;
  Bytes cell(bytes, input.Take<uint8_t>());
  cell[layout::kCellKind] = world.geometry.kindOf(ordinal % world.geometry.cells());
  Store<uint64_t>(&cell[layout::kCellSlot], world.geometry.indexOf(ordinal % world.geometry.cells()));
  Store<uint16_t>(&cell[layout::kCellEpoch], kEpoch);
  Store<uint64_t>(&cell[bytes - layout::kCellIncarnationFromEnd], kIncarnation);
  world.forger.SealCell(cell.data(), bytes);
  if (lies & 2) cell.resize(input.UpTo(static_cast<uint32_t>(bytes)));
  Append(parcel, cell);
}

// Bytes of a ring, as one frame that checks or as they come.
Bytes RingBytes(World& world, uint8_t ring, bool isFrame, Input& input) {
  if (!isFrame) return Bytes(1 + input.UpTo(17'000), input.Take<uint8_t>());
  const Bytes payload(input.UpTo(4096), input.Take<uint8_t>());
  Bytes bytes(layout::kFrameHeaderBytes + AlignUp(payload.size(), layout::kFrameAlign));
  Store<uint32_t>(&bytes[layout::kFrameLength], static_cast<uint32_t>(payload.size()));
  Store<uint32_t>(&bytes[layout::kFrameTotal], static_cast<uint32_t>(payload.size()));
  Store<uint64_t>(&bytes[layout::kFrameSequence], world.sequence[ring]++);
  world.sha256.Digest(payload.data(), payload.size(), &bytes[layout::kFrameSha256]);
  world.forger.SealFrame(bytes.data());
  std::copy(payload.begin(), payload.end(), bytes.begin() + layout::kFrameHeaderBytes);
  return bytes;
}

void AddRing(World& world, Bytes& parcel, Input& input) {
  const uint8_t lies = input.Take<uint8_t>();
  const uint8_t ring = lies & 1 ? input.Take<uint8_t>() : input.UpTo(1);
  const uint8_t known = ring & 1;
  const Bytes bytes = RingBytes(world, known, !(lies & 2), input);
  Bytes head(16);
  head[0] = 2;
  head[1] = ring;
  head[2] = lies & 4 ? 0 : 1;
  Store<uint32_t>(&head[4], lies & 8 ? input.Take<uint32_t>() : static_cast<uint32_t>(bytes.size()));
  Store<uint64_t>(&head[8], lies & 16 ? input.Take<uint64_t>() : world.sent[known]);
  world.sent[known] += bytes.size();
  Append(parcel, head);
  Append(parcel, bytes);
}

void Apply(World& world, Bytes& parcel) {
  // A block of just this size: reading beyond it is seen.
  const Bytes exact(parcel);
  if (world.applier.Apply(exact.data(), exact.size()) != nullptr) world.refused = true;
  parcel.clear();
}

void Read(World& world, Input& input) {
  Inbox inbox(1 + input.UpTo(15));
  world.cells.NoteDoorbell();
  world.cells.Scan({0, 7}, inbox);
  world.control.Read(input.Take<uint16_t>(), inbox, world.sha256);
  world.lane.Read(input.Take<uint16_t>(), inbox, world.sha256);
  for (const FoundPayload& payload : inbox.payloads) CHECK(payload.bytes.size() <= kPayloadBytesMax);
  // Of the header only doorbell, hints and tails are a peer's.
  uint8_t* header = world.memory.base();
  CHECK(std::memcmp(header, world.untouched.data(), layout::kHeaderDoorbell) == 0);
  CHECK(Load<uint32_t>(header + layout::kHeaderWaiting) == 0);
}

}  // namespace

void Run(Input& input) {
  World world;
  Bytes parcel;
  while (!input.empty() && !world.refused) {
    switch (input.Take<uint8_t>() % 8) {
      case 0:
        Append(parcel, input.Some(256));
        break;
      case 1:
      case 2:
        AddCell(world, parcel, input);
        break;
      case 3:
      case 4:
      case 5:
        AddRing(world, parcel, input);
        break;
      case 6:
        Apply(world, parcel);
        break;
      default:
        Read(world, input);
    }
  }
  Apply(world, parcel);
  Input rest(nullptr, 0);
  Read(world, rest);
}

}  // namespace sluice::test
