// A correct replica whose peer lies: about what it has read above all, which the replica believes when it writes on. What is
// shipped must fit the peer's region whatever was said, and is exactly what was written as long as the peer has not lied.
#include <deque>

#include "input.h"
#include "support/link.h"

namespace sluice::test {
namespace {

struct World {
  Link link;
  std::deque<Bytes> expected[2];
  bool lied = false;
  bool over = false;
};

void Push(World& world, uint8_t ring, Input& input) {
  const Bytes payload(input.UpTo(kLinkPayloadBytesMax), input.Take<uint8_t>());
  uint8_t queued[2] = {};
  if (ring == layout::kRingLane) world.link.transport.WriteLane(payload.data(), payload.size(), queued);
  else queued[Link::kPeer] = world.link.transport.Send(Link::kPeer, payload.data(), payload.size());
  if (queued[Link::kPeer]) world.expected[ring].push_back(payload);
}

void WriteCell(World& world, Input& input) {
  const Bytes body(world.link.geometry.bodyBytes(layout::kKindVote), input.Take<uint8_t>());
  const uint8_t kind = 1 + input.UpTo(3);
  world.link.transport.WriteCell(kind, input.Take<uint8_t>(), 0, 0, body.data(), body.size());
}

void Carry(World& world, Input& input) {
  const size_t bytesMax = limits::kWritesBytesMin + input.Take<uint16_t>();
  CHECK(world.link.Carry(bytesMax) == nullptr);
}

void Read(World& world) {
  Inbox inbox;
  world.link.Read(inbox);
  if (world.lied) return;
  CHECK(inbox.badFrames.empty());
  for (const FoundPayload& payload : inbox.payloads) {
    auto& expected = world.expected[payload.ring];
    CHECK(!expected.empty() && expected.front() == payload.bytes);
    expected.pop_front();
  }
}

void Acknowledge(World& world, Input& input) {
  const uint8_t lies = input.Take<uint8_t>();
  uint64_t lane = world.link.lane.head();
  uint64_t control = world.link.control.head();
  // Up to two rings ahead: what was written and has not come yet lies there.
  if (lies & 1) lane += 64 * input.UpTo(512);
  if (lies & 2) control += 64 * input.UpTo(512);
  if (lies & 4) (lies & 1 ? lane : control) = input.Take<uint64_t>();
  world.lied = world.lied || lane != world.link.lane.head() || control != world.link.control.head();
  CHECK(world.link.Acknowledge(lane, control) == nullptr);
}

void Poll(World& world) {
  const Inbox inbox = world.link.Poll();
  CHECK(world.lied || inbox.badFrames.empty());
  // The layer above ends the session of a ring that broke.
  world.over = !inbox.badFrames.empty();
}

}  // namespace

void Run(Input& input) {
  World world;
  while (!input.empty() && !world.over) {
    switch (input.Take<uint8_t>() % 8) {
      case 0:
        WriteCell(world, input);
        break;
      case 1:
        Push(world, layout::kRingLane, input);
        break;
      case 2:
        Push(world, layout::kRingControl, input);
        break;
      case 3:
        Carry(world, input);
        break;
      case 4:
        Read(world);
        break;
      case 5:
        Acknowledge(world, input);
        break;
      case 6:
        Poll(world);
        break;
      default: {
        const Bytes frames = input.Some(200);
        world.lied = true;
        if (world.link.transport.ApplyWrites(Link::kPeer, frames.data(), frames.size()) != nullptr) return;
      }
    }
  }
}

}  // namespace sluice::test
