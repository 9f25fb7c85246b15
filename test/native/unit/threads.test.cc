// What two processes do on one region, done by two threads, so that ThreadSanitizer sees it. The memory is mapped once: at two
// addresses it would take the same bytes for different ones.
#include <atomic>
#include <thread>

#include "cell.h"
#include "ring_reader.h"
#include "ring_writer.h"
#include "support/fixture.h"

namespace sluice::test {
namespace {

constexpr uint64_t kSlots = 8;
constexpr uint8_t kRing = layout::kRingLane;

TEST("threads: cells that are overwritten while they are scanned come whole, in order, up to the last") {
  constexpr uint32_t kViews = 2'000;
  const Geometry geometry = SmallGeometry();
  const Memory memory(geometry);
  CellReader reader(geometry, memory.base(), kKey, kIncarnation, kEpoch);
  std::thread writing([&] {
    CellTable table(geometry);
    CellWriter writer(geometry, memory.base(), kKey, kIncarnation);
    Doorbell doorbell(memory.base());
    for (uint32_t view = 1; view <= kViews; view++) {
      for (uint64_t slot = 0; slot < kSlots; slot++) {
        const uint8_t kind = slot % 2 == 0 ? layout::kKindVote : layout::kKindProposal;
        const Bytes body(geometry.bodyBytes(kind), static_cast<uint8_t>(view));
        const uint32_t ordinal = table.Put(kind, slot, view, 0, kEpoch, body.data(), body.size());
        writer.Write(ordinal, table.at(ordinal), {});
        doorbell.Ring(ordinal);
      }
    }
  });
  uint32_t newest[kSlots] = {};
  uint64_t done = 0;
  while (done < kSlots) {
    Inbox inbox;
    reader.NoteDoorbell();
    reader.Scan({0, kSlots - 1}, inbox);
    for (const FoundCell& cell : inbox.cells) {
      CHECK(cell.view > newest[cell.slot]);
      CHECK(cell.body == Bytes(cell.body.size(), static_cast<uint8_t>(cell.view)));
      newest[cell.slot] = cell.view;
      if (cell.view == kViews) done++;
    }
    std::this_thread::yield();
  }
  writing.join();
}

// Both directions of a pair: a ring one way, its credits the other.
TEST("threads: a ring that is written while it is read, with credits, loses and tears nothing") {
  constexpr uint32_t kPayloads = 1'500;
  const auto bytesOf = [](uint32_t i) { return i * 977 % 9'000; };
  const Geometry geometry = SmallGeometry();
  const Memory there(geometry);
  const Memory back(geometry);
  // Plain memory: a tail that was not published behind it would be a race here.
  Bytes notes(kPayloads);
  std::thread writing([&] {
    RingWriter writer(geometry, kRing, there.base(), kKey, 60'000);
    CellReader credits(geometry, back.base(), kKey, kIncarnation, kEpoch);
    Sha256 sha256;
    Inbox inbox;
    for (uint32_t i = 0; i < kPayloads;) {
      const Bytes payload(bytesOf(i), static_cast<uint8_t>(i));
      notes[i] = static_cast<uint8_t>(i);
      const auto out = std::make_shared<OutPayload>(payload.data(), payload.size(),
                                                    geometry.fragmentBytesMax(kRing), sha256);
      if (writer.Push(out)) i++;
      credits.NoteDoorbell();
      credits.Scan({0, 7}, inbox);
      CHECK(writer.Acknowledge(credits.heads().lane));
      writer.Pump();
    }
    while (writer.queuedBytes() > 0) {
      credits.NoteDoorbell();
      credits.Scan({0, 7}, inbox);
      CHECK(writer.Acknowledge(credits.heads().lane));
      writer.Pump();
      std::this_thread::yield();
    }
  });
  RingReader reader(geometry, kRing, there.base(), kKey, 60'000);
  CellWriter credits(geometry, back.base(), kKey, kIncarnation);
  Doorbell doorbell(back.base());
  Sha256 sha256;
  for (uint32_t read = 0; read < kPayloads;) {
    Inbox inbox;
    reader.Read(SIZE_MAX, inbox, sha256);
    CHECK(inbox.badFrames.empty());
    for (const FoundPayload& payload : inbox.payloads) {
      CHECK(payload.bytes == Bytes(bytesOf(read), static_cast<uint8_t>(read)));
      CHECK(notes[read] == static_cast<uint8_t>(read));
      read++;
    }
    credits.WriteCredit(kEpoch, {reader.head(), 0});
    doorbell.Ring(geometry.progressOrdinal());
    std::this_thread::yield();
  }
  writing.join();
}

// A peer that keeps changing everything that it may write, without keys, while we look.
TEST("threads: memory that a stranger scribbles over meanwhile gives nothing") {
  const Geometry geometry = SmallGeometry();
  const Memory memory(geometry);
  std::atomic<bool> over{false};
  std::thread scribbling([&] {
    uint64_t random = 88172645463325252;
    while (!over.load()) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      const size_t at = random % (geometry.regionBytes / 8) * 8;
      const bool isTail = random >> 60 == 0;
      const size_t tail = geometry.tailOffset(random >> 59 & 1);
      SharedWord64(memory.base() + (isTail ? tail : at)).store(isTail ? random % 8 * 64 : random);
    }
  });
  Sha256 sha256;
  for (int i = 0; i < 300; i++) {
    CellReader cells(geometry, memory.base(), kKey, kIncarnation, kEpoch);
    RingReader ring(geometry, i % 2, memory.base(), kKey, 60'000);
    Inbox inbox;
    cells.NoteDoorbell();
    cells.Scan({0, 7}, inbox);
    ring.Read(SIZE_MAX, inbox, sha256);
    CHECK(inbox.cells.empty() && inbox.payloads.empty());
  }
  over.store(true);
  scribbling.join();
}

// Between the check and the use there is nothing to change: Inbox hashes what it got once more.
TEST("threads: a payload that its writer changes while it is read is handed up as it was checked, or not at all") {
  const Geometry geometry = SmallGeometry();
  std::atomic<bool> over{false};
  const Memory memory(geometry);
  uint8_t* payloads = memory.base() + geometry.ringOffset(kRing) + layout::kFrameHeaderBytes;
  std::thread flipping([&] {
    for (uint64_t i = 0; !over.load(); i++) SharedWord64(payloads + i % 500 * 8).store(i % 3 == 0 ? i : 0);
  });
  size_t read = 0;
  size_t refused = 0;
  for (int i = 0; i < 300; i++) {
    RingWriter writer(geometry, kRing, memory.base(), kKey, 60'000);
    RingReader reader(geometry, kRing, memory.base(), kKey, 60'000);
    Sha256 sha256;
    const Bytes payload(4'000);
    CHECK(writer.Push(std::make_shared<OutPayload>(payload.data(), payload.size(), 4096, sha256)));
    Inbox inbox;
    reader.Read(SIZE_MAX, inbox, sha256);
    read += inbox.payloads.size();
    refused += inbox.badFrames.size();
    for (const FoundPayload& found : inbox.payloads) CHECK(found.bytes == payload);
  }
  over.store(true);
  flipping.join();
  CHECK(read + refused == 300);
}

}  // namespace
}  // namespace sluice::test
