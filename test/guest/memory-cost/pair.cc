#include "pair.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace cost {

namespace {

constexpr size_t kHugePage = 2 << 20;
constexpr uint32_t kFirstPacket = 1;

}  // namespace

void Die(const char* call, int error) {
  std::fprintf(stderr, "memory-cost: %s failed: %s\n", call, std::strerror(error == 0 ? errno : error));
  std::exit(1);
}

void Check(int error, const char* call) {
  if (error != 0) Die(call, error < 0 ? 0 : error);
}

Memory::Memory(size_t bytes, Pages pages) : bytes_(bytes) {
  const bool isHuge = pages != Pages::kSmall;
  mappedBytes_ = isHuge ? (bytes + kHugePage - 1) / kHugePage * kHugePage : bytes;
  // Transparent huge pages need a start on the boundary of one.
  if (pages == Pages::kTransparentHuge) mappedBytes_ += kHugePage;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (pages == Pages::kReservedHuge ? MAP_HUGETLB : 0);
  mapped_ = mmap(nullptr, mappedBytes_, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapped_ == MAP_FAILED) {
    if (pages != Pages::kReservedHuge) Die("mmap", 0);
    mapped_ = nullptr;
    return;
  }
  uintptr_t start = reinterpret_cast<uintptr_t>(mapped_);
  if (pages == Pages::kTransparentHuge) {
    start = (start + kHugePage - 1) / kHugePage * kHugePage;
    madvise(mapped_, mappedBytes_, MADV_HUGEPAGE);
  }
  if (pages == Pages::kSmall) madvise(mapped_, mappedBytes_, MADV_NOHUGEPAGE);
  base_ = reinterpret_cast<uint8_t*>(start);
  std::memset(base_, 0, bytes);
}

Memory::~Memory() {
  if (mapped_ != nullptr) munmap(mapped_, mappedBytes_);
}

Device::Device() {
  int count = 0;
  ibv_device** list = Made(ibv_get_device_list(&count), "ibv_get_device_list");
  if (count == 0) Die("finding a device", ENODEV);
  context_ = Made(ibv_open_device(list[0]), "ibv_open_device");
  ibv_free_device_list(list);
  ibv_port_attr port{};
  Check(ibv_query_port(context_, kPort, &port), "ibv_query_port");
  mtu_ = port.active_mtu;
  ibv_device_attr attributes{};
  Check(ibv_query_device(context_, &attributes), "ibv_query_device");
  hasWindows_ = (attributes.device_cap_flags & IBV_DEVICE_MEM_WINDOW_TYPE_2B) != 0;
  FindGid();
  domain_ = Made(ibv_alloc_pd(context_), "ibv_alloc_pd");
}

Device::~Device() {
  ibv_dealloc_pd(domain_);
  ibv_close_device(context_);
}

void Device::FindGid() {
  static constexpr uint8_t kIpv4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  for (int i = 0; ibv_query_gid(context_, kPort, i, &gid_) == 0; i++) {
    gidIndex_ = static_cast<uint8_t>(i);
    if (std::memcmp(gid_.raw, kIpv4, sizeof kIpv4) == 0) return;
  }
  Die("finding an IPv4 address of the device", EADDRNOTAVAIL);
}

ibv_mr* Device::Register(uint8_t* base, size_t bytes, int access) const {
  return Made(ibv_reg_mr(domain_, base, bytes, access), "ibv_reg_mr");
}

Side::Side(const Device& device) : device_(device) {
  completions_ = Made(ibv_create_cq(device.context(), 64, nullptr, nullptr, 0), "ibv_create_cq");
  ibv_qp_init_attr wanted{};
  wanted.send_cq = completions_;
  wanted.recv_cq = completions_;
  wanted.qp_type = IBV_QPT_RC;
  wanted.cap = {.max_send_wr = 32, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1, .max_inline_data = 0};
  pair_ = Made(ibv_create_qp(device.domain(), &wanted), "ibv_create_qp");
}

Side::~Side() {
  ibv_destroy_qp(pair_);
  ibv_destroy_cq(completions_);
}

void Side::Modify(ibv_qp_attr& attributes, int mask) {
  Check(ibv_modify_qp(pair_, &attributes, mask | IBV_QP_STATE), "ibv_modify_qp");
}

void Side::Connect(uint32_t peerQueuePair) {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_INIT;
  attributes.port_num = kPort;
  attributes.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
  Modify(attributes, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
  attributes.qp_state = IBV_QPS_RTR;
  attributes.path_mtu = device_.mtu();
  attributes.dest_qp_num = peerQueuePair;
  attributes.rq_psn = kFirstPacket;
  attributes.min_rnr_timer = 1;
  attributes.ah_attr.is_global = 1;
  attributes.ah_attr.grh.dgid = device_.gid();
  attributes.ah_attr.grh.sgid_index = device_.gidIndex();
  attributes.ah_attr.grh.hop_limit = 64;
  attributes.ah_attr.port_num = kPort;
  Modify(attributes, IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
                         IBV_QP_MIN_RNR_TIMER);
  attributes.qp_state = IBV_QPS_RTS;
  attributes.timeout = 14;
  attributes.retry_cnt = 7;
  attributes.rnr_retry = 7;
  attributes.sq_psn = kFirstPacket;
  Modify(attributes, IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

ibv_wc_status Side::Run(ibv_send_wr& request) {
  request.send_flags |= IBV_SEND_SIGNALED;
  ibv_send_wr* bad = nullptr;
  Check(ibv_post_send(pair_, &request, &bad), "ibv_post_send");
  ibv_wc done{};
  int count;
  do {
    count = ibv_poll_cq(completions_, 1, &done);
  } while (count == 0);
  if (count < 0) Die("ibv_poll_cq", EIO);
  return done.status;
}

ibv_wc_status Side::Write(const uint8_t* from, uint32_t lkey, size_t bytes, const uint8_t* to, uint32_t rkey) {
  ibv_sge piece = {reinterpret_cast<uint64_t>(from), static_cast<uint32_t>(bytes), lkey};
  ibv_send_wr request{};
  request.sg_list = &piece;
  request.num_sge = 1;
  request.opcode = IBV_WR_RDMA_WRITE;
  request.wr.rdma.remote_addr = reinterpret_cast<uint64_t>(to);
  request.wr.rdma.rkey = rkey;
  return Run(request);
}

uint32_t Side::Bind(ibv_mw* window, ibv_mr* region, size_t bytes) {
  ibv_send_wr request{};
  request.opcode = IBV_WR_BIND_MW;
  request.bind_mw.mw = window;
  request.bind_mw.rkey = ibv_inc_rkey(window->rkey);
  request.bind_mw.bind_info = {region, reinterpret_cast<uint64_t>(region->addr), bytes, IBV_ACCESS_REMOTE_WRITE};
  if (Run(request) != IBV_WC_SUCCESS) Die("binding a memory window", EIO);
  window->rkey = request.bind_mw.rkey;
  return window->rkey;
}

void Side::Invalidate(uint32_t rkey) {
  ibv_send_wr request{};
  request.opcode = IBV_WR_LOCAL_INV;
  request.invalidate_rkey = rkey;
  if (Run(request) != IBV_WC_SUCCESS) Die("invalidating a memory window", EIO);
}

}  // namespace cost
