// An opened device and its port; verbs_device.cc and verbs_queue.cc share it.
#pragma once

#include "verbs_library.h"

#ifdef SLUICE_VERBS

#include "verbs.h"

namespace sluice {

class OpenedDevice final : public VerbsDevice {
 public:
  OpenedDevice(const VerbsLibrary& verbs, const VerbsDeviceOptions& options);
  ~OpenedDevice() override;
  OpenedDevice(const OpenedDevice&) = delete;
  OpenedDevice& operator=(const OpenedDevice&) = delete;

  std::unique_ptr<VerbsQueue> CreateQueue(const Geometry& geometry, uint8_t* region) override;
  bool usesWindows() const override { return usesWindows_; }
  int eventFd() const override { return channel_->fd; }
  void TakeEvents() override;

  const VerbsLibrary& verbs() const { return verbs_; }
  ibv_context* context() const { return context_; }
  ibv_comp_channel* channel() const { return channel_; }
  const std::string& name() const { return name_; }
  uint8_t port() const { return port_; }
  uint8_t gidIndex() const { return gidIndex_; }
  const ibv_gid& gid() const { return gid_; }
  const ibv_port_attr& portAttributes() const { return portAttributes_; }

 private:
  void OpenContext(const std::string& wanted);
  bool FindPort();
  void FindGid(int wanted);
  bool HasWindows() const;

  const VerbsLibrary& verbs_;
  ibv_context* context_ = nullptr;
  ibv_comp_channel* channel_ = nullptr;
  std::string name_;
  uint8_t port_ = 0;
  uint8_t gidIndex_ = 0;
  bool usesWindows_ = false;
  ibv_gid gid_{};
  ibv_port_attr portAttributes_{};
};

}  // namespace sluice

#endif
