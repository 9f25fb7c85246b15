#include "ring_writer.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "shared_memory.h"

namespace sluice {

OutPayload::OutPayload(const uint8_t* data, size_t bytes, size_t fragmentBytesMax, Sha256& sha256)
    : data_(data), bytes_(bytes), fragmentBytesMax_(fragmentBytesMax) {
  // An empty payload is one empty fragment.
  hashes_.resize(std::max<size_t>(1, (bytes + fragmentBytesMax - 1) / fragmentBytesMax));
  for (size_t i = 0; i < hashes_.size(); i++) {
    sha256.Digest(fragment(i), fragmentBytes(i), hashes_[i].data());
  }
}

size_t OutPayload::fragmentBytes(size_t fragment) const {
  return std::min(fragmentBytesMax_, bytes_ - fragment * fragmentBytesMax_);
}

size_t OutPayload::frameBytes() const {
  const size_t last = fragments() - 1;
  return last * FrameBytes(fragmentBytesMax_) + FrameBytes(fragmentBytes(last));
}

void OutPayload::Keep() {
  if (isKept_) return;
  kept_.assign(data_, data_ + bytes_);
  data_ = kept_.data();
  isKept_ = true;
}

RingWriter::RingWriter(const Geometry& geometry, uint8_t ring, uint8_t* base, const uint8_t* macKey,
                       size_t outQueueBytesMax)
    : ring_(base + geometry.ringOffset(ring)),
      publishedTail_(base + geometry.tailOffset(ring)),
      ringBytes_(geometry.ringBytes(ring)),
      outQueueBytesMax_(outQueueBytesMax),
      mac_(macKey) {}

bool RingWriter::Push(const std::shared_ptr<OutPayload>& payload) {
  if (queue_.empty() && payload->frameBytes() <= Free()) {
    for (size_t i = 0; i < payload->fragments(); i++) WriteFrame(*payload, i);
    return true;
  }
  // An empty queue takes any payload: the relation of the limits is checked when a transport is
  // opened, and headers must not push the largest payload over the edge.
  if (!queue_.empty() && queuedBytes_ + payload->frameBytes() > outQueueBytesMax_) return false;
  payload->Keep();
  queue_.push_back({payload, 0});
  queuedBytes_ += payload->frameBytes();
  Pump();
  return true;
}

void RingWriter::Pump() {
  while (!queue_.empty()) {
    Queued& head = queue_.front();
    const size_t bytes = FrameBytes(head.payload->fragmentBytes(head.nextFragment));
    if (bytes > Free()) return;
    WriteFrame(*head.payload, head.nextFragment);
    queuedBytes_ -= bytes;
    head.nextFragment++;
    if (head.nextFragment == head.payload->fragments()) queue_.pop_front();
  }
}

bool RingWriter::Acknowledge(uint64_t head) {
  if (head < acknowledged_ || head > tail_) return false;
  acknowledged_ = head;
  return true;
}

bool RingWriter::TakePublished() {
  const bool published = published_;
  published_ = false;
  return published;
}

void RingWriter::WriteFrame(const OutPayload& payload, size_t fragment) {
  const size_t bytes = payload.fragmentBytes(fragment);
  assert(FrameBytes(bytes) <= Free());
  uint8_t header[layout::kFrameHeaderBytes];
  Store<uint32_t>(header + layout::kFrameLength, static_cast<uint32_t>(bytes));
  Store<uint32_t>(header + layout::kFrameTotal, static_cast<uint32_t>(payload.bytes()));
  Store<uint64_t>(header + layout::kFrameSequence, sequence_);
  std::memcpy(header + layout::kFrameSha256, payload.hash(fragment).data(), layout::kSha256Bytes);
  mac_.Sign(header, layout::kFrameMac, header + layout::kFrameMac);
  CopyIn(tail_, header, sizeof header);
  CopyIn(tail_ + sizeof header, payload.fragment(fragment), bytes);
  tail_ += FrameBytes(bytes);
  sequence_++;
  SharedWord64(publishedTail_).store(tail_, std::memory_order_release);
  published_ = true;
}

void RingWriter::CopyIn(uint64_t position, const uint8_t* from, size_t bytes) {
  CopyIntoRing(ring_, ringBytes_, position, from, bytes);
}

}  // namespace sluice
