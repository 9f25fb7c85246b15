// One peer's session: the inbound region that it writes, and its region that we write.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

#include "cell.h"
#include "doorbell.h"
#include "layout.h"
#include "region.h"
#include "ring_reader.h"
#include "ring_writer.h"
#include "verbs.h"
#include "write_log.h"

namespace sluice {

// Keys of one direction, one for each use, so that no tag of one is ever a tag of another.
struct DirectionKeys {
  static constexpr size_t kBytes = 3 * layout::kMacKeyBytes;

  explicit DirectionKeys(const uint8_t* bytes) { std::memcpy(bytes_, bytes, kBytes); }
  ~DirectionKeys();
  const uint8_t* cell() const { return bytes_; }
  const uint8_t* ring(uint8_t ring) const { return bytes_ + (1 + ring) * layout::kMacKeyBytes; }

 private:
  uint8_t bytes_[kBytes];
};

// Our region: read only through checks.
struct Inbound {
  Inbound(const Geometry& geometry, uint8_t* base, const DirectionKeys& keys,
          uint64_t peerIncarnation, uint16_t epoch, size_t payloadBytesMax)
      : cells(geometry, base, keys.cell(), peerIncarnation, epoch),
        lane(geometry, layout::kRingLane, base, keys.ring(layout::kRingLane), payloadBytesMax),
        control(geometry, layout::kRingControl, base, keys.ring(layout::kRingControl),
                payloadBytesMax),
        writes(geometry, base) {}

  CellReader cells;
  RingReader lane;
  RingReader control;
  WriteApplier writes;  // of a peer that does not reach this memory itself
};

// The peer's region: written only. With `isShipped` it is our copy, and the log says what of it has to travel.
struct Outbound {
  Outbound(const Geometry& geometry, Region mapped, const DirectionKeys& keys,
           uint64_t selfIncarnation, size_t laneOutQueueBytesMax, size_t controlOutQueueBytesMax,
           bool isShipped)
      : region(std::move(mapped)),
        doorbell(region.base()),
        cells(geometry, region.base(), keys.cell(), selfIncarnation),
        lane(geometry, layout::kRingLane, region.base(), keys.ring(layout::kRingLane),
             laneOutQueueBytesMax),
        control(geometry, layout::kRingControl, region.base(), keys.ring(layout::kRingControl),
                controlOutQueueBytesMax) {
    if (isShipped) log.emplace(geometry, region.base());
  }

  // The cell is in the region: the reader is to know. What is shipped wakes it in any case.
  void Announce(uint32_t ordinal, bool quiet = false) {
    if (log) log->NoteCell(ordinal);
    else doorbell.Ring(ordinal, quiet);
  }

  // The reader says that it has taken `head` bytes of a ring. False when that cannot be: what has not been shipped yet has been
  // read by nobody, and must not be written over.
  bool Acknowledge(uint8_t ring, uint64_t head) {
    if (log && head > log->shipped(ring)) return false;
    return (ring == layout::kRingLane ? lane : control).Acknowledge(head);
  }

  Region region;
  Doorbell doorbell;
  CellWriter cells;
  RingWriter lane;
  RingWriter control;
  RingHeads publishedHeads;
  std::optional<WriteLog> log;
};

struct Session {
  explicit Session(Region inboundRegion) : region(std::move(inboundRegion)) {}

  bool open() const { return confirmed && outbound.has_value(); }

  Region region;
  std::optional<Inbound> inbound;    // once the keys are there
  std::optional<Outbound> outbound;  // once the peer's region is mapped
  bool confirmed = false;            // the peer has mapped our region
  bool ringsDue = true;              // not polled yet, or rung since the rings were read to their ends
  RingHeads appliedHeads;            // the peer's heads that our writers have been told
  std::unique_ptr<VerbsQueue> queue;  // last: it ends before the memory that its device writes
  bool faultTold = false;
};

}  // namespace sluice
