#include <functional>

#include "ring_reader.h"
#include "ring_writer.h"
#include "support/fixture.h"

namespace sluice::test {
namespace {

constexpr size_t kPayloadBytesMax = 60'000;
constexpr uint8_t kRing = layout::kRingLane;

struct Pair {
  Geometry geometry = SmallGeometry();
  Memory memory{geometry};
  RingWriter writer{geometry, kRing, memory.base(), kKey, kPayloadBytesMax};
  RingReader reader{geometry, kRing, memory.base(), kKey, kPayloadBytesMax};
  Forger forger;
  Sha256 sha256;

  bool Push(const Bytes& payload) {
    return writer.Push(std::make_shared<OutPayload>(payload.data(), payload.size(),
                                                    geometry.fragmentBytesMax(kRing), sha256));
  }

  void Read(Inbox& inbox, size_t budget = SIZE_MAX) { reader.Read(budget, inbox, sha256); }

  void Credit() {
    CHECK(writer.Acknowledge(reader.head()));
    writer.Pump();
  }

  // Changes the header of the frame at `position`, and seals it again.
  void Lie(uint64_t position, const std::function<void(uint8_t*)>& change) {
    uint8_t* header = memory.base() + geometry.ringOffset(kRing) + position % geometry.ringBytes(kRing);
    change(header);
    forger.SealFrame(header);
  }

  void Publish(uint64_t tail) { SharedWord64(memory.base() + geometry.tailOffset(kRing)).store(tail); }
};

Bytes Pattern(size_t bytes, uint8_t start) {
  Bytes made(bytes);
  for (size_t i = 0; i < bytes; i++) made[i] = static_cast<uint8_t>(start + i * 7 + i / 256);
  return made;
}

TEST("rings: payloads of all sizes come out as they went in, over many laps") {
  Pair pair;
  size_t bytes = 0;
  for (int round = 0; round < 200; round++) {
    bytes = (bytes * 5 + 611) % 15'000;
    const Bytes payload = Pattern(round % 20 == 0 ? 0 : bytes, static_cast<uint8_t>(round));
    CHECK(pair.Push(payload));
    Inbox inbox;
    pair.Read(inbox);
    CHECK(inbox.payloads.size() == 1 && inbox.payloads[0].bytes == payload);
    pair.Credit();
  }
  CHECK(pair.reader.head() > 10 * pair.geometry.ringBytes(kRing));
}

TEST("rings: a payload that is larger than its ring comes through as credits are given") {
  Pair pair;
  const Bytes payload = Pattern(50'000, 1);
  CHECK(pair.Push(payload));
  CHECK(pair.writer.queuedBytes() > 0);
  Inbox inbox;
  for (int i = 0; i < 20 && inbox.payloads.empty(); i++) {
    pair.Read(inbox);
    pair.Credit();
  }
  CHECK(inbox.payloads.size() == 1 && inbox.payloads[0].bytes == payload);
  CHECK(pair.writer.queuedBytes() == 0);
}

TEST("rings: without credits the queue fills, and what has no room is skipped whole") {
  Pair pair;
  size_t taken = 0;
  while (pair.Push(Pattern(10'000, static_cast<uint8_t>(taken)))) taken++;
  CHECK(taken >= 2 && pair.writer.queuedBytes() <= kPayloadBytesMax + 2 * FrameBytes(10'000));
  size_t read = 0;
  for (int i = 0; i < 50; i++) {
    Inbox inbox;
    pair.Read(inbox);
    for (const FoundPayload& payload : inbox.payloads) {
      CHECK(payload.bytes == Pattern(10'000, static_cast<uint8_t>(read++)));
    }
    pair.Credit();
  }
  CHECK(read == taken && !pair.reader.broken());
}

TEST("rings: a queued payload is the writer's own, whatever becomes of the caller's bytes") {
  Pair pair;
  auto payload = std::make_unique<Bytes>(Pattern(12'000, 1));
  CHECK(pair.Push(Pattern(12'000, 0)) && pair.Push(*payload));
  payload.reset();
  Inbox inbox;
  for (int i = 0; i < 4; i++) {
    pair.Read(inbox);
    pair.Credit();
  }
  CHECK(inbox.payloads.size() == 2 && inbox.payloads[1].bytes == Pattern(12'000, 1));
}

TEST("rings: credits for more than was written, or that are taken back, are refused") {
  Pair pair;
  CHECK(pair.Push(Pattern(100, 0)));
  const uint64_t tail = FrameBytes(100);
  CHECK(!pair.writer.Acknowledge(tail + 64) && !pair.writer.Acknowledge(UINT64_MAX));
  CHECK(pair.writer.Acknowledge(tail) && !pair.writer.Acknowledge(0));
}

TEST("rings: a budget and a full sink stop between frames, and nothing is lost") {
  Pair pair;
  for (uint8_t i = 0; i < 10; i++) CHECK(pair.Push(Pattern(100, i)));
  Inbox first;
  pair.Read(first, 1);
  CHECK(first.payloads.size() == 1 && pair.reader.pending());
  Inbox two(2);
  pair.Read(two);
  CHECK(two.payloads.size() == 2 && pair.reader.pending());
  Inbox rest;
  pair.Read(rest);
  CHECK(rest.payloads.size() == 7 && !pair.reader.pending());
}

struct Lie {
  FrameFault fault;
  std::function<void(uint8_t*)> change;
};

template <typename T>
std::function<void(uint8_t*)> Set(size_t at, T value) {
  return [at, value](uint8_t* header) { Store<T>(header + at, value); };
}

TEST("rings: sealed lies end the ring with their reason, once, and hand up nothing") {
  const std::vector<Lie> lies = {
      {FrameFault::kLength, Set<uint32_t>(layout::kFrameLength, UINT32_MAX)},
      {FrameFault::kLength, Set<uint32_t>(layout::kFrameLength, 4097)},
      {FrameFault::kLength, Set<uint32_t>(layout::kFrameLength, 4096)},  // more than was published
      {FrameFault::kLength, Set<uint32_t>(layout::kFrameTotal, 99)},
      {FrameFault::kLength, Set<uint32_t>(layout::kFrameTotal, kPayloadBytesMax + 1)},
      {FrameFault::kFragment, Set<uint32_t>(layout::kFrameTotal, 101)},
      {FrameFault::kFragment, Set<uint32_t>(layout::kFrameTotal, kPayloadBytesMax)},
      {FrameFault::kSequence, Set<uint64_t>(layout::kFrameSequence, 1)},
      {FrameFault::kMac, Set<uint8_t>(layout::kFrameSha256, 0)},
  };
  for (const Lie& lie : lies) {
    Pair pair;
    CHECK(pair.Push(Pattern(100, 1)));
    pair.Lie(0, lie.change);
    Inbox inbox;
    pair.Read(inbox);
    CHECK(inbox.payloads.empty() && inbox.badFrames.size() == 1);
    CHECK(inbox.badFrames[0] == std::pair(kRing, lie.fault));
    pair.Push(Pattern(100, 2));
    Inbox later;
    pair.Read(later);
    CHECK(later.payloads.empty() && later.badFrames.empty() && pair.reader.broken());
  }
}

TEST("rings: a frame that is whole, sealed and longer than a fragment may be is a fault") {
  Pair pair;
  CHECK(pair.Push(Pattern(4096, 1)) && pair.Push(Pattern(4096, 2)));
  pair.Lie(0, [&](uint8_t* header) {
    Store<uint32_t>(header + layout::kFrameLength, 5'000);
    Store<uint32_t>(header + layout::kFrameTotal, 5'000);
    pair.sha256.Digest(header + layout::kFrameHeaderBytes, 5'000, header + layout::kFrameSha256);
  });
  Inbox inbox;
  pair.Read(inbox);
  CHECK(inbox.payloads.empty() && inbox.badFrames.size() == 1);
  CHECK(inbox.badFrames[0].second == FrameFault::kLength);
}

TEST("rings: tails that cannot be are faults") {
  for (const uint64_t tail : {uint64_t{1}, uint64_t{63}, uint64_t{(16u << 10) + 64}, uint64_t{1} << 40, UINT64_MAX, ~uint64_t{63}}) {
    Pair pair;
    pair.Publish(tail);
    Inbox inbox;
    pair.Read(inbox);
    CHECK(inbox.badFrames.size() == 1);
  }
  Pair pair;
  CHECK(pair.Push(Pattern(100, 1)));
  Inbox inbox;
  pair.Read(inbox);
  pair.Publish(64);  // back
  pair.Read(inbox);
  CHECK(inbox.badFrames.size() == 1 && inbox.badFrames[0].second == FrameFault::kLength);
}

TEST("rings: fragments that do not follow one another are faults") {
  for (const auto& change : {Set<uint32_t>(layout::kFrameTotal, 9'000), Set<uint32_t>(layout::kFrameLength, 64),
                             Set<uint32_t>(layout::kFrameTotal, 4'096)}) {
    Pair pair;
    CHECK(pair.Push(Pattern(10'000, 1)));
    pair.Lie(FrameBytes(4096), change);
    Inbox inbox;
    pair.Read(inbox);
    CHECK(inbox.payloads.empty() && inbox.badFrames.size() == 1);
  }
}

}  // namespace
}  // namespace sluice::test
