#include "verbs_device.h"

#include "verbs.h"

#include <cerrno>

#include "error.h"

#ifdef SLUICE_VERBS

#include <fcntl.h>

#include <cstring>

namespace sluice {

namespace {

constexpr uint8_t kPortsMax = 8;

[[noreturn]] void Unavailable(const std::string& what) {
  throw TransportError("verbs_unavailable", what);
}

bool IsZero(const ibv_gid& gid) {
  static constexpr ibv_gid kZero{};
  return std::memcmp(gid.raw, kZero.raw, sizeof gid.raw) == 0;
}

// ::ffff:a.b.c.d, as RoCE v2 names an IPv4 address.
bool IsIpv4(const ibv_gid& gid) {
  static constexpr uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(gid.raw, kPrefix, sizeof kPrefix) == 0;
}

}  // namespace

OpenedDevice::OpenedDevice(const VerbsLibrary& verbs, const VerbsDeviceOptions& options)
    : verbs_(verbs) {
  try {
    OpenContext(options.device);
    FindGid(options.gidIndex);
    usesWindows_ = options.memoryWindows && HasWindows();
    channel_ = verbs_.createCompChannel(context_);
    if (channel_ == nullptr) throw TransportError::System("verbs_failed", "ibv_create_comp_channel", errno);
    const int flags = fcntl(channel_->fd, F_GETFL);
    if (flags < 0 || fcntl(channel_->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
      throw TransportError::System("verbs_failed", "fcntl of the completion channel", errno);
    }
  } catch (...) {
    if (channel_ != nullptr) verbs_.destroyCompChannel(channel_);
    if (context_ != nullptr) verbs_.closeDevice(context_);
    throw;
  }
}

OpenedDevice::~OpenedDevice() {
  verbs_.destroyCompChannel(channel_);
  verbs_.closeDevice(context_);
}

void OpenedDevice::OpenContext(const std::string& wanted) {
  int count = 0;
  ibv_device** list = verbs_.getDeviceList(&count);
  if (list == nullptr) Unavailable("ibv_get_device_list failed: load the kernel module ib_uverbs");
  std::string seen;
  for (int i = 0; i < count && context_ == nullptr; i++) {
    name_ = verbs_.getDeviceName(list[i]);
    seen += (seen.empty() ? "" : ", ") + name_;
    if (!wanted.empty() && name_ != wanted) continue;
    context_ = verbs_.openDevice(list[i]);
    if (context_ == nullptr || FindPort()) continue;
    verbs_.closeDevice(context_);
    context_ = nullptr;
  }
  verbs_.freeDeviceList(list);
  if (context_ != nullptr) return;
  if (count == 0) {
    Unavailable(
        "there is no RDMA device: with `rdma link add rxe0 type rxe netdev eth0` any network interface becomes one "
        "(Soft-RoCE), or choose another transport");
  }
  Unavailable("no RDMA device" + (wanted.empty() ? "" : " " + wanted) +
              " with an active port; the devices are: " + seen);
}

bool OpenedDevice::FindPort() {
  for (uint8_t port = 1; port <= kPortsMax; port++) {
    ibv_port_attr attributes{};
    auto* compatible = reinterpret_cast<_compat_ibv_port_attr*>(&attributes);
    if (verbs_.queryPort(context_, port, compatible) != 0) return false;
    if (attributes.state != IBV_PORT_ACTIVE) continue;
    port_ = port;
    portAttributes_ = attributes;
    return true;
  }
  return false;
}

void OpenedDevice::FindGid(int wanted) {
  int found = -1;
  for (int i = 0; i < portAttributes_.gid_tbl_len && i <= UINT8_MAX; i++) {
    ibv_gid gid{};
    if (wanted >= 0 && i != wanted) continue;
    if (verbs_.queryGid(context_, port_, i, &gid) != 0 || IsZero(gid)) continue;
    const bool better = found < 0 || (IsIpv4(gid) && !IsIpv4(gid_));
    if (!better) continue;
    found = i;
    gid_ = gid;
  }
  if (found < 0) {
    Unavailable("device " + name_ + " has no address (GID)" +
                (wanted < 0 ? "" : " at index " + std::to_string(wanted)) +
                ": give its network interface an IP address");
  }
  gidIndex_ = static_cast<uint8_t>(found);
}

// Of type 2B, the one that the standard binds to a queue pair. The user-space driver must know them as well.
bool OpenedDevice::HasWindows() const {
  ibv_device_attr attributes{};
  const int error = verbs_.queryDevice(context_, &attributes);
  if (error != 0) throw TransportError::System("verbs_failed", "ibv_query_device", error);
  return (attributes.device_cap_flags & IBV_DEVICE_MEM_WINDOW_TYPE_2B) != 0 && context_->ops.alloc_mw != nullptr;
}

void OpenedDevice::TakeEvents() {
  ibv_cq* queue = nullptr;
  void* owner = nullptr;
  while (verbs_.getCqEvent(channel_, &queue, &owner) == 0) verbs_.ackCqEvents(queue, 1);
}

std::unique_ptr<VerbsDevice> VerbsDevice::Open(const VerbsDeviceOptions& options) {
  return std::make_unique<OpenedDevice>(VerbsLibrary::Load(), options);
}

}  // namespace sluice

#else

namespace sluice {

std::unique_ptr<VerbsDevice> VerbsDevice::Open(const VerbsDeviceOptions&) {
  throw TransportError("verbs_unavailable",
                       "this build has no RDMA: install libibverbs-dev, run `npm run build:native`, or choose another "
                       "transport");
}

}  // namespace sluice

#endif
