// The numbers of layout.h under the names that ../layout.ts and ../limits.ts give them, for the
// test that compares the two.

#include <napi.h>

#include "layout.h"
#include "record_sink.h"

namespace sluice {

Napi::Object LayoutConstants(Napi::Env env) {
  using namespace layout;
  Napi::Object constants = Napi::Object::New(env);
  const auto set = [&constants](const char* name, double value) { constants.Set(name, value); };
  constants.Set("MAGIC", Napi::String::New(env, kMagic));
  set("VERSION", kVersion);
  set("HEADER_BYTES", kHeaderBytes);
  set("HEADER_MAGIC", kHeaderMagic);
  set("HEADER_VERSION", kHeaderVersion);
  set("HEADER_REGION_BYTES", kHeaderRegionBytes);
  set("HEADER_DIGEST", kHeaderDigest);
  set("HEADER_DIGEST_BYTES", kHeaderDigestBytes);
  set("HEADER_DOORBELL", kHeaderDoorbell);
  set("HEADER_WAITING", kHeaderWaiting);
  set("HEADER_LANE_TAIL", kHeaderLaneTail);
  set("HEADER_CONTROL_TAIL", kHeaderControlTail);
  set("HEADER_HINTS", kHeaderHints);
  set("HINTS", kHints);
  set("HINT_RING", kHintRing);
  set("CELL_ALIGN", kCellAlign);
  set("CELL_SLOT", kCellSlot);
  set("CELL_VIEW", kCellView);
  set("CELL_EPOCH", kCellEpoch);
  set("CELL_KIND", kCellKind);
  set("CELL_FLAGS", kCellFlags);
  set("CELL_BODY", kCellBody);
  set("CELL_OVERHEAD_BYTES", kCellOverheadBytes);
  set("CELL_INCARNATION_FROM_END", kCellIncarnationFromEnd);
  set("CELL_MAC_FROM_END", kCellMacFromEnd);
  set("VOTE_CELL_BYTES", kVoteCellBytes);
  set("COMMIT_CELL_BYTES", kCommitCellBytes);
  set("BODY_FIXED_BYTES", kBodyFixedBytes);
  set("BODY_BYTES_PER_REPLICA", kBodyBytesPerReplica);
  set("PROGRESS_HEADS_BYTES", kProgressHeadsBytes);
  set("KIND_PROPOSAL", kKindProposal);
  set("KIND_VOTE", kKindVote);
  set("KIND_COMMIT", kKindCommit);
  set("KIND_PROGRESS", kKindProgress);
  set("KIND_CREDIT", kKindCredit);
  set("MAC_BYTES", kMacBytes);
  set("MAC_KEY_BYTES", kMacKeyBytes);
  set("SHA256_BYTES", kSha256Bytes);
  set("FRAME_HEADER_BYTES", kFrameHeaderBytes);
  set("FRAME_ALIGN", kFrameAlign);
  set("FRAME_LENGTH", kFrameLength);
  set("FRAME_TOTAL", kFrameTotal);
  set("FRAME_SEQUENCE", kFrameSequence);
  set("FRAME_SHA256", kFrameSha256);
  set("FRAME_MAC", kFrameMac);
  set("FRAGMENTS_PER_RING", kFragmentsPerRing);
  set("RING_LANE", kRingLane);
  set("RING_CONTROL", kRingControl);
  set("PAGE_BYTES", kPageBytes);
  return constants;
}

Napi::Object LimitConstants(Napi::Env env) {
  using namespace limits;
  Napi::Object constants = Napi::Object::New(env);
  const auto set = [&constants](const char* name, double value) { constants.Set(name, value); };
  set("replicasMin", kReplicasMin);
  set("replicasMax", kReplicasMax);
  set("windowSlotsMin", kWindowSlotsMin);
  set("windowSlotsMax", kWindowSlotsMax);
  set("ringBytesMin", kRingBytesMin);
  set("ringBytesMax", kRingBytesMax);
  set("payloadBytesMaxMax", kPayloadBytesMaxMax);
  set("outQueueBytesMaxMax", kOutQueueBytesMaxMax);
  set("pollBytesMaxMin", kPollBytesMaxMin);
  set("pollBytesMaxMax", kPollBytesMaxMax);
  set("pollRecordBytesMax", kPollRecordBytesMax);
  set("writesBytesMin", kWritesBytesMin);
  set("writesBytesMax", kWritesBytesMax);
  set("spinUsMax", kSpinUsMax);
  set("waitTimeoutUsMax", kWaitTimeoutUsMax);
  return constants;
}

}  // namespace sluice
