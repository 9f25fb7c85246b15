// One channel's shared-memory transport of one replica: all sessions, polling, waiting. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "session.h"
#include "sink.h"
#include "wait.h"
#include "wait_pace.h"

namespace sluice {

enum class WaitMode : uint8_t { kSpin = 0, kAdaptive = 1, kBlock = 2 };

// How writes come to a peer: into its memory, as frames that the caller carries, through an RDMA device.
enum class Provider : uint8_t { kShm = 0, kTcp = 1, kVerbs = 2 };

struct TransportOptions {
  uint32_t self;
  uint32_t replicas;
  uint32_t windowSlots;
  uint32_t laneRingBytes;
  uint32_t controlRingBytes;
  uint32_t payloadBytesMax;
  uint32_t laneOutQueueBytesMax;
  uint32_t controlOutQueueBytesMax;
  uint32_t pollBytesMax;
  uint16_t epoch;
  WaitMode waitMode;
  uint32_t spinUs;
  bool futexWaitv;
  Provider provider;
  VerbsDeviceOptions verbs;
  LayoutDigest digest;
};

struct PeerCounters {
  uint64_t cellsWritten = 0;
  uint64_t cellsRead = 0;
  uint64_t framesWritten = 0;
  uint64_t framesRead = 0;
  uint64_t payloadsSkipped = 0;
  uint64_t badCells = 0;
  uint64_t badFrames = 0;
  uint64_t outQueueBytes = 0;
};

enum class SessionState : uint8_t { kClosed = 0, kOffered = 1, kMapped = 2, kOpen = 3 };

class Transport {
 public:
  explicit Transport(const TransportOptions& options);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // The steps of a session, in this order (`Map` and `Confirm` in any order). Each throws
  // `invalid_state` out of order. `peer` < replicas and not self: the caller has checked.
  std::string Offer(uint32_t peer);
  void SetInboundKeys(uint32_t peer, const DirectionKeys& keys, uint64_t peerIncarnation);
  void Map(uint32_t peer, const std::string& name, const DirectionKeys& keys,
           uint64_t selfIncarnation, const VerbsEndpoint* endpoint);
  // Of an offered session over verbs: where the peer finds our region.
  VerbsEndpoint Endpoint(uint32_t peer);
  void Confirm(uint32_t peer);
  void Close(uint32_t peer);
  SessionState State(uint32_t peer) const;

  void WriteCell(uint8_t kind, uint64_t slot, uint32_t view, uint8_t flags, const uint8_t* body,
                 size_t bodyBytes, bool quiet = false);
  void RewriteCells(uint32_t peer);
  // Sets queued[peer] to 1 for each peer that got the payload into its ring or queue.
  void WriteLane(const uint8_t* payload, size_t bytes, uint8_t* queued);
  bool Send(uint32_t peer, const uint8_t* payload, size_t bytes);

  // Of `tcp`: what is to travel to the peer, at most `bytesMax` of it, and what has come from it.
  size_t TakeWrites(uint32_t peer, uint8_t* out, size_t bytesMax);
  const char* ApplyWrites(uint32_t peer, const uint8_t* frames, size_t bytes);

  void Poll(const SlotInterest& interest, PollSink& sink);
  bool Wait(uint64_t timeoutUs);

  uint64_t wakeHandle() const { return wakeHandle_; }
  bool usesWindows() const { return device_ && device_->usesWindows(); }
  // Why the peer's connection is dead; empty while it lives.
  std::string DeviceFault(uint32_t peer) const;
  PeerCounters Counters(uint32_t peer) const;
  const Geometry& geometry() const { return geometry_; }
  const TransportOptions& options() const { return options_; }

 private:
  Session& At(uint32_t peer, const char* call);
  void PollCells(uint32_t peer, const SlotInterest& interest, PollSink& sink);
  void PollRings(uint32_t peer, size_t budgetBytes, PollSink& sink);
  void ApplyHeads(uint32_t peer, PollSink& sink);
  void ReturnCredits(Session& session);
  void WriteCellTo(Session& session, uint32_t ordinal, bool quiet = false);
  void RingIfPublished(Session& session);
  void Flush(Session& session);
  void TellFault(uint32_t peer, PollSink& sink);
  bool Push(uint32_t peer, uint8_t ring, const std::shared_ptr<OutPayload>& payload);

  bool HasWork();
  void Reap();
  void Block(uint64_t deadlineUs);
  void BlockOnDevice(uint64_t deadlineUs);
  bool Retrying() const;
  void SetWaiting(uint32_t value);
  uint64_t SpinUntil(uint64_t startUs, uint64_t deadlineUs) const;
  bool Spin(uint64_t untilUs);
  bool WaitUntil(uint64_t startUs, uint64_t deadlineUs);
  bool WorkFound();

  TransportOptions options_;
  Geometry geometry_;
  Sha256 sha256_;
  CellTable cells_;
  std::unique_ptr<VerbsDevice> device_;             // of `verbs`; outlives the sessions
  std::vector<std::unique_ptr<Session>> sessions_;  // by peer; none: closed
  std::vector<PeerCounters> totals_;                // of what no session counts, and of ended sessions
  uint32_t firstPeer_ = 0;                          // whose rings the next poll reads first
  bool sinkFilled_ = false;                         // the last poll left something behind
  std::shared_ptr<WakeWord> wakeWord_;
  uint64_t wakeHandle_;
  uint32_t seenWake_ = 0;
  Blocker blocker_;
  WaitPace pace_;
  std::vector<WaitWord> waitWords_;
};

}  // namespace sluice
