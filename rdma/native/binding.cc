// The addon's face to JavaScript: checks arguments, calls the core, converts results.

#include <napi.h>

#include <memory>
#include <string>

#include "arguments.h"
#include "layout.h"
#include "record_sink.h"
#include "transport.h"

namespace sluice {

namespace {

constexpr size_t kNameBytesMax = 64;

uint32_t IntegerOption(const Napi::Object& options, const char* name, uint64_t min, uint64_t max) {
  return static_cast<uint32_t>(IntegerArgument(options.Get(name), name, min, max));
}

uint32_t RingOption(const Napi::Object& options, const char* name) {
  const uint32_t bytes =
      IntegerOption(options, name, limits::kRingBytesMin, limits::kRingBytesMax);
  if ((bytes & (bytes - 1)) != 0) {
    throw TransportError("invalid_argument", std::string(name) + " must be a power of two");
  }
  return bytes;
}

uint32_t OutQueueOption(const Napi::Object& options, const char* name, uint32_t payloadBytesMax) {
  return IntegerOption(options, name, payloadBytesMax, limits::kOutQueueBytesMaxMax);
}

TransportOptions ReadOptions(const Napi::Value& value) {
  if (!value.IsObject()) throw TransportError("invalid_argument", "options must be an object");
  const auto options = value.As<Napi::Object>();
  TransportOptions read;
  read.replicas =
      IntegerOption(options, "replicas", limits::kReplicasMin, limits::kReplicasMax);
  read.self = IntegerOption(options, "self", 0, read.replicas - 1);
  read.windowSlots =
      IntegerOption(options, "windowSlots", limits::kWindowSlotsMin, limits::kWindowSlotsMax);
  read.laneRingBytes = RingOption(options, "laneRingBytes");
  read.controlRingBytes = RingOption(options, "controlRingBytes");
  read.payloadBytesMax =
      IntegerOption(options, "payloadBytesMax", 1, limits::kPayloadBytesMaxMax);
  read.laneOutQueueBytesMax =
      OutQueueOption(options, "laneOutQueueBytesMax", read.payloadBytesMax);
  read.controlOutQueueBytesMax =
      OutQueueOption(options, "controlOutQueueBytesMax", read.payloadBytesMax);
  read.pollBytesMax = IntegerOption(options, "pollBytesMax", limits::kPollBytesMaxMin,
                                    limits::kPollBytesMaxMax);
  read.epoch = static_cast<uint16_t>(IntegerOption(options, "epoch", 0, UINT16_MAX));
  read.waitMode = static_cast<WaitMode>(IntegerOption(options, "waitMode", 0, 2));
  read.spinUs = IntegerOption(options, "spinUs", 0, limits::kSpinUsMax);
  read.futexWaitv = BooleanArgument(options.Get("futexWaitv"), "futexWaitv");
  read.provider = static_cast<Provider>(IntegerOption(options, "provider", 0, 2));
  read.verbs.device = StringArgument(options.Get("device"), "device", kNameBytesMax);
  // Shifted by one: 0 chooses.
  read.verbs.gidIndex = static_cast<int>(IntegerOption(options, "gidIndex", 0, 256)) - 1;
  read.verbs.memoryWindows = BooleanArgument(options.Get("memoryWindows"), "memoryWindows");
  const Bytes digest = BytesArgument(options.Get("digest"), "digest", layout::kHeaderDigestBytes,
                                     layout::kHeaderDigestBytes);
  std::copy_n(digest.data, digest.size, read.digest.begin());
  return read;
}

class TransportWrap final : public Napi::ObjectWrap<TransportWrap> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "NativeTransport",
                       {
                           InstanceMethod<&TransportWrap::Offer>("offer"),
                           InstanceMethod<&TransportWrap::Endpoint>("endpoint"),
                           InstanceMethod<&TransportWrap::DeviceFault>("deviceFault"),
                           InstanceMethod<&TransportWrap::SetInboundKeys>("setInboundKeys"),
                           InstanceMethod<&TransportWrap::Map>("map"),
                           InstanceMethod<&TransportWrap::Confirm>("confirm"),
                           InstanceMethod<&TransportWrap::Close>("close"),
                           InstanceMethod<&TransportWrap::State>("state"),
                           InstanceMethod<&TransportWrap::WriteCell>("writeCell"),
                           InstanceMethod<&TransportWrap::RewriteCells>("rewriteCells"),
                           InstanceMethod<&TransportWrap::WriteLane>("writeLane"),
                           InstanceMethod<&TransportWrap::Send>("send"),
                           InstanceMethod<&TransportWrap::TakeWrites>("takeWrites"),
                           InstanceMethod<&TransportWrap::ApplyWrites>("applyWrites"),
                           InstanceMethod<&TransportWrap::Memory>("memory"),
                           InstanceMethod<&TransportWrap::Poll>("poll"),
                           InstanceMethod<&TransportWrap::Wait>("wait"),
                           InstanceMethod<&TransportWrap::WakeHandle>("wakeHandle"),
                           InstanceMethod<&TransportWrap::UsesWindows>("usesWindows"),
                           InstanceMethod<&TransportWrap::Counters>("counters"),
                           InstanceMethod<&TransportWrap::Destroy>("destroy"),
                       });
  }

  explicit TransportWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<TransportWrap>(info),
        memory_(info.Env(), limits::kPollRecordBytesMax + kCellBytesMax) {
    Guarded(info.Env(), [&] { core_ = std::make_unique<Transport>(ReadOptions(info[0])); });
  }

 private:
  Transport& Core() const {
    if (!core_) {
      throw TransportError("transport_destroyed",
                           "the transport was destroyed: open a new one to go on");
    }
    return *core_;
  }

  uint32_t Peer(const Napi::Value& value) const {
    const TransportOptions& options = Core().options();
    const auto peer =
        static_cast<uint32_t>(IntegerArgument(value, "peer", 0, options.replicas - 1));
    if (peer == options.self) {
      throw TransportError("invalid_argument", "peer must be another replica than self");
    }
    return peer;
  }

  static DirectionKeys Keys(const Napi::Value& value) {
    return DirectionKeys(
        BytesArgument(value, "keys", DirectionKeys::kBytes, DirectionKeys::kBytes).data);
  }

  Bytes Payload(const Napi::Value& value) const {
    return BytesArgument(value, "payload", 0, Core().options().payloadBytesMax);
  }

  // (peer) -> name of the region that the peer is to map
  Napi::Value Offer(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      return Napi::String::New(info.Env(), Core().Offer(Peer(info[0])));
    });
  }

  // (peer) -> where the peer finds our region, for a device
  Napi::Value Endpoint(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      uint8_t bytes[VerbsEndpoint::kBytes];
      Core().Endpoint(Peer(info[0])).Encode(bytes);
      return Napi::Buffer<uint8_t>::Copy(info.Env(), bytes, sizeof bytes);
    });
  }

  // (peer) -> why its connection is dead, or undefined
  Napi::Value DeviceFault(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const std::string fault = Core().DeviceFault(Peer(info[0]));
      if (fault.empty()) return info.Env().Undefined();
      return Napi::String::New(info.Env(), fault);
    });
  }

  // (peer, keys, peerIncarnation)
  void SetInboundKeys(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] {
      const uint32_t peer = Peer(info[0]);
      Core().SetInboundKeys(peer, Keys(info[1]), Uint64Argument(info[2], "peerIncarnation"));
    });
  }

  // (peer, name, keys, selfIncarnation, endpoint or undefined)
  void Map(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] {
      const uint32_t peer = Peer(info[0]);
      const std::string name = StringArgument(info[1], "name", kNameBytesMax);
      const uint64_t incarnation = Uint64Argument(info[3], "selfIncarnation");
      if (info[4].IsUndefined()) return Core().Map(peer, name, Keys(info[2]), incarnation, nullptr);
      const Bytes bytes =
          BytesArgument(info[4], "endpoint", VerbsEndpoint::kBytes, VerbsEndpoint::kBytes);
      VerbsEndpoint endpoint;
      if (!VerbsEndpoint::Decode(bytes.data, endpoint)) {
        throw TransportError("offer_mismatch", "the peer's endpoint is none that a replica sends");
      }
      Core().Map(peer, name, Keys(info[2]), incarnation, &endpoint);
    });
  }

  void Confirm(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] { Core().Confirm(Peer(info[0])); });
  }

  void Close(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] { Core().Close(Peer(info[0])); });
  }

  Napi::Value State(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const auto state = Core().State(Peer(info[0]));
      return Napi::Number::New(info.Env(), static_cast<uint8_t>(state));
    });
  }

  // () -> the records of a poll, then the body of the next cell
  Napi::Value Memory(const Napi::CallbackInfo&) { return memory_.buffer(); }

  // (kind code, slot, view, flags, bytes of the body, quiet)
  void WriteCell(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] {
      Transport& core = Core();
      const auto kind = static_cast<uint8_t>(
          IntegerArgument(info[0], "kind", layout::kKindProposal, layout::kKindProgress));
      const uint64_t slot = IntegerArgument(info[1], "slot", 0, limits::kSafeIntegerMax);
      const auto view = static_cast<uint32_t>(IntegerArgument(info[2], "view", 0, UINT32_MAX));
      const auto flags = static_cast<uint8_t>(IntegerArgument(info[3], "flags", 0, UINT8_MAX));
      const auto bodyBytes = static_cast<size_t>(
          IntegerArgument(info[4], "bodyBytes", 0, core.geometry().bodyBytes(kind)));
      core.WriteCell(kind, slot, view, flags, memory_.data() + limits::kPollRecordBytesMax,
                     bodyBytes, BooleanArgument(info[5], "quiet"));
    });
  }

  void RewriteCells(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] { Core().RewriteCells(Peer(info[0])); });
  }

  // (payload, outcomes): sets outcomes[peer] to 1 where the payload was queued
  void WriteLane(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] {
      const Bytes payload = Payload(info[0]);
      const uint32_t replicas = Core().options().replicas;
      const Bytes outcomes = BytesArgument(info[1], "outcomes", replicas, replicas);
      Core().WriteLane(payload.data, payload.size, const_cast<uint8_t*>(outcomes.data));
    });
  }

  // (peer, payload) -> queued
  Napi::Value Send(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const uint32_t peer = Peer(info[0]);
      const Bytes payload = Payload(info[1]);
      return Napi::Boolean::New(info.Env(), Core().Send(peer, payload.data, payload.size));
    });
  }

  // (peer, buffer) -> bytes of frames put into the buffer
  Napi::Value TakeWrites(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const uint32_t peer = Peer(info[0]);
      const Bytes buffer =
          BytesArgument(info[1], "buffer", limits::kWritesBytesMin, limits::kWritesBytesMax);
      const size_t bytes =
          Core().TakeWrites(peer, const_cast<uint8_t*>(buffer.data), buffer.size);
      return Napi::Number::New(info.Env(), static_cast<double>(bytes));
    });
  }

  // (peer, frames) -> what is wrong with them, or undefined
  Napi::Value ApplyWrites(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const uint32_t peer = Peer(info[0]);
      const Bytes frames = BytesArgument(info[1], "frames", 0, limits::kWritesBytesMax);
      const char* fault = Core().ApplyWrites(peer, frames.data, frames.size);
      if (fault == nullptr) return info.Env().Undefined();
      return Napi::String::New(info.Env(), fault);
    });
  }

  // (fromSlot, toSlot, payloads) -> number of records
  Napi::Value Poll(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      Transport& core = Core();
      const SlotInterest interest = {
          IntegerArgument(info[0], "fromSlot", 0, limits::kSafeIntegerMax),
          IntegerArgument(info[1], "toSlot", 0, limits::kSafeIntegerMax)};
      if (!info[2].IsArray()) throw TransportError("invalid_argument", "payloads must be an array");
      RecordSink sink(info.Env(), memory_.data(), limits::kPollRecordBytesMax);
      core.Poll(interest, sink);
      sink.MovePayloads(info[2].As<Napi::Array>());
      return Napi::Number::New(info.Env(), sink.items());
    });
  }

  // (timeoutUs) -> whether there may be work
  Napi::Value Wait(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const uint64_t timeoutUs =
          IntegerArgument(info[0], "timeoutUs", 0, limits::kWaitTimeoutUsMax);
      return Napi::Boolean::New(info.Env(), Core().Wait(timeoutUs));
    });
  }

  Napi::Value WakeHandle(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      return Napi::Number::New(info.Env(), static_cast<double>(Core().wakeHandle()));
    });
  }

  Napi::Value UsesWindows(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      return Napi::Boolean::New(info.Env(), Core().usesWindows());
    });
  }

  Napi::Value Counters(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const PeerCounters counters = Core().Counters(Peer(info[0]));
      Napi::Object result = Napi::Object::New(info.Env());
      const auto set = [&result](const char* name, uint64_t value) {
        result.Set(name, static_cast<double>(value));
      };
      set("cellsWritten", counters.cellsWritten);
      set("cellsRead", counters.cellsRead);
      set("framesWritten", counters.framesWritten);
      set("framesRead", counters.framesRead);
      set("payloadsSkipped", counters.payloadsSkipped);
      set("badCells", counters.badCells);
      set("badFrames", counters.badFrames);
      set("outQueueBytes", counters.outQueueBytes);
      return result;
    });
  }

  void Destroy(const Napi::CallbackInfo&) { core_.reset(); }

  std::unique_ptr<Transport> core_;
  CommonMemory memory_;
};

}  // namespace

void AddFunctions(Napi::Env env, Napi::Object exports);
Napi::Object LayoutConstants(Napi::Env env);
Napi::Object LimitConstants(Napi::Env env);

}  // namespace sluice

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  using namespace sluice;
  env.SetInstanceData(new AddonData(env));
  exports.Set("NativeTransport", TransportWrap::Define(env));
  AddFunctions(env, exports);
  exports.Set("layout", LayoutConstants(env));
  exports.Set("limits", LimitConstants(env));
  return exports;
}

NODE_API_MODULE(sluice_rdma, Init)
