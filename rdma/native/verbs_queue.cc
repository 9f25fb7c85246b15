#include "verbs_device.h"

#include "verbs.h"

#include <cstring>

#include "error.h"
#include "shared_memory.h"

namespace sluice {

void VerbsEndpoint::Encode(uint8_t out[kBytes]) const {
  std::memset(out, 0, kBytes);
  std::memcpy(out, gid.data(), gid.size());
  Store<uint64_t>(out + 16, address);
  Store<uint32_t>(out + 24, rkey);
  Store<uint32_t>(out + 28, queuePair);
  Store<uint32_t>(out + 32, packetSequence);
  Store<uint16_t>(out + 36, lid);
  out[38] = mtu;
}

bool VerbsEndpoint::Decode(const uint8_t in[kBytes], VerbsEndpoint& endpoint) {
  std::memcpy(endpoint.gid.data(), in, endpoint.gid.size());
  endpoint.address = Load<uint64_t>(in + 16);
  endpoint.rkey = Load<uint32_t>(in + 24);
  endpoint.queuePair = Load<uint32_t>(in + 28);
  endpoint.packetSequence = Load<uint32_t>(in + 32);
  endpoint.lid = Load<uint16_t>(in + 36);
  endpoint.mtu = in[38];
  constexpr uint32_t k24Bits = 1u << 24;
  return endpoint.queuePair < k24Bits && endpoint.packetSequence < k24Bits && endpoint.mtu >= 1 &&
         endpoint.mtu <= 5 && in[39] == 0;
}

}  // namespace sluice

#ifdef SLUICE_VERBS

#include <arpa/inet.h>
#include <sched.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "doorbell.h"
#include "verbs_window.h"
#include "wait.h"

namespace sluice {

namespace {

constexpr uint32_t kSends = 512;
constexpr uint32_t kReceives = 1024;
// One completion for so many sends: the rest of the queue is known to be free by it.
constexpr uint32_t kSignalEvery = 32;
constexpr uint32_t kRepostEvery = 64;
constexpr uint32_t kBatch = 32;
// A ring's bytes (two pieces) and its tail.
constexpr uint32_t kSendsPerRing = 3;
constexpr uint32_t kInlineBytes[] = {256, 128, 64, 0};
constexpr uint8_t kHopLimit = 64;
constexpr uint8_t kTimeout = 14;  // 4.096 us x 2^14 = 67 ms until a packet is sent again
constexpr uint8_t kRetries = 7;
constexpr uint8_t kRetriesForEver = 7;  // of a peer that has no receive ready: it may be stopped
constexpr uint8_t kNotReadyTimer = 1;   // 10 us
constexpr int kWriteAccess = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
constexpr int kWindowAccess = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND;
// A device does it in microseconds, by itself.
constexpr uint64_t kBindUs = 2'000'000;

template <typename T>
T* Made(T* pointer, const char* call) {
  if (pointer == nullptr) throw TransportError::System("verbs_failed", call, errno);
  return pointer;
}

uint32_t RandomSequence() {
  uint32_t value = 0;
  if (getrandom(&value, sizeof value, 0) != sizeof value) {
    throw TransportError::System("verbs_failed", "getrandom", errno);
  }
  return value & 0xffffff;
}

class Queue final : public VerbsQueue {
 public:
  Queue(OpenedDevice& device, const Geometry& geometry, uint8_t* region)
      : device_(device), verbs_(device.verbs()), geometry_(geometry), doorbell_(region) {
    try {
      Create(region);
    } catch (...) {
      Destroy();
      throw;
    }
  }

  ~Queue() override { Destroy(); }

  const VerbsEndpoint& endpoint() const override { return endpoint_; }
  const char* fault() const override { return fault_.empty() ? nullptr : fault_.c_str(); }

  void Connect(const VerbsEndpoint& peer, uint8_t* copy, WriteLog& log) override {
    source_ = Register(copy, IBV_ACCESS_LOCAL_WRITE);
    ReadyToReceive(peer);
    ReadyToSend();
    if (window_) BindWindow();
    peer_ = peer;
    copy_ = copy;
    log_ = &log;
  }

  void Post() override {
    if (log_ == nullptr || !fault_.empty()) return;
    while (log_->pending()) {
      const uint32_t count = Fill();
      if (count == 0) return;
      ibv_send_wr* bad = nullptr;
      const int error = ibv_post_send(pair_, requests_, &bad);
      if (error != 0) return Fail("ibv_post_send: ", std::strerror(error));
      posted_ += count;
    }
  }

  void Reap() override {
    if (!fault_.empty()) return;
    ibv_wc done[kBatch];
    int count;
    do {
      count = ibv_poll_cq(completions_, kBatch, done);
      if (count < 0) return Fail("ibv_poll_cq: ", "failed");
      for (int i = 0; i < count; i++) Complete(done[i]);
    } while (count == static_cast<int>(kBatch) && fault_.empty());
    if (taken_ >= kRepostEvery) PostReceives(taken_);
    Post();
  }

  void Arm() override {
    if (fault_.empty() && ibv_req_notify_cq(completions_, 0) != 0) Fail("ibv_req_notify_cq: ", "failed");
  }

 private:
  void Create(uint8_t* region) {
    domain_ = Made(verbs_.allocPd(device_.context()), "ibv_alloc_pd");
    target_ = Register(region, device_.usesWindows() ? kWindowAccess : kWriteAccess);
    if (device_.usesWindows()) window_.emplace(domain_);
    completions_ = Made(verbs_.createCq(device_.context(), static_cast<int>(kSends + kReceives), nullptr,
                                        device_.channel(), 0),
                        "ibv_create_cq");
    CreatePair();
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_INIT;
    attributes.port_num = device_.port();
    // Never IBV_ACCESS_REMOTE_READ: nobody may read what a replica remembers.
    attributes.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
    Modify(attributes, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, "INIT");
    PostReceives(kReceives);
    std::memcpy(endpoint_.gid.data(), device_.gid().raw, endpoint_.gid.size());
    endpoint_.address = reinterpret_cast<uint64_t>(region);
    endpoint_.rkey = window_ ? window_->key() : target_->rkey;
    endpoint_.queuePair = pair_->qp_num;
    endpoint_.packetSequence = RandomSequence();
    endpoint_.lid = device_.portAttributes().lid;
    endpoint_.mtu = static_cast<uint8_t>(device_.portAttributes().active_mtu);
  }

  ibv_mr* Register(uint8_t* memory, int access) {
    ibv_mr* region = verbs_.regMr(domain_, memory, geometry_.regionBytes, access);
    if (region != nullptr) return region;
    const int error = errno;
    const char* call = error == ENOMEM
                           ? "ibv_reg_mr (raise the limit of locked memory: `ulimit -l unlimited`)"
                           : "ibv_reg_mr";
    throw TransportError::System("verbs_failed", call, error);
  }

  void CreatePair() {
    for (const uint32_t inlineBytes : kInlineBytes) {
      ibv_qp_init_attr wanted{};
      wanted.send_cq = completions_;
      wanted.recv_cq = completions_;
      wanted.qp_type = IBV_QPT_RC;
      wanted.cap.max_send_wr = kSends;
      wanted.cap.max_recv_wr = kReceives;
      wanted.cap.max_send_sge = 1;
      wanted.cap.max_recv_sge = 1;
      wanted.cap.max_inline_data = inlineBytes;
      pair_ = verbs_.createQp(domain_, &wanted);
      inlineBytes_ = inlineBytes;
      if (pair_ != nullptr) return;
    }
    throw TransportError::System("verbs_failed", "ibv_create_qp", errno);
  }

  void Modify(ibv_qp_attr& attributes, int mask, const char* state) {
    const int error = verbs_.modifyQp(pair_, &attributes, mask);
    if (error == 0) return;
    const std::string call = std::string("ibv_modify_qp to ") + state;
    throw TransportError::System("verbs_failed", call.c_str(), error);
  }

  void ReadyToReceive(const VerbsEndpoint& peer) {
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_RTR;
    attributes.path_mtu = static_cast<ibv_mtu>(std::min(peer.mtu, endpoint_.mtu));
    attributes.dest_qp_num = peer.queuePair;
    attributes.rq_psn = peer.packetSequence;
    attributes.max_dest_rd_atomic = 0;
    attributes.min_rnr_timer = kNotReadyTimer;
    attributes.ah_attr.is_global = 1;
    std::memcpy(attributes.ah_attr.grh.dgid.raw, peer.gid.data(), peer.gid.size());
    attributes.ah_attr.grh.sgid_index = device_.gidIndex();
    attributes.ah_attr.grh.hop_limit = kHopLimit;
    attributes.ah_attr.dlid = peer.lid;
    attributes.ah_attr.port_num = device_.port();
    Modify(attributes,
           IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
               IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
           "RTR");
  }

  void ReadyToSend() {
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_RTS;
    attributes.timeout = kTimeout;
    attributes.retry_cnt = kRetries;
    attributes.rnr_retry = kRetriesForEver;
    attributes.sq_psn = endpoint_.packetSequence;
    attributes.max_rd_atomic = 0;
    Modify(attributes,
           IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
               IBV_QP_MAX_QP_RD_ATOMIC,
           "RTS");
  }

  // Waits for it: a peer that is told over the links that we are ready may write at once.
  void BindWindow() {
    window_->PostBind(pair_, target_);
    const uint64_t deadline = MonotonicUs() + kBindUs;
    while (!bound_) {
      Reap();
      if (!fault_.empty()) throw TransportError("verbs_failed", "binding the memory window: " + fault_);
      if (MonotonicUs() >= deadline) throw TransportError("verbs_failed", "binding the memory window took too long");
      if (!bound_) sched_yield();
    }
  }

  // Writes of a peer carry their data to where they belong: a receive has no memory of its own.
  void PostReceives(uint32_t count) {
    ibv_recv_wr requests[kRepostEvery] = {};
    taken_ = 0;
    while (count > 0) {
      const uint32_t now = std::min(count, kRepostEvery);
      for (uint32_t i = 0; i < now; i++) requests[i].next = i + 1 < now ? &requests[i + 1] : nullptr;
      ibv_recv_wr* bad = nullptr;
      const int error = ibv_post_recv(pair_, requests, &bad);
      if (error != 0) return Fail("ibv_post_recv: ", std::strerror(error));
      count -= now;
    }
  }

  // Chains what is pending, as far as there is room in the send queue. The cells come first.
  uint32_t Fill() {
    const uint32_t room = kSends - static_cast<uint32_t>(posted_ - completed_);
    const uint32_t most = std::min(room, kBatch);
    uint32_t count = 0;
    uint32_t ordinal;
    while (count < most && log_->PopCell(ordinal)) {
      Write(count++, geometry_.cellOffset(ordinal), geometry_.cellBytes(ordinal), &ordinal);
    }
    for (const uint8_t ring : {layout::kRingControl, layout::kRingLane}) {
      if (count + kSendsPerRing > most) break;
      uint64_t from;
      uint64_t tail;
      if (log_->PopRing(ring, from, tail)) count = WriteRing(count, ring, from, tail);
    }
    for (uint32_t i = 0; i < count; i++) {
      ibv_send_wr& request = requests_[i];
      const uint64_t number = posted_ + i + 1;
      request.wr_id = number;
      if (number % kSignalEvery == 0) request.send_flags |= IBV_SEND_SIGNALED;
      request.next = i + 1 < count ? &requests_[i + 1] : nullptr;
    }
    return count;
  }

  uint32_t WriteRing(uint32_t count, uint8_t ring, uint64_t from, uint64_t tail) {
    const size_t ringBytes = geometry_.ringBytes(ring);
    const size_t start = geometry_.ringOffset(ring);
    const size_t at = static_cast<size_t>(from % ringBytes);
    const size_t bytes = static_cast<size_t>(tail - from);
    const size_t first = std::min(bytes, ringBytes - at);
    Write(count++, start + at, first, nullptr);
    if (first < bytes) Write(count++, start, bytes - first, nullptr);
    Write(count++, geometry_.tailOffset(ring), sizeof tail, &layout::kHintRing);
    return count;
  }

  void Write(uint32_t index, size_t offset, size_t bytes, const uint32_t* hint) {
    ibv_sge& piece = pieces_[index];
    piece.addr = reinterpret_cast<uint64_t>(copy_ + offset);
    piece.length = static_cast<uint32_t>(bytes);
    piece.lkey = source_->lkey;
    ibv_send_wr& request = requests_[index];
    request = {};
    request.sg_list = &piece;
    request.num_sge = 1;
    request.opcode = hint == nullptr ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_WRITE_WITH_IMM;
    if (hint != nullptr) request.imm_data = htonl(*hint);
    request.send_flags = bytes <= inlineBytes_ ? IBV_SEND_INLINE : 0;
    request.wr.rdma.remote_addr = peer_.address + offset;
    request.wr.rdma.rkey = peer_.rkey;
  }

  void Complete(const ibv_wc& done) {
    if (done.status != IBV_WC_SUCCESS) {
      // What follows the first error is only flushed.
      if (fault_.empty()) Fail("work completion: ", verbs_.wcStatusStr(done.status));
      return;
    }
    if (done.opcode == IBV_WC_BIND_MW) {
      bound_ = true;
      return;
    }
    if ((done.opcode & IBV_WC_RECV) == 0) {
      completed_ = done.wr_id;
      return;
    }
    taken_++;
    if (done.opcode == IBV_WC_RECV_RDMA_WITH_IMM) doorbell_.Ring(ntohl(done.imm_data));
  }

  void Fail(const char* call, const char* what) { fault_ = std::string(call) + what; }

  void Destroy() {
    window_.reset();
    if (pair_ != nullptr) verbs_.destroyQp(pair_);
    if (completions_ != nullptr) verbs_.destroyCq(completions_);
    if (source_ != nullptr) verbs_.deregMr(source_);
    if (target_ != nullptr) verbs_.deregMr(target_);
    if (domain_ != nullptr) verbs_.deallocPd(domain_);
  }

  OpenedDevice& device_;
  const VerbsLibrary& verbs_;
  Geometry geometry_;
  Doorbell doorbell_;
  ibv_pd* domain_ = nullptr;
  ibv_mr* target_ = nullptr;
  std::optional<MemoryWindow> window_;  // the peer's way into `target_`; none: the region's own key is
  bool bound_ = false;
  ibv_mr* source_ = nullptr;
  ibv_cq* completions_ = nullptr;
  ibv_qp* pair_ = nullptr;
  uint32_t inlineBytes_ = 0;
  VerbsEndpoint endpoint_;
  VerbsEndpoint peer_;
  uint8_t* copy_ = nullptr;
  WriteLog* log_ = nullptr;
  uint64_t posted_ = 0;
  uint64_t completed_ = 0;  // all sends up to this number
  uint32_t taken_ = 0;      // receives used up and not posted again
  std::string fault_;
  ibv_send_wr requests_[kBatch];
  ibv_sge pieces_[kBatch];
};

}  // namespace

std::unique_ptr<VerbsQueue> OpenedDevice::CreateQueue(const Geometry& geometry, uint8_t* region) {
  return std::make_unique<Queue>(*this, geometry, region);
}

}  // namespace sluice

#endif
