// Cells: the writer's table and sealing, the reader's scan.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "doorbell.h"
#include "layout.h"
#include "mac.h"
#include "sink.h"

namespace sluice {

// Consumed bytes of the two rings, counted since the session began.
struct RingHeads {
  uint64_t lane = 0;
  uint64_t control = 0;
};

// The last content of each cell that this replica has written, unsealed: same for all peers.
class CellTable {
 public:
  explicit CellTable(const Geometry& geometry);

  // Returns the ordinal. `bodyBytes` <= geometry.bodyBytes(kind).
  uint32_t Put(uint8_t kind, uint64_t slot, uint32_t view, uint8_t flags, uint16_t epoch,
               const uint8_t* body, size_t bodyBytes);
  bool written(uint32_t ordinal) const { return written_[ordinal] != 0; }
  const uint8_t* at(uint32_t ordinal) const {
    return bytes_.data() + geometry_.cellOffset(ordinal) - layout::kHeaderBytes;
  }

 private:
  Geometry geometry_;
  std::vector<uint8_t> bytes_;
  std::vector<uint8_t> written_;
};

// Seals cells into one peer's region.
class CellWriter {
 public:
  CellWriter(const Geometry& geometry, uint8_t* base, const uint8_t* macKey, uint64_t incarnation);

  // `content` is a cell of `CellTable`; `heads` go into progress cells. The caller rings the
  // doorbell.
  void Write(uint32_t ordinal, const uint8_t* content, const RingHeads& heads);
  // Heads alone, as long as there is no progress cell to carry them.
  void WriteCredit(uint16_t epoch, const RingHeads& heads);

 private:
  void Seal(uint32_t ordinal, uint8_t* cell);

  Geometry geometry_;
  uint8_t* base_;
  Mac mac_;
  uint64_t incarnation_;
};

struct SlotInterest {
  uint64_t fromSlot;
  uint64_t toSlot;
};

// Reads the cells of one inbound region: copies, checks, and hands up each valid content once.
class CellReader {
 public:
  CellReader(const Geometry& geometry, uint8_t* base, const uint8_t* macKey, uint64_t incarnation,
             uint16_t epoch);

  // Looks at the doorbell and at the hints and marks what may be new. True when it has rung.
  bool NoteDoorbell();
  uint32_t seenDoorbell() const { return seenDoorbell_; }

  // Examines the marked cells that the interest covers. A cell of a slot beyond the interest is
  // handed up at once, and again when the interest comes to cover it. False when the sink was full.
  bool Scan(const SlotInterest& interest, PollSink& sink);

  // Cells whose check has failed and that are looked at again: a writer may be in the middle of
  // them.
  bool retrying() const { return retrying_ != 0; }
  // Latest heads that the peer has published in this session.
  const RingHeads& heads() const { return heads_; }

  uint64_t cellsRead() const { return cellsRead_; }
  uint64_t badCells() const { return badCells_; }

 private:
  struct State {
    uint8_t tag[layout::kMacBytes] = {};  // of the content last accepted; zero as in fresh memory
    uint64_t slot = 0;
    uint32_t view = 0;
    bool seen = false;
    bool early = false;  // handed up while its slot was beyond the interest
  };
  // A cell that failed its check: its bytes, and since when they have been the same.
  struct Suspect {
    std::vector<uint8_t> bytes;
    uint32_t tries = 0;
    uint64_t sinceUs = 0;
    bool reported = false;
  };

  void MarkAll();
  void Mark(uint32_t ordinal);
  void Unmark(uint32_t ordinal);
  bool marked(uint32_t ordinal) const { return marks_[ordinal / 64] >> (ordinal % 64) & 1; }
  void RecallEarly(uint64_t toSlot);
  void Examine(uint32_t ordinal, const SlotInterest& interest, PollSink& sink);
  bool WellPlaced(uint32_t ordinal, const uint8_t* cell, size_t bytes) const;
  void Suspected(uint32_t ordinal, const uint8_t* cell, size_t bytes, PollSink& sink);
  void Cleared(uint32_t ordinal);
  void Accept(uint32_t ordinal, const uint8_t* cell, size_t bytes, const SlotInterest& interest,
              PollSink& sink);
  void AcceptProgress(const uint8_t* cell, PollSink& sink);

  Geometry geometry_;
  uint8_t* base_;
  Mac mac_;
  uint64_t incarnation_;
  uint16_t epoch_;
  uint32_t seenDoorbell_ = 0;
  std::vector<uint64_t> marks_;  // one bit per cell: may hold something new
  std::vector<State> states_;
  std::unordered_map<uint32_t, Suspect> suspects_;  // at most one per cell
  std::vector<uint8_t> progress_;                   // content last handed up, without heads
  uint32_t marked_ = 0;                             // bits set in marks_
  uint32_t retrying_ = 0;                           // suspects that are still marked
  uint32_t early_ = 0;                              // states with `early`
  RingHeads heads_;
  uint64_t cellsRead_ = 0;
  uint64_t badCells_ = 0;
};

}  // namespace sluice
