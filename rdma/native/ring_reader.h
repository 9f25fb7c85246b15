// The reader's side of a ring in an inbound region. Everything in the ring is the peer's word:
// lengths are read once and bounded, payloads are copied once, and only the copy is hashed and
// handed up.
#pragma once

#include <cstdint>
#include <vector>

#include "layout.h"
#include "mac.h"
#include "sink.h"

namespace sluice {

class RingReader {
 public:
  RingReader(const Geometry& geometry, uint8_t ring, uint8_t* base, const uint8_t* macKey,
             size_t payloadBytesMax);

  // Takes frames until `budgetBytes` are used up (at least one), the ring is empty, or the sink is
  // full. A frame that no correct writer leaves is reported once and ends the ring for this
  // session.
  void Read(size_t budgetBytes, PollSink& sink, Sha256& sha256);

  // True when there are frames left that the last `Read` did not take.
  bool pending() const { return pending_; }
  bool broken() const { return broken_; }
  uint64_t head() const { return head_; }
  uint64_t framesRead() const { return sequence_; }

 private:
  struct Frame {
    uint32_t length;
    uint32_t total;
    uint8_t header[layout::kFrameHeaderBytes];
  };

  bool ReadFrame(uint64_t available, PollSink& sink, Sha256& sha256);
  bool CheckFrame(uint64_t available, Frame& frame, PollSink& sink);
  bool TakeWhole(const Frame& frame, PollSink& sink, Sha256& sha256);
  bool TakeFragment(const Frame& frame, PollSink& sink, Sha256& sha256);
  bool CopyChecked(const Frame& frame, uint8_t* to, Sha256& sha256);
  bool Break(FrameFault reason, PollSink& sink);
  void CopyOut(uint64_t position, uint8_t* to, size_t bytes) const;

  uint8_t* ring_;
  uint8_t* publishedTail_;
  uint8_t name_;
  size_t ringBytes_;
  size_t fragmentBytesMax_;
  size_t payloadBytesMax_;
  Mac mac_;
  uint64_t head_ = 0;
  uint64_t sequence_ = 0;
  bool broken_ = false;
  bool pending_ = false;
  // Fragments of the payload that is being put together; `assembled_` bytes of it are there.
  std::vector<uint8_t> assembly_;
  uint32_t assemblyTotal_ = 0;  // 0: none
};

}  // namespace sluice
