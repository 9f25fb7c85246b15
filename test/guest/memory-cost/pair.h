// Two queue pairs of this process, connected through the first RDMA device with an active port, and memory for them. Every call
// that fails ends the program with its name: a measurement has nothing to recover.
#pragma once

#include <infiniband/verbs.h>

#include <cstddef>
#include <cstdint>

namespace cost {

[[noreturn]] void Die(const char* call, int error);
void Check(int error, const char* call);

template <typename T>
T* Made(T* pointer, const char* call);

// Memory of this process, zeroed and touched.
enum class Pages { kSmall, kTransparentHuge, kReservedHuge };

class Memory {
 public:
  // `base` is null when the system has no such pages.
  explicit Memory(size_t bytes, Pages pages = Pages::kSmall);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  uint8_t* base() const { return base_; }
  size_t bytes() const { return bytes_; }

 private:
  uint8_t* base_ = nullptr;
  size_t bytes_ = 0;
  void* mapped_ = nullptr;
  size_t mappedBytes_ = 0;
};

class Device {
 public:
  Device();
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  ibv_context* context() const { return context_; }
  ibv_pd* domain() const { return domain_; }
  const ibv_gid& gid() const { return gid_; }
  ibv_mtu mtu() const { return mtu_; }
  uint8_t gidIndex() const { return gidIndex_; }
  bool hasWindows() const { return hasWindows_; }
  ibv_mr* Register(uint8_t* base, size_t bytes, int access) const;

 private:
  void FindGid();

  ibv_context* context_ = nullptr;
  ibv_pd* domain_ = nullptr;
  ibv_gid gid_{};
  ibv_mtu mtu_ = IBV_MTU_1024;
  uint8_t gidIndex_ = 0;
  bool hasWindows_ = false;
};

inline constexpr uint8_t kPort = 1;

class Side {
 public:
  explicit Side(const Device& device);
  ~Side();
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  void Connect(uint32_t peerQueuePair);
  uint32_t number() const { return pair_->qp_num; }
  // Posts one request and waits for its completion.
  ibv_wc_status Run(ibv_send_wr& request);
  ibv_wc_status Write(const uint8_t* from, uint32_t lkey, size_t bytes, const uint8_t* to, uint32_t rkey);
  // Of the window, to all of `region`; returns the key that is valid from then on.
  uint32_t Bind(ibv_mw* window, ibv_mr* region, size_t bytes);
  void Invalidate(uint32_t rkey);

 private:
  void Modify(ibv_qp_attr& attributes, int mask);

  const Device& device_;
  ibv_cq* completions_ = nullptr;
  ibv_qp* pair_ = nullptr;
};

struct Pair {
  explicit Pair(const Device& device) : writer(device), reader(device) {
    writer.Connect(reader.number());
    reader.Connect(writer.number());
  }
  Side writer;
  Side reader;
};

template <typename T>
T* Made(T* pointer, const char* call) {
  if (pointer == nullptr) Die(call, 0);
  return pointer;
}

}  // namespace cost
