#include "wait.h"

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <mutex>
#include <unordered_map>

#include "doorbell.h"
#include "error.h"
#include "layout.h"
#include "shared_memory.h"

namespace sluice {

namespace {

// futex_waitv(2), Linux 5.16; stated here because older system headers lack it.
constexpr long kSysFutexWaitv = 449;
constexpr uint32_t kFutexSize32 = 0x02;
constexpr uint32_t kFutexPrivate = 128;
constexpr size_t kWaitvMax = 128;
constexpr uint64_t kSliceUs = 200;

struct WaitvEntry {
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};

timespec ToTimespec(uint64_t us) {
  return {static_cast<time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000 * 1000)};
}

bool Changed(const WaitWord& word) {
  return SharedWord32(word.address).load(std::memory_order_acquire) != word.seen;
}

struct Registry {
  std::mutex mutex;
  std::unordered_map<uint64_t, std::shared_ptr<WakeWord>> words;
  uint64_t nextHandle = 1;
};

// Never destroyed: worker threads may still wake each other while the process exits.
Registry& TheRegistry() {
  static Registry* registry = new Registry;
  return *registry;
}

}  // namespace

uint64_t MonotonicUs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

void WakeShared(uint8_t* word) {
  syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

WakeWord::~WakeWord() {
  if (descriptor_ >= 0) close(descriptor_);
}

void WakeWord::UseDescriptor() {
  descriptor_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (descriptor_ < 0) throw TransportError::System("verbs_failed", "eventfd", errno);
}

void WakeWord::ClearDescriptor() {
  uint64_t count;
  while (read(descriptor_, &count, sizeof count) > 0) {
  }
}

void WakeWord::Wake() {
  value_.fetch_add(1, std::memory_order_seq_cst);
  if (descriptor_ >= 0) {
    const uint64_t one = 1;
    // Full only when it is readable anyway.
    [[maybe_unused]] const ssize_t written = write(descriptor_, &one, sizeof one);
  }
  syscall(SYS_futex, address(), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, nullptr, nullptr, 0);
}

uint64_t WakeRegistry::Add(std::shared_ptr<WakeWord> word) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  const uint64_t handle = registry.nextHandle++;
  registry.words.emplace(handle, std::move(word));
  return handle;
}

void WakeRegistry::Remove(uint64_t handle) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  registry.words.erase(handle);
}

bool WakeRegistry::Wake(uint64_t handle) {
  std::shared_ptr<WakeWord> word;
  {
    Registry& registry = TheRegistry();
    const std::lock_guard lock(registry.mutex);
    const auto found = registry.words.find(handle);
    if (found == registry.words.end()) return false;
    word = found->second;
  }
  word->Wake();
  return true;
}

void Doorbell::Ring(uint32_t hint, bool quiet) {
  SharedWord32(base_ + layout::kHeaderHints + 4 * (count_ % layout::kHints))
      .store(hint, std::memory_order_relaxed);
  count_++;
  uint8_t* word = base_ + layout::kHeaderDoorbell;
  SharedWord32(word).store(count_, std::memory_order_release);
  // Against the reader's "set waiting, then look again": one of the two sees the other. It also
  // keeps the next hint from becoming visible before this doorbell, which the reader's lap check
  // relies on.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (quiet) return;
  auto waiting = SharedWord32(base_ + layout::kHeaderWaiting);
  if (waiting.load(std::memory_order_relaxed) != 0 && waiting.exchange(0) != 0) WakeShared(word);
}

void Blocker::Block(const std::vector<WaitWord>& words, uint64_t deadlineUs) {
  if (useWaitv_ && words.size() <= kWaitvMax) {
    if (BlockOnAll(words, deadlineUs)) return;
    useWaitv_ = false;
  }
  BlockInSlices(words, deadlineUs);
}

// False when the kernel (or its system call filter) does not offer futex_waitv.
bool Blocker::BlockOnAll(const std::vector<WaitWord>& words, uint64_t deadlineUs) {
  std::array<WaitvEntry, kWaitvMax> entries;
  for (size_t i = 0; i < words.size(); i++) {
    entries[i] = {words[i].seen, reinterpret_cast<uint64_t>(words[i].address),
                  kFutexSize32 | (words[i].shared ? 0 : kFutexPrivate), 0};
  }
  const timespec deadline = ToTimespec(deadlineUs);
  const long woken = syscall(kSysFutexWaitv, entries.data(), static_cast<unsigned>(words.size()), 0,
                             &deadline, CLOCK_MONOTONIC);
  if (woken >= 0) return true;
  return errno == ETIMEDOUT || errno == EAGAIN || errno == EINTR;
}

void Blocker::BlockInSlices(const std::vector<WaitWord>& words, uint64_t deadlineUs) {
  const WaitWord& own = words.back();
  for (;;) {
    if (std::any_of(words.begin(), words.end(), Changed)) return;
    const uint64_t now = MonotonicUs();
    if (now >= deadlineUs) return;
    const timespec slice = ToTimespec(std::min(kSliceUs, deadlineUs - now));
    syscall(SYS_futex, own.address, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, own.seen, &slice, nullptr, 0);
  }
}

}  // namespace sluice
