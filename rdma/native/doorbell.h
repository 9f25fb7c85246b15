// The doorbell of a region: the writer's side. It tells the reader that something is new and where.
#pragma once

#include <cstdint>

namespace sluice {

class Doorbell {
 public:
  explicit Doorbell(uint8_t* base) : base_(base) {}

  // Publishes what was written before. `hint` is the ordinal of the cell or layout::kHintRing.
  // Wakes the reader if it has said that it blocks, unless it is `quiet`: then the reader sees it when it looks next.
  void Ring(uint32_t hint, bool quiet = false);

 private:
  uint8_t* base_;
  uint32_t count_ = 0;
};

}  // namespace sluice
