#include "record_sink.h"

#include <cassert>

#include "shared_memory.h"

namespace sluice {

uint8_t* RecordSink::Add(uint8_t type, uint8_t what, uint8_t detail, uint32_t number, double slot,
                         size_t bodyBytes) {
  assert(used_ + record::kHeaderBytes + bodyBytes <= bytes_);
  uint8_t* at = records_ + used_;
  at[0] = type;
  at[1] = peer_;
  at[2] = what;
  at[3] = detail;
  Store<uint32_t>(at + 4, number);
  Store<double>(at + 8, slot);
  Store<uint32_t>(at + 16, static_cast<uint32_t>(bodyBytes));
  Store<uint32_t>(at + 20, 0);
  used_ += AlignUp(record::kHeaderBytes + bodyBytes, 8);
  items_++;
  return at + record::kHeaderBytes;
}

void RecordSink::Cell(uint8_t kind, uint64_t slot, uint32_t view, uint8_t flags,
                      const uint8_t* body, size_t bodyBytes) {
  std::memcpy(Add(record::kCell, kind, flags, view, static_cast<double>(slot), bodyBytes), body,
              bodyBytes);
}

void RecordSink::BadCell(uint8_t kind, uint32_t index) {
  Add(record::kBadCell, kind, 0, index, 0, 0);
}

void RecordSink::BadFrame(uint8_t ring, FrameFault reason) {
  Add(record::kBadFrame, ring, static_cast<uint8_t>(reason), 0, 0, 0);
}

void RecordSink::DeadConnection() { Add(record::kDeadConnection, 0, 0, 0, 0, 0); }

uint8_t* RecordSink::Allocate(size_t bytes) {
  allocatedBytes_ = bytes;
  if (bytes <= short_.size()) return short_.data();
  // A Buffer's memory is not set to zero first: all of it is overwritten, or it is not handed out.
  allocated_ = Napi::Buffer<uint8_t>::New(env_, bytes).ArrayBuffer();
  assert(allocated_.ByteLength() == bytes);
  return static_cast<uint8_t*>(allocated_.Data());
}

void RecordSink::Payload(uint8_t ring, const uint8_t sha256[32]) {
  if (allocatedBytes_ <= short_.size()) {
    uint8_t* at = Add(record::kShortPayload, ring, 0, 0, 0, layout::kSha256Bytes + allocatedBytes_);
    std::memcpy(at, sha256, layout::kSha256Bytes);
    std::memcpy(at + layout::kSha256Bytes, short_.data(), allocatedBytes_);
    return;
  }
  const auto place = static_cast<uint32_t>(payloads_.size());
  payloads_.push_back(allocated_);
  std::memcpy(Add(record::kPayload, ring, 0, place, 0, layout::kSha256Bytes), sha256,
              layout::kSha256Bytes);
}

void RecordSink::MovePayloads(Napi::Array to) const {
  for (uint32_t i = 0; i < payloads_.size(); i++) to.Set(i, payloads_[i]);
}

}  // namespace sluice
