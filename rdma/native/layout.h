// Layout of a region, as drawn in ../layout.ts; test/rdma/layout.test.ts compares the two files'
// numbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

namespace layout {
inline constexpr char kMagic[] = "SLUICE01";
inline constexpr uint32_t kVersion = 1;

inline constexpr size_t kHeaderBytes = 4096;
inline constexpr size_t kHeaderMagic = 0;
inline constexpr size_t kHeaderVersion = 8;
inline constexpr size_t kHeaderRegionBytes = 16;
inline constexpr size_t kHeaderDigest = 32;
inline constexpr size_t kHeaderDigestBytes = 32;
inline constexpr size_t kHeaderDoorbell = 64;
inline constexpr size_t kHeaderWaiting = 128;
inline constexpr size_t kHeaderLaneTail = 192;
inline constexpr size_t kHeaderControlTail = 256;
inline constexpr size_t kHeaderHints = 320;
inline constexpr uint32_t kHints = 128;
inline constexpr uint32_t kHintRing = 0xffffffffu;

inline constexpr size_t kCellAlign = 64;
inline constexpr size_t kCellSlot = 0;
inline constexpr size_t kCellView = 8;
inline constexpr size_t kCellEpoch = 12;
inline constexpr size_t kCellKind = 14;
inline constexpr size_t kCellFlags = 15;
inline constexpr size_t kCellBody = 16;
inline constexpr size_t kCellOverheadBytes = 40;
inline constexpr size_t kCellIncarnationFromEnd = 24;
inline constexpr size_t kCellMacFromEnd = 16;
inline constexpr size_t kVoteCellBytes = 64;
inline constexpr size_t kCommitCellBytes = 64;
inline constexpr size_t kBodyFixedBytes = 8;
inline constexpr size_t kBodyBytesPerReplica = 40;
inline constexpr size_t kProgressHeadsBytes = 16;

inline constexpr uint8_t kKindProposal = 1;
inline constexpr uint8_t kKindVote = 2;
inline constexpr uint8_t kKindCommit = 3;
inline constexpr uint8_t kKindProgress = 4;
inline constexpr uint8_t kKindCredit = 5;

inline constexpr size_t kMacBytes = 16;
inline constexpr size_t kMacKeyBytes = 16;
inline constexpr size_t kSha256Bytes = 32;

inline constexpr size_t kFrameHeaderBytes = 64;
inline constexpr size_t kFrameAlign = 64;
inline constexpr size_t kFrameLength = 0;
inline constexpr size_t kFrameTotal = 4;
inline constexpr size_t kFrameSequence = 8;
inline constexpr size_t kFrameSha256 = 16;
inline constexpr size_t kFrameMac = 48;
inline constexpr size_t kFragmentsPerRing = 4;

inline constexpr uint8_t kRingLane = 0;
inline constexpr uint8_t kRingControl = 1;

inline constexpr size_t kPageBytes = 4096;
}  // namespace layout

// The same bounds as in ../limits.ts.
namespace limits {
inline constexpr uint32_t kReplicasMin = 2;
inline constexpr uint32_t kReplicasMax = 64;
inline constexpr uint32_t kWindowSlotsMin = 1;
inline constexpr uint32_t kWindowSlotsMax = 4096;
inline constexpr uint32_t kRingBytesMin = 16u << 10;
inline constexpr uint32_t kRingBytesMax = 64u << 20;
inline constexpr uint32_t kPayloadBytesMaxMax = 256u << 20;
inline constexpr uint32_t kOutQueueBytesMaxMax = 1024u << 20;
inline constexpr uint32_t kPollBytesMaxMin = 64u << 10;
inline constexpr uint32_t kPollBytesMaxMax = 256u << 20;
inline constexpr uint32_t kPollRecordBytesMax = 256u << 10;
// One parcel of writes that travel as frames: room for the largest cell, and no more than a link takes at once.
inline constexpr uint32_t kWritesBytesMin = 4u << 10;
inline constexpr uint32_t kWritesBytesMax = 1u << 20;
inline constexpr uint32_t kSpinUsMax = 1'000'000;
inline constexpr uint32_t kWaitTimeoutUsMax = 60'000'000;
// What JavaScript counts exactly; a slot above it is nobody's.
inline constexpr uint64_t kSafeIntegerMax = (uint64_t{1} << 53) - 1;
}  // namespace limits

constexpr size_t AlignUp(size_t bytes, size_t align) { return (bytes + align - 1) / align * align; }

// Where everything lies in a region; all sizes and offsets are bytes.
struct Geometry {
  uint32_t replicas;
  uint32_t windowSlots;
  size_t laneRingBytes;
  size_t controlRingBytes;
  size_t slotBodyBytes;  // body of proposal and progress cells
  size_t proposalCellBytes;
  size_t progressCellBytes;
  size_t proposalsOffset;
  size_t votesOffset;
  size_t commitsOffset;
  size_t progressOffset;
  size_t laneRingOffset;
  size_t controlRingOffset;
  size_t regionBytes;

  constexpr Geometry(uint32_t replicas_, uint32_t windowSlots_, size_t laneRingBytes_,
                     size_t controlRingBytes_)
      : replicas(replicas_),
        windowSlots(windowSlots_),
        laneRingBytes(laneRingBytes_),
        controlRingBytes(controlRingBytes_),
        slotBodyBytes(layout::kBodyFixedBytes + layout::kBodyBytesPerReplica * replicas_),
        proposalCellBytes(AlignUp(slotBodyBytes + layout::kCellOverheadBytes, layout::kCellAlign)),
        progressCellBytes(
            AlignUp(slotBodyBytes + layout::kProgressHeadsBytes + layout::kCellOverheadBytes,
                    layout::kCellAlign)),
        proposalsOffset(layout::kHeaderBytes),
        votesOffset(proposalsOffset + windowSlots * proposalCellBytes),
        commitsOffset(votesOffset + windowSlots * layout::kVoteCellBytes),
        progressOffset(commitsOffset + windowSlots * layout::kCommitCellBytes),
        laneRingOffset(AlignUp(progressOffset + progressCellBytes, layout::kPageBytes)),
        controlRingOffset(laneRingOffset + laneRingBytes),
        regionBytes(controlRingOffset + controlRingBytes) {}

  // Cells are numbered 0 .. 3W: proposals, votes, commits, then the progress cell.
  constexpr uint32_t cells() const { return 3 * windowSlots + 1; }
  constexpr uint32_t progressOrdinal() const { return 3 * windowSlots; }

  constexpr uint32_t ordinal(uint8_t kind, uint64_t slot) const {
    if (kind >= layout::kKindProgress) return progressOrdinal();
    return (kind - 1u) * windowSlots + static_cast<uint32_t>(slot % windowSlots);
  }

  constexpr uint8_t kindOf(uint32_t ordinal) const {
    return static_cast<uint8_t>(ordinal / windowSlots + 1);
  }

  constexpr uint32_t indexOf(uint32_t ordinal) const { return ordinal % windowSlots; }

  constexpr size_t cellBytes(uint32_t ordinal) const {
    switch (kindOf(ordinal)) {
      case layout::kKindProposal:
        return proposalCellBytes;
      case layout::kKindVote:
        return layout::kVoteCellBytes;
      case layout::kKindCommit:
        return layout::kCommitCellBytes;
      default:
        return progressCellBytes;
    }
  }

  constexpr size_t cellOffset(uint32_t ordinal) const {
    const size_t index = indexOf(ordinal);
    switch (kindOf(ordinal)) {
      case layout::kKindProposal:
        return proposalsOffset + index * proposalCellBytes;
      case layout::kKindVote:
        return votesOffset + index * layout::kVoteCellBytes;
      case layout::kKindCommit:
        return commitsOffset + index * layout::kCommitCellBytes;
      default:
        return progressOffset;
    }
  }

  // Bytes of the body that belong to the caller.
  constexpr size_t bodyBytes(uint8_t kind) const {
    if (kind == layout::kKindVote) return layout::kVoteCellBytes - layout::kCellOverheadBytes;
    if (kind == layout::kKindCommit) return layout::kCommitCellBytes - layout::kCellOverheadBytes;
    return slotBodyBytes;
  }

  constexpr size_t ringBytes(uint8_t ring) const {
    return ring == layout::kRingLane ? laneRingBytes : controlRingBytes;
  }
  constexpr size_t ringOffset(uint8_t ring) const {
    return ring == layout::kRingLane ? laneRingOffset : controlRingOffset;
  }
  constexpr size_t tailOffset(uint8_t ring) const {
    return ring == layout::kRingLane ? layout::kHeaderLaneTail : layout::kHeaderControlTail;
  }
  constexpr size_t fragmentBytesMax(uint8_t ring) const {
    return ringBytes(ring) / layout::kFragmentsPerRing;
  }
};

inline constexpr size_t kCellBytesMax =
    Geometry(limits::kReplicasMax, 1, limits::kRingBytesMin, limits::kRingBytesMin)
        .progressCellBytes;

}  // namespace sluice
