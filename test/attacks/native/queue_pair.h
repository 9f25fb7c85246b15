// A queue pair that keeps no rule: any operation, at any address, under any key; as many receives as it likes, or none.
//
// It shares no code with rdma/native: what the victim must believe of an endpoint is written here a second time.
#pragma once

#include <infiniband/verbs.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace attacker {

// As in an offer: address (16), region address (8), key (4), queue pair (4), first packet (4), lid (2), mtu (1), 0.
struct Endpoint {
  static constexpr size_t kBytes = 40;
  uint8_t gid[16] = {};
  uint64_t address = 0;
  uint32_t rkey = 0;
  uint32_t queuePair = 0;
  uint32_t packet = 0;
  uint16_t lid = 0;
  uint8_t mtu = 0;
};

std::vector<uint8_t> Encode(const Endpoint& endpoint);
Endpoint Decode(const std::vector<uint8_t>& bytes);

struct Request {
  ibv_wr_opcode opcode = IBV_WR_RDMA_WRITE;
  uint64_t address = 0;
  uint32_t rkey = 0;
  uint32_t immediate = 0;  // or the key to invalidate
};

class QueuePair {
 public:
  // `regionBytes` of its own memory may be written by the victim.
  QueuePair(size_t regionBytes, uint32_t receives);
  ~QueuePair();
  QueuePair(const QueuePair&) = delete;
  QueuePair& operator=(const QueuePair&) = delete;

  const Endpoint& endpoint() const { return endpoint_; }
  const std::vector<uint8_t>& region() const { return region_; }
  const Endpoint& peer() const { return peer_; }

  // `notReadyTimer` is what the victim is told to wait when this side has no receive (as in ibv_modify_qp).
  void Connect(const Endpoint& peer, uint8_t notReadyTimer);
  void Receive(uint32_t count);
  // Posts `count` times, first `bytes`, then `others`, in turns; the device's word for how it ended.
  std::string Post(const Request& request, const std::vector<uint8_t>& bytes, const std::vector<uint8_t>& others,
                   uint32_t count);

 private:
  void Create(uint32_t receives);
  void Modify(ibv_qp_attr& attributes, int mask, const char* state);
  ibv_wc_status Await(uint64_t number);

  ibv_context* context_ = nullptr;
  ibv_pd* domain_ = nullptr;
  ibv_cq* completions_ = nullptr;
  ibv_qp* pair_ = nullptr;
  ibv_mr* target_ = nullptr;
  ibv_mr* source_ = nullptr;
  std::vector<uint8_t> region_;
  std::vector<uint8_t> buffer_;
  Endpoint endpoint_;
  Endpoint peer_;
  uint8_t gidIndex_ = 0;
  uint64_t posted_ = 0;
  uint64_t done_ = 0;
};

}  // namespace attacker
