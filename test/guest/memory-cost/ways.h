// The ways in which a message can come from an application's buffer into a peer's memory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pair.h"

namespace cost {

using Samples = std::vector<double>;

struct Way {
  std::string name;
  // Sends one or more messages, and adds the ns that each took. Empty: this device cannot do it.
  std::function<void(Samples&)> send;
  std::string missing = {};  // why
  size_t everyRounds = 1;    // of many messages at once: not so often
};

uint64_t Now();

template <typename Function>
double Timed(const Function& function) {
  const uint64_t start = Now();
  function();
  return static_cast<double>(Now() - start);
}

// Keeps what the ways of one message size share: buffers, registrations, the pair.
class Bench {
 public:
  Bench(const Device& device, size_t bytes);
  ~Bench();
  std::vector<Way> ways();

 private:
  void Send(const uint8_t* from, uint32_t lkey, uint32_t rkey);
  void SendBatch(Samples& ns);
  Way Reregister();

  const Device& device_;
  const size_t bytes_;
  Pair pair_;
  Memory application_;  // where messages come from: `kBatch` of them
  Memory staging_;      // registered once, copied into
  Memory target_;       // the peer's
  ibv_mr* applicationMr_;
  ibv_mr* stagingMr_;
  ibv_mr* targetMr_;
  ibv_mr* windowedMr_ = nullptr;  // the same memory, reachable through windows only
  ibv_mw* rebound_ = nullptr;
  ibv_mw* standing_ = nullptr;
  uint32_t standingKey_ = 0;
  ibv_mr* moving_ = nullptr;
};

}  // namespace cost
