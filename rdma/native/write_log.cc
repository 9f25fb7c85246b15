#include "write_log.h"

#include <algorithm>
#include <cstring>

#include "shared_memory.h"

namespace sluice {

namespace {

constexpr uint8_t kCell = 1;
constexpr uint8_t kRing = 2;
constexpr size_t kCellHead = 8;
constexpr size_t kRingHead = 16;

}  // namespace

WriteLog::WriteLog(const Geometry& geometry, uint8_t* base)
    : geometry_(geometry), base_(base), dirty_(geometry.cells()) {}

void WriteLog::NoteCell(uint32_t ordinal) {
  if (dirty_[ordinal] != 0) return;
  dirty_[ordinal] = 1;
  order_.push_back(ordinal);
}

uint64_t WriteLog::Tail(uint8_t ring) const {
  return SharedWord64(base_ + geometry_.tailOffset(ring)).load(std::memory_order_relaxed);
}

bool WriteLog::pending() const {
  return !order_.empty() || Tail(layout::kRingLane) != shipped_[layout::kRingLane] ||
         Tail(layout::kRingControl) != shipped_[layout::kRingControl];
}

size_t WriteLog::Take(uint8_t* out, size_t bytesMax) {
  size_t used = 0;
  while (!order_.empty() &&
         used + kCellHead + geometry_.cellBytes(order_.front()) <= bytesMax) {
    uint32_t ordinal;
    PopCell(ordinal);
    used += TakeCell(ordinal, out + used);
  }
  used += TakeRing(layout::kRingControl, out + used, bytesMax - used);
  used += TakeRing(layout::kRingLane, out + used, bytesMax - used);
  return used;
}

size_t WriteLog::TakeCell(uint32_t ordinal, uint8_t* out) {
  const size_t bytes = geometry_.cellBytes(ordinal);
  std::memset(out, 0, kCellHead);
  out[0] = kCell;
  Store<uint32_t>(out + 4, ordinal);
  std::memcpy(out + kCellHead, base_ + geometry_.cellOffset(ordinal), bytes);
  return kCellHead + bytes;
}

size_t WriteLog::TakeRing(uint8_t ring, uint8_t* out, size_t bytesMax) {
  const uint64_t from = shipped_[ring];
  const uint64_t tail = Tail(ring);
  if (tail == from || bytesMax <= kRingHead) return 0;
  const size_t bytes = std::min(static_cast<size_t>(tail - from), bytesMax - kRingHead);
  std::memset(out, 0, kRingHead);
  out[0] = kRing;
  out[1] = ring;
  out[2] = from + bytes == tail ? 1 : 0;
  Store<uint32_t>(out + 4, static_cast<uint32_t>(bytes));
  Store<uint64_t>(out + 8, from);
  CopyFromRing(out + kRingHead, base_ + geometry_.ringOffset(ring), geometry_.ringBytes(ring), from,
               bytes);
  shipped_[ring] = from + bytes;
  return kRingHead + bytes;
}

bool WriteLog::PopCell(uint32_t& ordinal) {
  if (order_.empty()) return false;
  ordinal = order_.front();
  order_.pop_front();
  dirty_[ordinal] = 0;
  return true;
}

bool WriteLog::PopRing(uint8_t ring, uint64_t& from, uint64_t& tail) {
  from = shipped_[ring];
  tail = Tail(ring);
  shipped_[ring] = tail;
  return tail != from;
}

WriteApplier::WriteApplier(const Geometry& geometry, uint8_t* base)
    : geometry_(geometry), base_(base), doorbell_(base) {}

const char* WriteApplier::Apply(const uint8_t* frames, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    size_t taken = 0;
    const char* fault = ApplyOne(frames + at, bytes - at, taken);
    if (fault != nullptr) return fault;
    at += taken;
  }
  return nullptr;
}

const char* WriteApplier::ApplyOne(const uint8_t* frame, size_t bytes, size_t& taken) {
  if (bytes < kCellHead) return "a write is cut off";
  if (frame[0] == kCell) return ApplyCell(frame, bytes, taken);
  if (frame[0] == kRing) return ApplyRing(frame, bytes, taken);
  return "a write of an unknown kind";
}

const char* WriteApplier::ApplyCell(const uint8_t* frame, size_t bytes, size_t& taken) {
  const uint32_t ordinal = Load<uint32_t>(frame + 4);
  if (ordinal >= geometry_.cells()) return "a write beyond the cells";
  taken = kCellHead + geometry_.cellBytes(ordinal);
  if (bytes < taken) return "a cell is cut off";
  std::memcpy(base_ + geometry_.cellOffset(ordinal), frame + kCellHead, geometry_.cellBytes(ordinal));
  doorbell_.Ring(ordinal);
  return nullptr;
}

const char* WriteApplier::ApplyRing(const uint8_t* frame, size_t bytes, size_t& taken) {
  if (bytes < kRingHead) return "a write is cut off";
  const uint8_t ring = frame[1];
  const size_t length = Load<uint32_t>(frame + 4);
  const uint64_t position = Load<uint64_t>(frame + 8);
  if (ring != layout::kRingLane && ring != layout::kRingControl) return "a write to an unknown ring";
  if (length == 0 || length > geometry_.ringBytes(ring)) return "a write longer than its ring";
  if (position != tails_[ring]) return "a write that does not continue its ring";
  taken = kRingHead + length;
  if (bytes < taken) return "a ring's bytes are cut off";
  CopyIntoRing(base_ + geometry_.ringOffset(ring), geometry_.ringBytes(ring), position,
               frame + kRingHead, length);
  tails_[ring] = position + length;
  if (frame[2] == 0) return nullptr;
  SharedWord64(base_ + geometry_.tailOffset(ring)).store(tails_[ring], std::memory_order_release);
  doorbell_.Ring(layout::kHintRing);
  return nullptr;
}

}  // namespace sluice
