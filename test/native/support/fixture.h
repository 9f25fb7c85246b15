// What the unit tests and the fuzz targets share: a region of exactly its size, and where a poll's findings go.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "check.h"
#include "layout.h"
#include "mac.h"
#include "shared_memory.h"
#include "sink.h"

namespace sluice::test {

inline constexpr uint8_t kKey[layout::kMacKeyBytes] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
inline constexpr uint64_t kIncarnation = 77;
inline constexpr uint16_t kEpoch = 3;

using Bytes = std::vector<uint8_t>;

// Small, so that rings wrap and windows are lapped soon. Fragments have 4 KiB.
inline Geometry SmallGeometry() { return Geometry(4, 8, 16u << 10, 16u << 10); }

// On the heap, where AddressSanitizer knows its last byte.
class Memory {
 public:
  explicit Memory(const Geometry& geometry)
      : bytes_(geometry.regionBytes),
        base_(static_cast<uint8_t*>(std::aligned_alloc(layout::kCellAlign, bytes_))) {
    std::memset(base_, 0, bytes_);
  }
  ~Memory() { std::free(base_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  uint8_t* base() const { return base_; }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_;
  uint8_t* base_;
};

struct FoundCell {
  uint8_t kind;
  uint64_t slot;
  uint32_t view;
  uint8_t flags;
  Bytes body;
};

struct FoundPayload {
  uint8_t ring;
  Bytes bytes;
};

// Keeps what a poll found, and checks what must hold of all of it.
class Inbox final : public PollSink {
 public:
  // Full after so many items; a poll goes on where it stopped.
  explicit Inbox(size_t itemsMax = SIZE_MAX) : itemsMax_(itemsMax) {}

  void From(uint32_t peer) override { peer_ = peer; }
  bool Full() const override { return items_ >= itemsMax_; }
  void Cell(uint8_t kind, uint64_t slot, uint32_t view, uint8_t flags, const uint8_t* body,
            size_t bodyBytes) override {
    items_++;
    cells.push_back({kind, slot, view, flags, Bytes(body, body + bodyBytes)});
  }
  void BadCell(uint8_t kind, uint32_t index) override {
    items_++;
    badCells.push_back({kind, index});
  }
  void BadFrame(uint8_t ring, FrameFault reason) override {
    items_++;
    badFrames.push_back({ring, reason});
  }
  void DeadConnection() override { items_++; }
  uint8_t* Allocate(size_t bytes) override {
    // A block of its own of just this size; never null, as a buffer of JavaScript's is not.
    allocated_ = std::make_unique<uint8_t[]>(bytes == 0 ? 1 : bytes);
    allocatedBytes_ = bytes;
    return allocated_.get();
  }
  void Payload(uint8_t ring, const uint8_t sha256[32]) override {
    CHECK(allocated_ != nullptr);
    items_++;
    uint8_t hash[layout::kSha256Bytes];
    sha256_.Digest(allocated_.get(), allocatedBytes_, hash);
    CHECK(std::memcmp(hash, sha256, sizeof hash) == 0);
    payloads.push_back({ring, Bytes(allocated_.get(), allocated_.get() + allocatedBytes_)});
    allocated_.reset();
  }

  // Forgets what it has, and has room again.
  void Clear() {
    items_ = 0;
    cells.clear();
    badCells.clear();
    badFrames.clear();
    payloads.clear();
  }

  std::vector<FoundCell> cells;
  std::vector<std::pair<uint8_t, uint32_t>> badCells;
  std::vector<std::pair<uint8_t, FrameFault>> badFrames;
  std::vector<FoundPayload> payloads;

 private:
  size_t itemsMax_;
  size_t items_ = 0;
  uint32_t peer_ = 0;
  std::unique_ptr<uint8_t[]> allocated_;
  size_t allocatedBytes_ = 0;
  Sha256 sha256_;
};

// A liar that holds the session's keys: seals whatever it likes.
class Forger {
 public:
  explicit Forger(const uint8_t* key = kKey) : mac_(key) {}

  // Writes the tag behind `bytes` of a cell.
  void SealCell(uint8_t* cell, size_t bytes) {
    mac_.Sign(cell, bytes - layout::kCellMacFromEnd, cell + bytes - layout::kCellMacFromEnd);
  }
  void SealFrame(uint8_t* header) { mac_.Sign(header, layout::kFrameMac, header + layout::kFrameMac); }

 private:
  Mac mac_;
};

}  // namespace sluice::test
