#include "ring_reader.h"

#include <algorithm>
#include <cstring>

#include "ring_writer.h"
#include "shared_memory.h"

namespace sluice {

RingReader::RingReader(const Geometry& geometry, uint8_t ring, uint8_t* base, const uint8_t* macKey,
                       size_t payloadBytesMax)
    : ring_(base + geometry.ringOffset(ring)),
      publishedTail_(base + geometry.tailOffset(ring)),
      name_(ring),
      ringBytes_(geometry.ringBytes(ring)),
      fragmentBytesMax_(geometry.fragmentBytesMax(ring)),
      payloadBytesMax_(payloadBytesMax),
      mac_(macKey) {}

void RingReader::Read(size_t budgetBytes, PollSink& sink, Sha256& sha256) {
  const uint64_t start = head_;
  pending_ = false;
  while (!broken_) {
    const uint64_t tail = SharedWord64(publishedTail_).load(std::memory_order_acquire);
    if (tail == head_) return;
    if (sink.Full() || head_ - start >= budgetBytes) {
      pending_ = true;
      return;
    }
    if (!ReadFrame(tail - head_, sink, sha256)) return;
  }
}

bool RingReader::ReadFrame(uint64_t available, PollSink& sink, Sha256& sha256) {
  Frame frame;
  if (!CheckFrame(available, frame, sink)) return false;
  const bool isWhole = assemblyTotal_ == 0 && frame.length == frame.total;
  const bool taken =
      isWhole ? TakeWhole(frame, sink, sha256) : TakeFragment(frame, sink, sha256);
  if (!taken) return false;
  head_ += FrameBytes(frame.length);
  sequence_++;
  return true;
}

// The tail was published after the whole frame, so there is nothing to wait for: what does not
// check now never will.
bool RingReader::CheckFrame(uint64_t available, Frame& frame, PollSink& sink) {
  if (available > ringBytes_ || available % layout::kFrameAlign != 0) {
    return Break(FrameFault::kLength, sink);
  }
  CopyFromShared(frame.header, ring_ + head_ % ringBytes_, sizeof frame.header);
  frame.length = Load<uint32_t>(frame.header + layout::kFrameLength);
  frame.total = Load<uint32_t>(frame.header + layout::kFrameTotal);
  if (frame.length > fragmentBytesMax_ || frame.total > payloadBytesMax_ ||
      frame.length > frame.total || FrameBytes(frame.length) > available) {
    return Break(FrameFault::kLength, sink);
  }
  if (!mac_.Verify(frame.header, layout::kFrameMac, frame.header + layout::kFrameMac)) {
    return Break(FrameFault::kMac, sink);
  }
  if (Load<uint64_t>(frame.header + layout::kFrameSequence) != sequence_) {
    return Break(FrameFault::kSequence, sink);
  }
  return true;
}

bool RingReader::TakeWhole(const Frame& frame, PollSink& sink, Sha256& sha256) {
  uint8_t* payload = sink.Allocate(frame.length);
  if (!CopyChecked(frame, payload, sha256)) return Break(FrameFault::kMac, sink);
  sink.Payload(name_, frame.header + layout::kFrameSha256);
  return true;
}

// Each fragment has exactly the length that the rules of the layout give it.
bool RingReader::TakeFragment(const Frame& frame, PollSink& sink, Sha256& sha256) {
  if (assemblyTotal_ == 0) assembly_.reserve(frame.total);
  const size_t start = assembly_.size();
  if ((assemblyTotal_ != 0 && frame.total != assemblyTotal_) ||
      frame.length != std::min<size_t>(fragmentBytesMax_, frame.total - start)) {
    return Break(FrameFault::kFragment, sink);
  }
  assembly_.resize(start + frame.length);
  if (!CopyChecked(frame, assembly_.data() + start, sha256)) {
    return Break(FrameFault::kMac, sink);
  }
  assemblyTotal_ = frame.total;
  if (assembly_.size() < assemblyTotal_) return true;
  uint8_t whole[layout::kSha256Bytes];
  sha256.Digest(assembly_.data(), assembly_.size(), whole);
  std::memcpy(sink.Allocate(assembly_.size()), assembly_.data(), assembly_.size());
  sink.Payload(name_, whole);
  std::vector<uint8_t>().swap(assembly_);
  assemblyTotal_ = 0;
  return true;
}

bool RingReader::CopyChecked(const Frame& frame, uint8_t* to, Sha256& sha256) {
  CopyOut(head_ + layout::kFrameHeaderBytes, to, frame.length);
  uint8_t hash[layout::kSha256Bytes];
  sha256.Digest(to, frame.length, hash);
  return std::memcmp(hash, frame.header + layout::kFrameSha256, sizeof hash) == 0;
}

bool RingReader::Break(FrameFault reason, PollSink& sink) {
  broken_ = true;
  std::vector<uint8_t>().swap(assembly_);
  sink.BadFrame(name_, reason);
  return false;
}

void RingReader::CopyOut(uint64_t position, uint8_t* to, size_t bytes) const {
  CopyFromRing(to, ring_, ringBytes_, position, bytes);
}

}  // namespace sluice
