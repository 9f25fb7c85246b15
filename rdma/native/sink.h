// Where a poll puts what it found. The core knows nothing of JavaScript: binding.cc implements
// this.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

enum class FrameFault : uint8_t { kLength = 0, kSequence = 1, kMac = 2, kFragment = 3, kHead = 4 };

class PollSink {
 public:
  virtual ~PollSink() = default;

  // The items that follow are of this peer.
  virtual void From(uint32_t peer) = 0;

  // True when one more item of any kind may not fit: the poll stops and goes on at the next one.
  virtual bool Full() const = 0;

  virtual void Cell(uint8_t kind, uint64_t slot, uint32_t view, uint8_t flags, const uint8_t* body,
                    size_t bodyBytes) = 0;
  virtual void BadCell(uint8_t kind, uint32_t index) = 0;
  virtual void BadFrame(uint8_t ring, FrameFault reason) = 0;
  // The device has given up the connection.
  virtual void DeadConnection() = 0;

  // Private memory for a payload that is about to be copied and checked. Nobody sees it before
  // `Payload`; a second call without `Payload` in between drops the first.
  virtual uint8_t* Allocate(size_t bytes) = 0;
  virtual void Payload(uint8_t ring, const uint8_t sha256[32]) = 0;
};

}  // namespace sluice
