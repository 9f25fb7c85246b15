#include "support/link.h"

namespace sluice::test {
namespace {

void Send(Link& link, size_t bytes) {
  const Bytes payload(bytes, 5);
  CHECK(link.transport.Send(Link::kPeer, payload.data(), payload.size()));
}

TEST("link: what is written arrives, whatever the parcels cut") {
  Link link;
  for (size_t bytes = 1; bytes < 16'000; bytes += 1'234) {
    Send(link, bytes);
    Inbox inbox;
    for (int i = 0; i < 6 && inbox.payloads.empty(); i++) {
      CHECK(link.Carry(limits::kWritesBytesMin) == nullptr);
      link.Read(inbox);
    }
    CHECK(inbox.badFrames.empty());
    CHECK(inbox.payloads.size() == 1 && inbox.payloads[0].bytes == Bytes(bytes, 5));
    CHECK(link.Acknowledge(link.lane.head(), link.control.head()) == nullptr);
    CHECK(link.Poll().badFrames.empty());
  }
}

// Found by fuzz/session.cc: the writer believed it, wrote over what had not been shipped, and shipped from beyond the ring's
// end, which is whatever memory of this replica lies there.
TEST("link: a peer that acknowledges what was not shipped is caught, and gets nothing that is not its own") {
  Link link;
  Send(link, 15'000);  // fills the ring
  Send(link, 15'000);  // waits for credits
  // The peer has taken no parcel, and says that it has read all of them.
  const uint64_t written = 3 * FrameBytes(4096) + FrameBytes(15'000 - 3 * 4096);
  CHECK(link.Acknowledge(0, written) == nullptr);
  const Inbox inbox = link.Poll();
  CHECK(inbox.badFrames.size() == 1);
  CHECK(inbox.badFrames[0] == std::pair(layout::kRingControl, FrameFault::kHead));
  CHECK(link.Carry(limits::kWritesBytesMax) == nullptr);
}

}  // namespace
}  // namespace sluice::test
