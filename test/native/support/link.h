// A whole transport of `tcp` with one peer, of whose end the test is in charge: it holds the session's keys, sees what is
// shipped and says what it likes.
#pragma once

#include "cell.h"
#include "ring_reader.h"
#include "support/fixture.h"
#include "transport.h"
#include "write_log.h"

namespace sluice::test {

inline constexpr size_t kLinkPayloadBytesMax = 20'000;

inline TransportOptions LinkOptions() {
  TransportOptions options{};
  options.self = 0;
  options.replicas = 2;
  options.windowSlots = 8;
  options.laneRingBytes = 16u << 10;
  options.controlRingBytes = 16u << 10;
  options.payloadBytesMax = kLinkPayloadBytesMax;
  options.laneOutQueueBytesMax = 1u << 20;
  options.controlOutQueueBytesMax = 1u << 20;
  options.pollBytesMax = 1u << 20;
  options.epoch = kEpoch;
  options.waitMode = WaitMode::kBlock;
  options.futexWaitv = true;
  options.provider = Provider::kTcp;
  return options;
}

class Link {
 public:
  static constexpr uint32_t kPeer = 1;

  Link() : transport(LinkOptions()), geometry(transport.geometry()), mirror(geometry) {
    uint8_t keys[DirectionKeys::kBytes];
    for (size_t i = 0; i < sizeof keys; i++) keys[i] = kKey[i % sizeof kKey];
    transport.Offer(kPeer);
    transport.SetInboundKeys(kPeer, DirectionKeys(keys), kIncarnation);
    transport.Map(kPeer, "", DirectionKeys(keys), kIncarnation, nullptr);
    transport.Confirm(kPeer);
  }

  // What is shipped, at most `bytesMax` of it, goes into the peer's memory. Null: it was taken whole.
  const char* Carry(size_t bytesMax) {
    Bytes parcel(bytesMax);
    parcel.resize(transport.TakeWrites(kPeer, parcel.data(), bytesMax));
    return applier.Apply(parcel.data(), parcel.size());
  }

  // The peer reads what has come into its memory.
  void Read(Inbox& inbox) {
    control.Read(SIZE_MAX, inbox, sha256);
    lane.Read(SIZE_MAX, inbox, sha256);
  }

  // The peer says how much it has taken of both rings.
  const char* Acknowledge(uint64_t laneHead, uint64_t controlHead) {
    const uint32_t ordinal = geometry.progressOrdinal();
    const size_t bytes = geometry.progressCellBytes;
    Bytes frame(8 + bytes);
    frame[0] = 1;
    Store<uint32_t>(&frame[4], ordinal);
    uint8_t* cell = &frame[8];
    Store<uint16_t>(cell + layout::kCellEpoch, kEpoch);
    cell[layout::kCellKind] = layout::kKindCredit;
    uint8_t* heads = cell + bytes - layout::kCellIncarnationFromEnd - layout::kProgressHeadsBytes;
    Store<uint64_t>(heads, laneHead);
    Store<uint64_t>(heads + 8, controlHead);
    Store<uint64_t>(cell + bytes - layout::kCellIncarnationFromEnd, kIncarnation);
    forger.SealCell(cell, bytes);
    return transport.ApplyWrites(kPeer, frame.data(), frame.size());
  }

  Inbox Poll() {
    Inbox inbox;
    transport.Poll({0, 7}, inbox);
    return inbox;
  }

  Transport transport;
  Geometry geometry;
  Memory mirror;
  WriteApplier applier{geometry, mirror.base()};
  RingReader lane{geometry, layout::kRingLane, mirror.base(), kKey, kLinkPayloadBytesMax};
  RingReader control{geometry, layout::kRingControl, mirror.base(), kKey, kLinkPayloadBytesMax};
  Forger forger;
  Sha256 sha256;
};

}  // namespace sluice::test
