// A fuzzer's bytes, read as decisions. What is asked for beyond their end is zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "support/fixture.h"

namespace sluice::test {

class Input {
 public:
  Input(const uint8_t* data, size_t bytes) : data_(data), left_(bytes) {}

  bool empty() const { return left_ == 0; }

  template <typename T>
  T Take() {
    T value{};
    const size_t bytes = std::min(sizeof value, left_);
    if (bytes != 0) std::memcpy(&value, data_, bytes);
    data_ += bytes;
    left_ -= bytes;
    return value;
  }

  // From 0 to `most`, both included.
  uint32_t UpTo(uint32_t most) { return static_cast<uint32_t>(Take<uint16_t>()) % (most + 1); }

  Bytes Some(size_t most) {
    const size_t bytes = std::min<size_t>(UpTo(static_cast<uint32_t>(most)), left_);
    Bytes taken(data_, data_ + bytes);
    data_ += bytes;
    left_ -= bytes;
    return taken;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

// What a target does with one input; support/entry.cc calls it.
void Run(Input& input);

}  // namespace sluice::test
