// Whether a wait is worth polling through: only if waits have been short of late. Polling through a long one takes the core from
// whatever is waited for; sleeping through a short one costs two switches and a system call of the writer.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice {

class WaitPace {
 public:
  explicit WaitPace(uint64_t spinUs) : spinUs_(spinUs) {}

  // How long the next wait polls before it sleeps.
  uint64_t spinUs() const { return averageUs_ <= spinUs_ ? spinUs_ : 0; }

  // A wait has taken so long, polling and sleeping.
  void Note(uint64_t waitUs) {
    // However long one was, a dozen short ones make up for it.
    const uint64_t countedUs = std::min(waitUs, kLongest * spinUs_);
    averageUs_ = (averageUs_ * (kWeight - 1) + countedUs) / kWeight;
  }

 private:
  static constexpr uint64_t kLongest = 4;
  static constexpr uint64_t kWeight = 8;

  const uint64_t spinUs_;
  uint64_t averageUs_ = 0;
};

}  // namespace sluice
