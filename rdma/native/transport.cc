#include "transport.h"

#include <openssl/crypto.h>
#include <poll.h>
#include <sched.h>

#include <algorithm>

#include "error.h"
#include "shared_memory.h"

namespace sluice {

namespace {

// While a cell is looked at again, nobody may ring: the time until the next look.
constexpr uint64_t kRetryUs = 1000;
constexpr int kPausesPerLook = 16;

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

bool HasRung(const Session& session) {
  return SharedWord32(session.region.base() + layout::kHeaderDoorbell)
             .load(std::memory_order_acquire) != session.inbound->cells.seenDoorbell();
}

}  // namespace

DirectionKeys::~DirectionKeys() { OPENSSL_cleanse(bytes_, sizeof bytes_); }

Transport::Transport(const TransportOptions& options)
    : options_(options),
      geometry_(options.replicas, options.windowSlots, options.laneRingBytes,
                options.controlRingBytes),
      cells_(geometry_),
      sessions_(options.replicas),
      totals_(options.replicas),
      wakeWord_(std::make_shared<WakeWord>()),
      wakeHandle_(WakeRegistry::Add(wakeWord_)),
      blocker_(options.futexWaitv),
      pace_(options.spinUs) {
  if (options.provider == Provider::kShm) Region::RemoveAbandoned();
  if (options.provider != Provider::kVerbs) return;
  try {
    device_ = VerbsDevice::Open(options.verbs);
    wakeWord_->UseDescriptor();
  } catch (...) {
    WakeRegistry::Remove(wakeHandle_);
    throw;
  }
}

Transport::~Transport() { WakeRegistry::Remove(wakeHandle_); }

Session& Transport::At(uint32_t peer, const char* call) {
  if (!sessions_[peer]) {
    throw TransportError("invalid_state", std::string(call) + " of peer " + std::to_string(peer) +
                                              " without a session: call offer first");
  }
  return *sessions_[peer];
}

std::string Transport::Offer(uint32_t peer) {
  if (sessions_[peer]) {
    throw TransportError("invalid_state", "offer to peer " + std::to_string(peer) +
                                              " while its session lasts: call close first");
  }
  auto session = std::make_unique<Session>(options_.provider == Provider::kShm
                                               ? Region::Create(geometry_, options_.digest)
                                               : Region::CreatePrivate(geometry_, options_.digest));
  if (device_) session->queue = device_->CreateQueue(geometry_, session->region.base());
  sessions_[peer] = std::move(session);
  return sessions_[peer]->region.name();
}

VerbsEndpoint Transport::Endpoint(uint32_t peer) {
  Session& session = At(peer, "endpoint");
  if (!session.queue) throw TransportError("invalid_state", "only sessions over verbs have an endpoint");
  return session.queue->endpoint();
}

void Transport::SetInboundKeys(uint32_t peer, const DirectionKeys& keys, uint64_t peerIncarnation) {
  Session& session = At(peer, "keys");
  if (session.inbound) {
    throw TransportError("invalid_state", "keys of peer " + std::to_string(peer) +
                                              " were set before: one session has one key");
  }
  session.inbound.emplace(geometry_, session.region.base(), keys, peerIncarnation, options_.epoch,
                          options_.payloadBytesMax);
}

void Transport::Map(uint32_t peer, const std::string& name, const DirectionKeys& keys,
                    uint64_t selfIncarnation, const VerbsEndpoint* endpoint) {
  Session& session = At(peer, "accept");
  if (session.outbound || !session.inbound) {
    throw TransportError("invalid_state", "accept from peer " + std::to_string(peer) +
                                              " twice or before offer: one session has one region");
  }
  if (device_ && endpoint == nullptr) {
    throw TransportError("offer_mismatch", "the offer of peer " + std::to_string(peer) +
                                               " does not say where its region is");
  }
  const bool isCopy = options_.provider != Provider::kShm;
  session.outbound.emplace(geometry_,
                           isCopy ? Region::CreatePrivate(geometry_, options_.digest)
                                  : Region::Map(name, geometry_, options_.digest),
                           keys, selfIncarnation, options_.laneOutQueueBytesMax,
                           options_.controlOutQueueBytesMax, isCopy);
  if (!session.queue) return;
  Outbound& out = *session.outbound;
  session.queue->Connect(*endpoint, out.region.base(), *out.log);
}

void Transport::Confirm(uint32_t peer) {
  Session& session = At(peer, "confirm");
  session.region.Unlink();
  session.confirmed = true;
}

void Transport::Close(uint32_t peer) {
  if (!sessions_[peer]) return;
  totals_[peer] = Counters(peer);
  totals_[peer].outQueueBytes = 0;
  sessions_[peer].reset();
}

SessionState Transport::State(uint32_t peer) const {
  const Session* session = sessions_[peer].get();
  if (session == nullptr) return SessionState::kClosed;
  if (session->open()) return SessionState::kOpen;
  return session->outbound ? SessionState::kMapped : SessionState::kOffered;
}

PeerCounters Transport::Counters(uint32_t peer) const {
  PeerCounters counters = totals_[peer];
  const Session* session = sessions_[peer].get();
  if (session != nullptr && session->inbound) {
    const Inbound& in = *session->inbound;
    counters.cellsRead += in.cells.cellsRead();
    counters.badCells += in.cells.badCells();
    counters.framesRead += in.lane.framesRead() + in.control.framesRead();
    counters.badFrames += (in.lane.broken() ? 1 : 0) + (in.control.broken() ? 1 : 0);
  }
  if (session != nullptr && session->outbound) {
    const Outbound& out = *session->outbound;
    counters.framesWritten += out.lane.framesWritten() + out.control.framesWritten();
    counters.outQueueBytes += out.lane.queuedBytes() + out.control.queuedBytes();
  }
  return counters;
}

void Transport::WriteCell(uint8_t kind, uint64_t slot, uint32_t view, uint8_t flags,
                          const uint8_t* body, size_t bodyBytes, bool quiet) {
  const uint32_t ordinal = cells_.Put(kind, slot, view, flags, options_.epoch, body, bodyBytes);
  for (uint32_t peer = 0; peer < options_.replicas; peer++) {
    Session* session = sessions_[peer].get();
    if (session == nullptr || !session->open()) continue;
    WriteCellTo(*session, ordinal, quiet);
    Flush(*session);
    totals_[peer].cellsWritten++;
  }
}

void Transport::RewriteCells(uint32_t peer) {
  Session* session = sessions_[peer].get();
  if (session == nullptr || !session->open()) return;
  for (uint32_t ordinal = 0; ordinal < geometry_.cells(); ordinal++) {
    if (!cells_.written(ordinal)) continue;
    WriteCellTo(*session, ordinal);
    totals_[peer].cellsWritten++;
  }
  Flush(*session);
}

void Transport::WriteCellTo(Session& session, uint32_t ordinal, bool quiet) {
  Outbound& out = *session.outbound;
  const RingHeads heads = {session.inbound->lane.head(), session.inbound->control.head()};
  out.cells.Write(ordinal, cells_.at(ordinal), heads);
  if (ordinal == geometry_.progressOrdinal()) out.publishedHeads = heads;
  out.Announce(ordinal, quiet);
}

void Transport::WriteLane(const uint8_t* payload, size_t bytes, uint8_t* queued) {
  const auto out = std::make_shared<OutPayload>(
      payload, bytes, geometry_.fragmentBytesMax(layout::kRingLane), sha256_);
  for (uint32_t peer = 0; peer < options_.replicas; peer++) {
    queued[peer] = peer == options_.self || Push(peer, layout::kRingLane, out) ? 1 : 0;
  }
}

bool Transport::Send(uint32_t peer, const uint8_t* payload, size_t bytes) {
  const auto out = std::make_shared<OutPayload>(
      payload, bytes, geometry_.fragmentBytesMax(layout::kRingControl), sha256_);
  return Push(peer, layout::kRingControl, out);
}

bool Transport::Push(uint32_t peer, uint8_t ring, const std::shared_ptr<OutPayload>& payload) {
  Session* session = sessions_[peer].get();
  bool queued = false;
  if (session != nullptr && session->open()) {
    Outbound& out = *session->outbound;
    queued = (ring == layout::kRingLane ? out.lane : out.control).Push(payload);
    RingIfPublished(*session);
  }
  if (!queued) totals_[peer].payloadsSkipped++;
  return queued;
}

// A device is told at once; what it has no room for follows when it has.
void Transport::Flush(Session& session) {
  if (session.queue) session.queue->Post();
}

void Transport::RingIfPublished(Session& session) {
  Outbound& outbound = *session.outbound;
  const bool lane = outbound.lane.TakePublished();
  const bool control = outbound.control.TakePublished();
  // A log sees the tails by itself.
  if (!lane && !control) return;
  if (outbound.log) Flush(session);
  else outbound.doorbell.Ring(layout::kHintRing);
}

size_t Transport::TakeWrites(uint32_t peer, uint8_t* out, size_t bytesMax) {
  Session* session = sessions_[peer].get();
  if (session == nullptr || !session->open() || options_.provider != Provider::kTcp) return 0;
  return session->outbound->log->Take(out, bytesMax);
}

// The peer may be through with the handshake before we are: its writes wait in the region.
const char* Transport::ApplyWrites(uint32_t peer, const uint8_t* frames, size_t bytes) {
  Session* session = sessions_[peer].get();
  if (session == nullptr || !session->inbound || options_.provider != Provider::kTcp) return nullptr;
  return session->inbound->writes.Apply(frames, bytes);
}

// Cells of all peers come first, then each peer's rings within its share of the budget: no peer's
// traffic delays another's cells, or takes another's share.
void Transport::Poll(const SlotInterest& interest, PollSink& sink) {
  sinkFilled_ = false;
  Reap();
  const uint32_t peers = options_.replicas;
  for (uint32_t i = 0; i < peers; i++) {
    PollCells((firstPeer_ + i) % peers, interest, sink);
  }
  const size_t share = options_.pollBytesMax / (peers - 1);
  for (uint32_t i = 0; i < peers; i++) {
    PollRings((firstPeer_ + i) % peers, share, sink);
  }
  firstPeer_ = (firstPeer_ + 1) % peers;
}

void Transport::PollCells(uint32_t peer, const SlotInterest& interest, PollSink& sink) {
  Session* session = sessions_[peer].get();
  if (session == nullptr || !session->open()) return;
  sink.From(peer);
  TellFault(peer, sink);
  Inbound& in = *session->inbound;
  // Before the scan: a mark that the doorbell announces is set when the scan looks.
  if (in.cells.NoteDoorbell()) session->ringsDue = true;
  if (!in.cells.Scan(interest, sink)) sinkFilled_ = true;
  ApplyHeads(peer, sink);
}

void Transport::ApplyHeads(uint32_t peer, PollSink& sink) {
  Session& session = *sessions_[peer];
  const RingHeads& heads = session.inbound->cells.heads();
  Outbound& out = *session.outbound;
  if (heads.lane == session.appliedHeads.lane && heads.control == session.appliedHeads.control) {
    return;
  }
  if (sink.Full()) {
    sinkFilled_ = true;
    return;
  }
  session.appliedHeads = heads;
  if (!out.Acknowledge(layout::kRingLane, heads.lane)) {
    totals_[peer].badFrames++;
    sink.BadFrame(layout::kRingLane, FrameFault::kHead);
  }
  if (!out.Acknowledge(layout::kRingControl, heads.control)) {
    totals_[peer].badFrames++;
    sink.BadFrame(layout::kRingControl, FrameFault::kHead);
  }
  out.lane.Pump();
  out.control.Pump();
  RingIfPublished(session);
}

void Transport::TellFault(uint32_t peer, PollSink& sink) {
  Session& session = *sessions_[peer];
  if (!session.queue || session.faultTold || session.queue->fault() == nullptr || sink.Full()) return;
  session.faultTold = true;
  totals_[peer].badFrames++;
  sink.DeadConnection();
}

std::string Transport::DeviceFault(uint32_t peer) const {
  const Session* session = sessions_[peer].get();
  const char* fault = session != nullptr && session->queue ? session->queue->fault() : nullptr;
  return fault == nullptr ? "" : fault;
}

void Transport::PollRings(uint32_t peer, size_t budgetBytes, PollSink& sink) {
  Session* session = sessions_[peer].get();
  if (session == nullptr || !session->open() || !session->ringsDue) return;
  sink.From(peer);
  Inbound& in = *session->inbound;
  in.control.Read(budgetBytes, sink, sha256_);
  in.lane.Read(budgetBytes, sink, sha256_);
  session->ringsDue = in.control.pending() || in.lane.pending();
  ReturnCredits(*session);
}

// The peer must be able to write a whole fragment when all before it is read: heads may lag behind
// by one fragment, and the ring holds four.
void Transport::ReturnCredits(Session& session) {
  const RingHeads& published = session.outbound->publishedHeads;
  const uint64_t lane = session.inbound->lane.head() - published.lane;
  const uint64_t control = session.inbound->control.head() - published.control;
  if (lane < geometry_.fragmentBytesMax(layout::kRingLane) &&
      control < geometry_.fragmentBytesMax(layout::kRingControl)) {
    return;
  }
  if (cells_.written(geometry_.progressOrdinal())) {
    WriteCellTo(session, geometry_.progressOrdinal());
    Flush(session);
    return;
  }
  Outbound& out = *session.outbound;
  const RingHeads heads = {session.inbound->lane.head(), session.inbound->control.head()};
  out.cells.WriteCredit(options_.epoch, heads);
  out.publishedHeads = heads;
  out.Announce(geometry_.progressOrdinal());
  Flush(session);
}

// What a device has brought rings the doorbells.
void Transport::Reap() {
  if (!device_) return;
  for (const auto& session : sessions_) {
    if (session && session->queue) session->queue->Reap();
  }
}

bool Transport::HasWork() {
  Reap();
  if (sinkFilled_ || wakeWord_->value() != seenWake_) return true;
  for (const auto& session : sessions_) {
    if (!session || !session->open()) continue;
    if (session->ringsDue || HasRung(*session)) return true;
    if (session->queue && session->queue->fault() != nullptr && !session->faultTold) return true;
  }
  return false;
}

bool Transport::Retrying() const {
  return std::any_of(sessions_.begin(), sessions_.end(), [](const auto& session) {
    return session && session->open() && session->inbound->cells.retrying();
  });
}

void Transport::SetWaiting(uint32_t value) {
  for (const auto& session : sessions_) {
    if (!session || !session->open()) continue;
    SharedWord32(session->region.base() + layout::kHeaderWaiting)
        .store(value, std::memory_order_relaxed);
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

// Whoever has set the wake word before is seen by the caller, who looks at its queues after this.
bool Transport::WorkFound() {
  seenWake_ = wakeWord_->value();
  return true;
}

bool Transport::Spin(uint64_t untilUs) {
  while (MonotonicUs() < untilUs) {
    for (int i = 0; i < kPausesPerLook; i++) Pause();
    if (HasWork()) return true;
    // Several replicas may share this core: what we wait for may need it.
    sched_yield();
  }
  return false;
}

bool Transport::Wait(uint64_t timeoutUs) {
  if (HasWork()) return WorkFound();
  const bool retrying = Retrying();
  const uint64_t start = MonotonicUs();
  const uint64_t deadline = start + (retrying ? std::min(timeoutUs, kRetryUs) : timeoutUs);
  const bool found = WaitUntil(start, deadline);
  pace_.Note(MonotonicUs() - start);
  return (found || retrying) && WorkFound();
}

bool Transport::WaitUntil(uint64_t startUs, uint64_t deadlineUs) {
  if (Spin(SpinUntil(startUs, deadlineUs))) return true;
  while (MonotonicUs() < deadlineUs) {
    if (device_) BlockOnDevice(deadlineUs);
    else Block(deadlineUs);
    if (HasWork()) return true;
  }
  return false;
}

uint64_t Transport::SpinUntil(uint64_t startUs, uint64_t deadlineUs) const {
  switch (options_.waitMode) {
    case WaitMode::kSpin:
      return deadlineUs;
    case WaitMode::kAdaptive:
      return std::min(deadlineUs, startUs + pace_.spinUs());
    case WaitMode::kBlock:
      return startUs;
  }
  return startUs;
}

void Transport::Block(uint64_t deadlineUs) {
  waitWords_.clear();
  for (const auto& session : sessions_) {
    if (!session || !session->open()) continue;
    waitWords_.push_back({session->region.base() + layout::kHeaderDoorbell,
                          session->inbound->cells.seenDoorbell(), true});
  }
  waitWords_.push_back({reinterpret_cast<uint8_t*>(wakeWord_->address()), seenWake_, false});
  SetWaiting(1);
  // A doorbell that rang before its writer could see that we wait is seen here or by the futex
  // call.
  if (!HasWork()) blocker_.Block(waitWords_, deadlineUs);
  SetWaiting(0);
}

// A completion that came before its queue was armed is seen by the look after that.
void Transport::BlockOnDevice(uint64_t deadlineUs) {
  for (const auto& session : sessions_) {
    if (session && session->queue) session->queue->Arm();
  }
  if (HasWork()) return;
  const uint64_t now = MonotonicUs();
  if (now >= deadlineUs) return;
  pollfd descriptors[] = {{device_->eventFd(), POLLIN, 0}, {wakeWord_->descriptor(), POLLIN, 0}};
  const uint64_t us = deadlineUs - now;
  const timespec timeout = {static_cast<time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000 * 1000)};
  ppoll(descriptors, 2, &timeout, nullptr);
  device_->TakeEvents();
  wakeWord_->ClearDescriptor();
}

}  // namespace sluice
