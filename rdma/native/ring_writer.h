// The writer's side of a ring in one peer's region: frames, credits, and a bounded queue of what
// waits for credits.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "layout.h"
#include "mac.h"

namespace sluice {

using Digest = std::array<uint8_t, layout::kSha256Bytes>;

// A payload cut into fragments and hashed, once for all peers. The bytes are the caller's until
// somebody has to queue it: then they are copied, once for all peers.
class OutPayload {
 public:
  OutPayload(const uint8_t* data, size_t bytes, size_t fragmentBytesMax, Sha256& sha256);

  size_t bytes() const { return bytes_; }
  size_t fragments() const { return hashes_.size(); }
  size_t fragmentBytes(size_t fragment) const;
  const uint8_t* fragment(size_t fragment) const { return data_ + fragment * fragmentBytesMax_; }
  const Digest& hash(size_t fragment) const { return hashes_[fragment]; }
  // Room in a ring for all frames, headers and padding included.
  size_t frameBytes() const;
  // Makes the payload independent of the caller's memory.
  void Keep();

 private:
  const uint8_t* data_;
  size_t bytes_;
  size_t fragmentBytesMax_;
  std::vector<Digest> hashes_;
  std::vector<uint8_t> kept_;
  bool isKept_ = false;
};

class RingWriter {
 public:
  RingWriter(const Geometry& geometry, uint8_t ring, uint8_t* base, const uint8_t* macKey,
             size_t outQueueBytesMax);

  // Writes the payload, or queues it (whole) until the reader gives credits. False: no room,
  // skipped.
  bool Push(const std::shared_ptr<OutPayload>& payload);
  // Writes as much of the queue as the credits allow.
  void Pump();
  // The reader says that it has taken `head` bytes. False when that cannot be.
  bool Acknowledge(uint64_t head);

  // True once after frames were written: the caller rings the doorbell.
  bool TakePublished();
  size_t queuedBytes() const { return queuedBytes_; }
  uint64_t framesWritten() const { return sequence_; }

 private:
  struct Queued {
    std::shared_ptr<OutPayload> payload;
    size_t nextFragment;
  };

  size_t Free() const { return ringBytes_ - static_cast<size_t>(tail_ - acknowledged_); }
  void WriteFrame(const OutPayload& payload, size_t fragment);
  void CopyIn(uint64_t position, const uint8_t* from, size_t bytes);

  uint8_t* ring_;
  uint8_t* publishedTail_;
  size_t ringBytes_;
  size_t outQueueBytesMax_;
  Mac mac_;
  uint64_t tail_ = 0;
  uint64_t acknowledged_ = 0;  // <= tail_, and tail_ - acknowledged_ <= ringBytes_
  uint64_t sequence_ = 0;
  bool published_ = false;
  std::deque<Queued> queue_;
  size_t queuedBytes_ = 0;  // frames of queue_ that are not written yet
};

// Bytes that a fragment takes in a ring.
constexpr size_t FrameBytes(size_t fragmentBytes) {
  return layout::kFrameHeaderBytes + AlignUp(fragmentBytes, layout::kFrameAlign);
}

}  // namespace sluice
