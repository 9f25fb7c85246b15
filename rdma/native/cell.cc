#include "cell.h"

#include <bit>
#include <cstring>

#include "shared_memory.h"
#include "wait.h"

namespace sluice {

namespace {

// A correct writer may be descheduled in the middle of a cell: its bytes are called bad only when
// they have stayed the same for so many looks and so long.
constexpr uint32_t kSuspectTriesMin = 8;
constexpr uint64_t kSuspectUsMin = 50'000;

// Heads lie in the last bytes of the progress cell's body.
uint8_t* HeadsOf(uint8_t* cell, const Geometry& geometry) {
  return cell + geometry.progressCellBytes - layout::kCellIncarnationFromEnd -
         layout::kProgressHeadsBytes;
}

}  // namespace

CellTable::CellTable(const Geometry& geometry)
    : geometry_(geometry),
      bytes_(geometry.progressOffset + geometry.progressCellBytes - layout::kHeaderBytes),
      written_(geometry.cells()) {}

uint32_t CellTable::Put(uint8_t kind, uint64_t slot, uint32_t view, uint8_t flags, uint16_t epoch,
                        const uint8_t* body, size_t bodyBytes) {
  const uint32_t ordinal = geometry_.ordinal(kind, slot);
  uint8_t* cell = bytes_.data() + geometry_.cellOffset(ordinal) - layout::kHeaderBytes;
  std::memset(cell, 0, geometry_.cellBytes(ordinal));
  Store<uint64_t>(cell + layout::kCellSlot, slot);
  Store<uint32_t>(cell + layout::kCellView, view);
  Store<uint16_t>(cell + layout::kCellEpoch, epoch);
  cell[layout::kCellKind] = kind;
  cell[layout::kCellFlags] = flags;
  if (bodyBytes != 0) std::memcpy(cell + layout::kCellBody, body, bodyBytes);
  written_[ordinal] = 1;
  return ordinal;
}

CellWriter::CellWriter(const Geometry& geometry, uint8_t* base, const uint8_t* macKey,
                       uint64_t incarnation)
    : geometry_(geometry), base_(base), mac_(macKey), incarnation_(incarnation) {}

void CellWriter::Write(uint32_t ordinal, const uint8_t* content, const RingHeads& heads) {
  uint8_t cell[kCellBytesMax];
  std::memcpy(cell, content, geometry_.cellBytes(ordinal));
  if (ordinal == geometry_.progressOrdinal()) {
    Store<uint64_t>(HeadsOf(cell, geometry_), heads.lane);
    Store<uint64_t>(HeadsOf(cell, geometry_) + 8, heads.control);
  }
  Seal(ordinal, cell);
}

void CellWriter::WriteCredit(uint16_t epoch, const RingHeads& heads) {
  uint8_t cell[kCellBytesMax];
  std::memset(cell, 0, geometry_.progressCellBytes);
  Store<uint16_t>(cell + layout::kCellEpoch, epoch);
  cell[layout::kCellKind] = layout::kKindCredit;
  Store<uint64_t>(HeadsOf(cell, geometry_), heads.lane);
  Store<uint64_t>(HeadsOf(cell, geometry_) + 8, heads.control);
  Seal(geometry_.progressOrdinal(), cell);
}

// The tag goes last, so that a reader who looks in between mostly sees the tag that it knows and
// waits.
void CellWriter::Seal(uint32_t ordinal, uint8_t* cell) {
  const size_t bytes = geometry_.cellBytes(ordinal);
  const size_t signedBytes = bytes - layout::kCellMacFromEnd;
  Store<uint64_t>(cell + bytes - layout::kCellIncarnationFromEnd, incarnation_);
  mac_.Sign(cell, signedBytes, cell + signedBytes);
  uint8_t* place = base_ + geometry_.cellOffset(ordinal);
  CopyToShared(place, cell, signedBytes);
  std::atomic_thread_fence(std::memory_order_release);
  CopyToShared(place + signedBytes, cell + signedBytes, layout::kMacBytes);
}

CellReader::CellReader(const Geometry& geometry, uint8_t* base, const uint8_t* macKey,
                       uint64_t incarnation, uint16_t epoch)
    : geometry_(geometry),
      base_(base),
      mac_(macKey),
      incarnation_(incarnation),
      epoch_(epoch),
      marks_((geometry.cells() + 63) / 64),
      states_(geometry.cells()) {
  MarkAll();
}

void CellReader::MarkAll() {
  for (uint32_t ordinal = 0; ordinal < geometry_.cells(); ordinal++) Mark(ordinal);
}

void CellReader::Mark(uint32_t ordinal) {
  if (marked(ordinal)) return;
  marks_[ordinal / 64] |= uint64_t{1} << (ordinal % 64);
  marked_++;
}

void CellReader::Unmark(uint32_t ordinal) {
  if (!marked(ordinal)) return;
  marks_[ordinal / 64] &= ~(uint64_t{1} << (ordinal % 64));
  marked_--;
}

bool CellReader::NoteDoorbell() {
  uint8_t* word = base_ + layout::kHeaderDoorbell;
  const uint32_t now = SharedWord32(word).load(std::memory_order_acquire);
  if (now == seenDoorbell_) return false;
  bool lapped = now - seenDoorbell_ >= layout::kHints;
  for (uint32_t at = seenDoorbell_; !lapped && at != now; at++) {
    const uint32_t hint =
        SharedWord32(base_ + layout::kHeaderHints + 4 * (at % layout::kHints))
            .load(std::memory_order_relaxed);
    if (hint < geometry_.cells()) {
      Mark(hint);
    } else if (hint != layout::kHintRing) {
      lapped = true;  // no correct writer's hint: trust none
    }
  }
  // The writer may have come round and written over hints while they were read.
  std::atomic_thread_fence(std::memory_order_acquire);
  if (SharedWord32(word).load(std::memory_order_relaxed) - seenDoorbell_ >= layout::kHints) {
    lapped = true;
  }
  if (lapped) MarkAll();
  seenDoorbell_ = now;
  return true;
}

void CellReader::RecallEarly(uint64_t toSlot) {
  for (uint32_t ordinal = 0; ordinal < geometry_.progressOrdinal(); ordinal++) {
    State& state = states_[ordinal];
    if (!state.early || state.slot > toSlot) continue;
    state.early = false;
    early_--;
    std::memset(state.tag, 0, sizeof state.tag);
    Mark(ordinal);
  }
}

bool CellReader::Scan(const SlotInterest& interest, PollSink& sink) {
  if (early_ != 0) RecallEarly(interest.toSlot);
  if (marked_ == 0) return true;
  const uint64_t window = geometry_.windowSlots;
  uint64_t span = 0;
  if (interest.toSlot >= interest.fromSlot) {
    span = interest.toSlot - interest.fromSlot;
    span = span >= window ? window : span + 1;
  }
  const uint64_t first = interest.fromSlot % window;
  for (size_t word = 0; word < marks_.size(); word++) {
    for (uint64_t bits = marks_[word]; bits != 0; bits &= bits - 1) {
      const auto ordinal = static_cast<uint32_t>(word * 64 + std::countr_zero(bits));
      if (ordinal != geometry_.progressOrdinal()) {
        const uint64_t distance = (geometry_.indexOf(ordinal) + window - first) % window;
        if (distance >= span) continue;
      }
      if (sink.Full()) return false;
      Examine(ordinal, interest, sink);
    }
  }
  return true;
}

void CellReader::Examine(uint32_t ordinal, const SlotInterest& interest, PollSink& sink) {
  const size_t bytes = geometry_.cellBytes(ordinal);
  uint8_t* place = base_ + geometry_.cellOffset(ordinal);
  uint8_t cell[kCellBytesMax];
  uint8_t* tag = cell + bytes - layout::kCellMacFromEnd;
  CopyFromShared(tag, place + bytes - layout::kCellMacFromEnd, layout::kMacBytes);
  if (std::memcmp(tag, states_[ordinal].tag, layout::kMacBytes) == 0) {
    Cleared(ordinal);
    return;
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  CopyFromShared(cell, place, bytes);
  if (!WellPlaced(ordinal, cell, bytes) ||
      !mac_.Verify(cell, bytes - layout::kCellMacFromEnd, tag)) {
    Suspected(ordinal, cell, bytes, sink);
    return;
  }
  Cleared(ordinal);
  Accept(ordinal, cell, bytes, interest, sink);
}

bool CellReader::WellPlaced(uint32_t ordinal, const uint8_t* cell, size_t bytes) const {
  if (Load<uint64_t>(cell + bytes - layout::kCellIncarnationFromEnd) != incarnation_) return false;
  if (Load<uint16_t>(cell + layout::kCellEpoch) != epoch_) return false;
  const uint64_t slot = Load<uint64_t>(cell + layout::kCellSlot);
  if (slot > limits::kSafeIntegerMax) return false;
  const uint8_t kind = cell[layout::kCellKind];
  if (ordinal == geometry_.progressOrdinal()) {
    return kind == layout::kKindProgress || kind == layout::kKindCredit;
  }
  return kind == geometry_.kindOf(ordinal) &&
         slot % geometry_.windowSlots == geometry_.indexOf(ordinal);
}

void CellReader::Suspected(uint32_t ordinal, const uint8_t* cell, size_t bytes, PollSink& sink) {
  const auto [found, isNew] = suspects_.try_emplace(ordinal);
  Suspect& suspect = found->second;
  const uint64_t now = MonotonicUs();
  if (isNew || std::memcmp(suspect.bytes.data(), cell, bytes) != 0) {
    if (isNew || suspect.reported) retrying_++;
    suspect = {std::vector<uint8_t>(cell, cell + bytes), 1, now, false};
    return;
  }
  if (suspect.reported) {
    Unmark(ordinal);
    return;
  }
  suspect.tries++;
  if (suspect.tries < kSuspectTriesMin || now - suspect.sinceUs < kSuspectUsMin) return;
  suspect.reported = true;
  retrying_--;
  badCells_++;
  Unmark(ordinal);
  sink.BadCell(geometry_.kindOf(ordinal), geometry_.indexOf(ordinal));
}

void CellReader::Cleared(uint32_t ordinal) {
  Unmark(ordinal);
  if (suspects_.empty()) return;
  const auto found = suspects_.find(ordinal);
  if (found == suspects_.end()) return;
  if (!found->second.reported) retrying_--;
  suspects_.erase(found);
}

void CellReader::Accept(uint32_t ordinal, const uint8_t* cell, size_t bytes,
                        const SlotInterest& interest, PollSink& sink) {
  State& state = states_[ordinal];
  std::memcpy(state.tag, cell + bytes - layout::kCellMacFromEnd, layout::kMacBytes);
  const uint64_t slot = Load<uint64_t>(cell + layout::kCellSlot);
  const uint32_t view = Load<uint32_t>(cell + layout::kCellView);
  if (ordinal == geometry_.progressOrdinal()) {
    AcceptProgress(cell, sink);
    return;
  }
  if (state.seen && (slot < state.slot || (slot == state.slot && view < state.view))) return;
  if (state.early) early_--;
  state.early = slot > interest.toSlot;
  if (state.early) early_++;
  state.seen = true;
  state.slot = slot;
  state.view = view;
  cellsRead_++;
  const uint8_t kind = cell[layout::kCellKind];
  sink.Cell(kind, slot, view, cell[layout::kCellFlags], cell + layout::kCellBody,
            geometry_.bodyBytes(kind));
}

void CellReader::AcceptProgress(const uint8_t* cell, PollSink& sink) {
  const uint8_t* heads = cell + geometry_.progressCellBytes - layout::kCellIncarnationFromEnd -
                         layout::kProgressHeadsBytes;
  heads_ = {Load<uint64_t>(heads), Load<uint64_t>(heads + 8)};
  if (cell[layout::kCellKind] == layout::kKindCredit) return;
  State& state = states_[geometry_.progressOrdinal()];
  const uint64_t slot = Load<uint64_t>(cell + layout::kCellSlot);
  if (state.seen && slot < state.slot) return;
  // Rewritten for its heads only: nothing new for the caller.
  const size_t contentBytes = layout::kCellBody + geometry_.slotBodyBytes;
  if (state.seen && std::memcmp(progress_.data(), cell, contentBytes) == 0) return;
  progress_.assign(cell, cell + contentBytes);
  state.seen = true;
  state.slot = slot;
  cellsRead_++;
  sink.Cell(layout::kKindProgress, slot, Load<uint32_t>(cell + layout::kCellView),
            cell[layout::kCellFlags], cell + layout::kCellBody, geometry_.slotBodyBytes);
}

}  // namespace sluice
