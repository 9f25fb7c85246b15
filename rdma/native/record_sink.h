// Packs what a poll finds into one buffer of JavaScript's, as drawn in ../memory/records.ts.
#pragma once

#include <napi.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "layout.h"
#include "sink.h"

namespace sluice {

namespace record {
inline constexpr uint8_t kCell = 1;
inline constexpr uint8_t kPayload = 2;
inline constexpr uint8_t kBadCell = 3;
inline constexpr uint8_t kBadFrame = 4;
inline constexpr uint8_t kDeadConnection = 5;
inline constexpr uint8_t kShortPayload = 6;
inline constexpr size_t kHeaderBytes = 24;
// Up to here a copy costs less than a buffer of its own.
inline constexpr size_t kShortPayloadBytesMax = 1024;
inline constexpr size_t kBytesMax =
    kHeaderBytes + std::max(kCellBytesMax, layout::kSha256Bytes + kShortPayloadBytesMax);
static_assert(limits::kPollRecordBytesMax >= 16 * kBytesMax);
}  // namespace record

class RecordSink final : public PollSink {
 public:
  RecordSink(Napi::Env env, uint8_t* records, size_t bytes)
      : env_(env), records_(records), bytes_(bytes) {}

  void From(uint32_t peer) override { peer_ = static_cast<uint8_t>(peer); }
  // Two, because one step may report two faults.
  bool Full() const override { return bytes_ - used_ < 2 * record::kBytesMax; }
  void Cell(uint8_t kind, uint64_t slot, uint32_t view, uint8_t flags, const uint8_t* body,
            size_t bodyBytes) override;
  void BadCell(uint8_t kind, uint32_t index) override;
  void BadFrame(uint8_t ring, FrameFault reason) override;
  void DeadConnection() override;
  uint8_t* Allocate(size_t bytes) override;
  void Payload(uint8_t ring, const uint8_t sha256[32]) override;

  uint32_t items() const { return items_; }
  // One ArrayBuffer for each payload record that is not short, in order. They go to JavaScript's array only after the
  // poll: an array may have setters, and those could call the transport while it polls.
  void MovePayloads(Napi::Array to) const;

 private:
  uint8_t* Add(uint8_t type, uint8_t what, uint8_t detail, uint32_t number, double slot,
               size_t bodyBytes);

  Napi::Env env_;
  uint8_t* records_;
  size_t bytes_;
  size_t used_ = 0;
  uint32_t items_ = 0;
  uint8_t peer_ = 0;
  std::vector<Napi::ArrayBuffer> payloads_;
  Napi::ArrayBuffer allocated_;
  std::array<uint8_t, record::kShortPayloadBytesMax> short_;
  size_t allocatedBytes_ = 0;
};

}  // namespace sluice
