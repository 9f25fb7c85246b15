// What a replica has written into its copy of a peer's region and has not shipped yet, for a network without remote
// memory access: the writes travel as frames, and the reader's host applies them.
//
//   CELL   kind u8 = 1 | 0 u8 | 0 u16 | ordinal u32 | the cell
//   RING   kind u8 = 2 | ring u8 | publish u8 | 0 u8 | length u32 | position u64 | bytes
//
// With `publish` the ring's tail becomes position + length: a tail lies behind a whole frame of the ring, where a write need
// not end.
//
// All little-endian. Nothing here is secret or trusted: cells and ring frames carry their MACs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "doorbell.h"
#include "layout.h"

namespace sluice {

// State, not a queue: a cell that is written again before it was shipped is shipped once, with its newest content. So
// memory is bounded however slow the network is.
class WriteLog {
 public:
  WriteLog(const Geometry& geometry, uint8_t* base);

  void NoteCell(uint32_t ordinal);
  bool pending() const;
  // Bytes of a ring that are on their way or there. The ring's writer keeps within its size of it, or what is shipped next would
  // be more than the ring.
  uint64_t shipped(uint8_t ring) const { return shipped_[ring]; }
  // Fills `out` with whole frames of what is pending, at most `bytesMax`; returns the number of bytes. Cells first: they are
  // small, and what is decided hangs on them.
  size_t Take(uint8_t* out, size_t bytesMax);

  // For a device that reads our copy itself: the next cell that is pending, and what of a ring is (from, up to its tail). False:
  // none. What was popped counts as shipped.
  bool PopCell(uint32_t& ordinal);
  bool PopRing(uint8_t ring, uint64_t& from, uint64_t& tail);

 private:
  uint64_t Tail(uint8_t ring) const;
  size_t TakeCell(uint32_t ordinal, uint8_t* out);
  size_t TakeRing(uint8_t ring, uint8_t* out, size_t bytesMax);

  Geometry geometry_;
  uint8_t* base_;
  std::vector<uint8_t> dirty_;      // by ordinal
  std::deque<uint32_t> order_;      // dirty ordinals, oldest first
  std::array<uint64_t, 2> shipped_{};  // tails, by ring
};

// Puts a peer's writes into the region that is the peer's to write. Total: whatever the bytes are, they land where the peer may
// write, or nowhere.
class WriteApplier {
 public:
  WriteApplier(const Geometry& geometry, uint8_t* base);

  // Null when all was applied; otherwise what is wrong with the frame at which it stopped.
  const char* Apply(const uint8_t* frames, size_t bytes);

 private:
  const char* ApplyOne(const uint8_t* frame, size_t bytes, size_t& taken);
  const char* ApplyCell(const uint8_t* frame, size_t bytes, size_t& taken);
  const char* ApplyRing(const uint8_t* frame, size_t bytes, size_t& taken);

  Geometry geometry_;
  uint8_t* base_;
  Doorbell doorbell_;
  std::array<uint64_t, 2> tails_{};
};

}  // namespace sluice
