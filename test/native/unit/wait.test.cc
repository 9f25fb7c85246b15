#include <unistd.h>

#include <thread>

#include "doorbell.h"
#include "support/fixture.h"
#include "support/link.h"
#include "shared_memory.h"
#include "wait.h"
#include "wait_pace.h"

namespace sluice::test {
namespace {

constexpr uint64_t kLongUs = 20'000'000;

DirectionKeys Keys(uint8_t fill) {
  const Bytes bytes(DirectionKeys::kBytes, fill);
  return DirectionKeys(bytes.data());
}

std::unique_ptr<Transport> Open(uint32_t self, bool futexWaitv, WaitMode mode) {
  TransportOptions options = LinkOptions();
  options.self = self;
  options.provider = Provider::kShm;
  options.futexWaitv = futexWaitv;
  options.waitMode = mode;
  return std::make_unique<Transport>(options);
}

void Connect(Transport& a, Transport& b) {
  const std::string ofA = a.Offer(1);
  const std::string ofB = b.Offer(0);
  a.SetInboundKeys(1, Keys(1), 1);
  b.SetInboundKeys(0, Keys(2), 2);
  a.Map(1, ofB, Keys(2), 2, nullptr);
  b.Map(0, ofA, Keys(1), 1, nullptr);
  a.Confirm(1);
  b.Confirm(0);
}

// Answers each vote of the peer with the next one, until `last`, which whoever did not begin writes.
void Play(Transport& transport, uint32_t last, bool begins) {
  const uint8_t body[1] = {};
  if (begins) transport.WriteCell(layout::kKindVote, 3, 1, 0, body, 1);
  const uint32_t lastSeen = begins ? last : last - 1;
  for (uint32_t view = 0; view < lastSeen;) {
    CHECK(transport.Wait(kLongUs));
    Inbox inbox;
    transport.Poll({0, 7}, inbox);
    for (const FoundCell& cell : inbox.cells) {
      CHECK(cell.view > view);
      view = cell.view;
      if (view < last) transport.WriteCell(layout::kKindVote, 3, view + 1, 0, body, 1);
    }
  }
}

void PingPong(bool futexWaitv, WaitMode mode) {
  constexpr uint32_t kViews = 500;
  const auto a = Open(0, futexWaitv, mode);
  const auto b = Open(1, futexWaitv, mode);
  Connect(*a, *b);
  std::thread playing([&] { Play(*b, kViews, false); });
  Play(*a, kViews, true);
  playing.join();
}

TEST("wait: no wake is lost between two that block, over 500 turns") { PingPong(true, WaitMode::kBlock); }

TEST("wait: nor without futex_waitv") { PingPong(false, WaitMode::kBlock); }

TEST("wait: nor when they spin first") { PingPong(true, WaitMode::kAdaptive); }

TEST("wait: returns when the time is up, and says that there was nothing") {
  const auto transport = Open(0, true, WaitMode::kBlock);
  const uint64_t start = MonotonicUs();
  CHECK(!transport->Wait(20'000));
  CHECK(MonotonicUs() - start >= 20'000);
}

TEST("wait: a quiet doorbell is counted, and leaves a reader asleep that a loud one wakes") {
  alignas(64) uint8_t header[layout::kHeaderBytes] = {};
  const auto word = [&](size_t offset) { return Load<uint32_t>(header + offset); };
  Store<uint32_t>(header + layout::kHeaderWaiting, 1);
  Doorbell doorbell(header);
  doorbell.Ring(7, true);
  CHECK(word(layout::kHeaderDoorbell) == 1 && word(layout::kHeaderHints) == 7);
  CHECK(word(layout::kHeaderWaiting) == 1);
  doorbell.Ring(8);
  CHECK(word(layout::kHeaderDoorbell) == 2 && word(layout::kHeaderHints + 4) == 8);
  CHECK(word(layout::kHeaderWaiting) == 0);
}

TEST("wait: a thread of this process wakes it by its handle, before or after it blocks") {
  const auto transport = Open(0, true, WaitMode::kBlock);
  const uint64_t handle = transport->wakeHandle();
  for (int i = 0; i < 200; i++) {
    std::thread waking([&] { CHECK(WakeRegistry::Wake(handle)); });
    CHECK(transport->Wait(kLongUs));
    waking.join();
  }
}

TEST("wait: a handle of a transport that is gone finds nothing, also while it goes") {
  for (int i = 0; i < 50; i++) {
    auto transport = Open(0, true, WaitMode::kBlock);
    const uint64_t handle = transport->wakeHandle();
    std::thread waking([&] {
      while (WakeRegistry::Wake(handle)) std::this_thread::yield();
    });
    CHECK(transport->Wait(kLongUs));
    transport.reset();
    waking.join();
    CHECK(!WakeRegistry::Wake(handle));
  }
}

TEST("wait: a word that wakes through a descriptor is readable until it is cleared") {
  WakeWord word;
  word.UseDescriptor();
  std::thread waking([&] { word.Wake(); });
  waking.join();
  CHECK(word.value() == 1);
  uint64_t count = 0;
  CHECK(read(word.descriptor(), &count, sizeof count) == sizeof count && count == 1);
  word.Wake();
  word.ClearDescriptor();
  CHECK(read(word.descriptor(), &count, sizeof count) < 0);
}

TEST("wait: polls while waits are short, and not through long ones") {
  WaitPace pace(100);
  CHECK(pace.spinUs() == 100);
  for (int i = 0; i < 3; i++) pace.Note(1'000'000);
  CHECK(pace.spinUs() == 0);
  for (int i = 0; i < 100; i++) pace.Note(1'000'000);
  int shortOnes = 0;
  for (; pace.spinUs() == 0; shortOnes++) pace.Note(20);
  CHECK(shortOnes > 4 && shortOnes < 20);
  // One long wait in eight does not end it.
  for (int i = 0; i < 100; i++) {
    for (int k = 0; k < 7; k++) pace.Note(20);
    pace.Note(1'000'000);
    CHECK(pace.spinUs() == 100);
  }
  // Half of them do.
  for (int i = 0; i < 20; i++) {
    pace.Note(20);
    pace.Note(1'000'000);
  }
  CHECK(pace.spinUs() == 0);
}

TEST("wait: never polls when it is told so") {
  WaitPace pace(0);
  pace.Note(0);
  CHECK(pace.spinUs() == 0);
}

}  // namespace
}  // namespace sluice::test
