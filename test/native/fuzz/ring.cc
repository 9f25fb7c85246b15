// The reader of a ring over whatever a peer with the session's keys puts there: frames that lie in any field and are sealed all
// the same, raw bytes, tails.
#include "input.h"
#include "ring_reader.h"
#include "ring_writer.h"

namespace sluice::test {
namespace {

constexpr size_t kPayloadBytesMax = 20'000;  // five fragments: more than the ring holds at a time

// What a frame lies about; none of these: a frame as the layout wants it.
enum Lie : uint8_t {
  kLength = 1,
  kTotal = 2,
  kSequence = 4,
  kHash = 8,
  kSeal = 16,
  kPlace = 32,
};

class Liar {
 public:
  Liar(const Geometry& geometry, uint8_t ring, uint8_t* base)
      : geometry_(geometry), ring_(ring), place_(base + geometry.ringOffset(ring)), tail_(base + geometry.tailOffset(ring)) {}

  void Frame(Input& input) {
    const uint8_t lies = input.Take<uint8_t>();
    if (left_ == 0) {
      total_ = input.UpTo(kPayloadBytesMax);
      left_ = total_;
    }
    const uint8_t fill = input.Take<uint8_t>();
    const auto most = static_cast<uint32_t>(geometry_.fragmentBytesMax(ring_));
    uint32_t length = std::min(left_, most);
    const Bytes payload(length, fill);
    const uint64_t at = lies & kPlace ? position_ + 64 * input.UpTo(300) : position_;
    CopyIntoRing(place_, geometry_.ringBytes(ring_), at + layout::kFrameHeaderBytes, payload.data(), length);
    uint8_t header[layout::kFrameHeaderBytes] = {};
    sha256_.Digest(payload.data(), length, header + layout::kFrameSha256);
    if (lies & kHash) header[layout::kFrameSha256 + input.UpTo(31)] ^= 1;
    Store<uint32_t>(header + layout::kFrameLength, lies & kLength ? input.Take<uint32_t>() : length);
    Store<uint32_t>(header + layout::kFrameTotal, lies & kTotal ? input.Take<uint32_t>() : total_);
    Store<uint64_t>(header + layout::kFrameSequence, lies & kSequence ? input.Take<uint64_t>() : sequence_);
    forger_.SealFrame(header);
    if (lies & kSeal) header[input.UpTo(63)] ^= 1;
    CopyIntoRing(place_, geometry_.ringBytes(ring_), at, header, sizeof header);
    honest_ = honest_ && (lies & 0x3f) == 0;
    left_ -= length;
    sequence_++;
    position_ += FrameBytes(length);
    Publish(position_);
  }

  void Raw(Input& input) {
    const Bytes bytes = input.Some(256);
    CopyIntoRing(place_, geometry_.ringBytes(ring_), input.Take<uint32_t>(), bytes.data(), bytes.size());
    honest_ = honest_ && bytes.empty();
  }

  void Tail(Input& input) {
    Publish(position_ + static_cast<int64_t>(input.Take<int64_t>()));
    honest_ = false;
  }

  void Publish(uint64_t tail) { SharedWord64(tail_).store(tail, std::memory_order_release); }
  // Frames that nothing was wrong with so far, and their number.
  bool honest() const { return honest_; }
  uint64_t frames() const { return sequence_; }
  uint64_t position() const { return position_; }
  bool betweenPayloads() const { return left_ == 0; }

 private:
  Geometry geometry_;
  uint8_t ring_;
  uint8_t* place_;
  uint8_t* tail_;
  Forger forger_;
  Sha256 sha256_;
  uint64_t position_ = 0;
  uint64_t sequence_ = 0;
  uint32_t total_ = 0;
  uint32_t left_ = 0;
  bool honest_ = true;
};

}  // namespace

void Run(Input& input) {
  const Geometry geometry = SmallGeometry();
  const Memory memory(geometry);
  const uint8_t ring = input.Take<uint8_t>() & 1;
  RingReader reader(geometry, ring, memory.base(), kKey, kPayloadBytesMax);
  Liar liar(geometry, ring, memory.base());
  Sha256 sha256;
  uint64_t read = 0;
  while (!input.empty()) {
    switch (input.Take<uint8_t>() % 8) {
      case 0:
        liar.Raw(input);
        break;
      case 1:
        liar.Tail(input);
        break;
      case 2:
      case 3: {
        const bool wasBroken = reader.broken();
        Inbox inbox(1 + input.UpTo(7));
        reader.Read(input.Take<uint16_t>(), inbox, sha256);
        CHECK(inbox.badFrames.size() == (reader.broken() && !wasBroken ? 1 : 0));
        CHECK(!wasBroken || inbox.payloads.empty());
        CHECK(reader.head() % layout::kFrameAlign == 0);
        for (const FoundPayload& payload : inbox.payloads) {
          CHECK(payload.ring == ring && payload.bytes.size() <= kPayloadBytesMax);
        }
        // Who has not lied, and has waited for us, is not accused, and is read to the end.
        if (liar.honest() && liar.position() - read <= geometry.ringBytes(ring)) {
          CHECK(!reader.broken());
          CHECK(reader.pending() || reader.framesRead() == liar.frames());
        } else if (liar.honest()) {
          return;
        }
        read = reader.head();
        break;
      }
      default:
        liar.Frame(input);
    }
  }
}

}  // namespace sluice::test
