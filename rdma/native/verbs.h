// One-sided writes through an RDMA device: libibverbs, loaded when it is asked for. Built without the headers, everything here
// throws `verbs_unavailable`.
//
// For each peer a protection domain, a completion queue and a reliable connection of its own, so that a key of one region is
// worth nothing on another peer's connection; where the device has memory windows of type 2B, the key belongs to that connection alone. A cell is one RDMA WRITE whose immediate value is the doorbell's hint; a ring's bytes are
// one or two WRITEs, then its tail with an immediate value. Nothing may be read remotely.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "layout.h"
#include "write_log.h"

namespace sluice {

// What a peer must know to write into a region. Travels with the region offer, over mutual TLS.
struct VerbsEndpoint {
  static constexpr size_t kBytes = 40;

  std::array<uint8_t, 16> gid{};
  uint64_t address = 0;
  uint32_t rkey = 0;
  uint32_t queuePair = 0;
  uint32_t packetSequence = 0;
  uint16_t lid = 0;
  uint8_t mtu = 0;  // as in ibv_mtu

  void Encode(uint8_t out[kBytes]) const;
  // False for what no replica sends.
  static bool Decode(const uint8_t in[kBytes], VerbsEndpoint& endpoint);
};

struct VerbsDeviceOptions {
  std::string device;  // empty: the first one with an active port
  int gidIndex = -1;   // negative: the first address that looks like RoCE v2 over IPv4, else the first one
  bool memoryWindows = true;  // where the device has them
};

class VerbsQueue {
 public:
  virtual ~VerbsQueue() = default;

  virtual const VerbsEndpoint& endpoint() const = 0;
  // `copy` is our copy of the peer's region, which the log watches. When it returns, the peer can write. Throws `verbs_failed`.
  virtual void Connect(const VerbsEndpoint& peer, uint8_t* copy, WriteLog& log) = 0;
  // Hands to the device as much of what is pending as its queue takes.
  virtual void Post() = 0;
  // Takes completions: rings the doorbell of the own region for what has come, and posts again.
  virtual void Reap() = 0;
  // Asks for an event at the next completion.
  virtual void Arm() = 0;
  // Why the connection is dead; null while it lives.
  virtual const char* fault() const = 0;
};

class VerbsDevice {
 public:
  // Throws `verbs_unavailable` when library, device or port are not there, naming what is missing.
  static std::unique_ptr<VerbsDevice> Open(const VerbsDeviceOptions& options);
  virtual ~VerbsDevice() = default;

  // Whether peers write through memory windows of type 2B.
  virtual bool usesWindows() const = 0;
  // `region` is written by the peer. Throws `verbs_failed`, naming the call.
  virtual std::unique_ptr<VerbsQueue> CreateQueue(const Geometry& geometry, uint8_t* region) = 0;
  // Readable when an armed queue has had a completion; `TakeEvents` makes it unreadable again.
  virtual int eventFd() const = 0;
  virtual void TakeEvents() = 0;
};

}  // namespace sluice
