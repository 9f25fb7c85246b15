// Waiting for work: futexes on the doorbells of all inbound regions and on a word that threads of
// this process use to wake the owner.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace sluice {

uint64_t MonotonicUs();

// Wakes all processes that block on a word of a region.
void WakeShared(uint8_t* word);

// A word of this process that outlives its transport as long as a waking thread holds it.
class WakeWord {
 public:
  ~WakeWord();
  void Wake();
  // For an owner that blocks on descriptors: readable from now on whenever somebody wakes. Throws on failure.
  void UseDescriptor();
  int descriptor() const { return descriptor_; }
  void ClearDescriptor();
  uint32_t value() const { return value_.load(std::memory_order_acquire); }
  uint32_t* address() { return reinterpret_cast<uint32_t*>(&value_); }

 private:
  int descriptor_ = -1;
  std::atomic<uint32_t> value_{0};
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
};

// Handles of this process's wake words: the only state that all threads share. A handle is never
// given out twice, so a stale one finds nothing.
class WakeRegistry {
 public:
  static uint64_t Add(std::shared_ptr<WakeWord> word);
  static void Remove(uint64_t handle);
  // False when the handle's transport is gone.
  static bool Wake(uint64_t handle);
};

// A word to wait on and the value at which to go on waiting.
struct WaitWord {
  uint8_t* address;
  uint32_t seen;
  bool shared;
};

// Blocks until one of the words differs from what was seen, somebody wakes one, or the time is up.
class Blocker {
 public:
  explicit Blocker(bool useWaitv) : useWaitv_(useWaitv) {}

  // `words` are the shared ones, then the private one (the last). May return early.
  void Block(const std::vector<WaitWord>& words, uint64_t deadlineUs);

 private:
  bool BlockOnAll(const std::vector<WaitWord>& words, uint64_t deadlineUs);
  void BlockInSlices(const std::vector<WaitWord>& words, uint64_t deadlineUs);

  bool useWaitv_;
};

}  // namespace sluice
