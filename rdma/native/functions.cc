// The addon's functions that belong to no transport.

#include <napi.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "arguments.h"
#include "layout.h"
#include "mac.h"
#include "wait.h"

namespace sluice {

namespace {

// (handle) -> whether its transport is still there. May be called on any thread.
Napi::Value Wake(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const uint64_t handle = IntegerArgument(info[0], "handle", 0, limits::kSafeIntegerMax);
    return Napi::Boolean::New(info.Env(), WakeRegistry::Wake(handle));
  });
}

// (class): errors thrown in this environment become its instances
void UseErrorClass(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    if (!info[0].IsFunction()) throw TransportError("invalid_argument", "class must be a class");
    info.Env().GetInstanceData<AddonData>()->errorClass =
        Napi::Persistent(info[0].As<Napi::Function>());
  });
}

// (first, second or undefined): puts SHA-256 of the one followed by the other into `hash`
void Sha256Of(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const Bytes first = BytesArgument(info[0], "first", 0, limits::kSafeIntegerMax);
    Bytes second = {nullptr, 0};
    if (!info[1].IsUndefined()) {
      second = BytesArgument(info[1], "second", 0, limits::kSafeIntegerMax);
    }
    auto* data = info.Env().GetInstanceData<AddonData>();
    data->sha256.Digest(first.data, first.size, second.data, second.size, data->hash.data());
  });
}

// () -> whether the allocator gave the system back pages that nothing is in. Of another allocator than glibc nothing is known.
Napi::Value TrimMemory(const Napi::CallbackInfo& info) {
#ifdef __GLIBC__
  const bool trimmed = malloc_trim(0) == 1;
#else
  const bool trimmed = false;
#endif
  return Napi::Boolean::New(info.Env(), trimmed);
}

// (ArrayBuffer): its memory is free from now on, and every view of it is empty
void ReleaseMemory(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    if (!info[0].IsArrayBuffer()) {
      throw TransportError("invalid_argument", "buffer must be an ArrayBuffer");
    }
    info[0].As<Napi::ArrayBuffer>().Detach();
  });
}

// (key, message) -> AES-128-CMAC, for known-answer tests
Napi::Value AesCmac(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Bytes key =
        BytesArgument(info[0], "key", layout::kMacKeyBytes, layout::kMacKeyBytes);
    const Bytes message = BytesArgument(info[1], "message", 16, Mac::kMessageBytesMax);
    if (message.size % 16 != 0) {
      throw TransportError("invalid_argument", "message must be whole blocks of 16 bytes");
    }
    uint8_t tag[layout::kMacBytes];
    Mac(key.data).Sign(message.data, message.size, tag);
    return Napi::Buffer<uint8_t>::Copy(info.Env(), tag, sizeof tag);
  });
}

// (replicas, windowSlots, laneRingBytes, controlRingBytes) -> offsets as in regionLayout() of
// layout.ts
Napi::Value RegionLayout(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Geometry geometry(
        static_cast<uint32_t>(IntegerArgument(info[0], "replicas", limits::kReplicasMin,
                                              limits::kReplicasMax)),
        static_cast<uint32_t>(IntegerArgument(info[1], "windowSlots", limits::kWindowSlotsMin,
                                              limits::kWindowSlotsMax)),
        IntegerArgument(info[2], "laneRingBytes", limits::kRingBytesMin, limits::kRingBytesMax),
        IntegerArgument(info[3], "controlRingBytes", limits::kRingBytesMin, limits::kRingBytesMax));
    Napi::Object result = Napi::Object::New(info.Env());
    const auto set = [&result](const char* name, size_t value) {
      result.Set(name, static_cast<double>(value));
    };
    set("proposalCellBytes", geometry.proposalCellBytes);
    set("progressCellBytes", geometry.progressCellBytes);
    set("proposalsOffset", geometry.proposalsOffset);
    set("votesOffset", geometry.votesOffset);
    set("commitsOffset", geometry.commitsOffset);
    set("progressOffset", geometry.progressOffset);
    set("laneRingOffset", geometry.laneRingOffset);
    set("controlRingOffset", geometry.controlRingOffset);
    set("regionBytes", geometry.regionBytes);
    return result;
  });
}

}  // namespace

void AddFunctions(Napi::Env env, Napi::Object exports) {
  exports.Set("wake", Napi::Function::New(env, Wake, "wake"));
  exports.Set("useErrorClass", Napi::Function::New(env, UseErrorClass, "useErrorClass"));
  exports.Set("sha256", Napi::Function::New(env, Sha256Of, "sha256"));
  exports.Set("hash", env.GetInstanceData<AddonData>()->hash.buffer());
  exports.Set("trimMemory", Napi::Function::New(env, TrimMemory, "trimMemory"));
  exports.Set("releaseMemory", Napi::Function::New(env, ReleaseMemory, "releaseMemory"));
  exports.Set("aesCmac", Napi::Function::New(env, AesCmac, "aesCmac"));
  exports.Set("regionLayout", Napi::Function::New(env, RegionLayout, "regionLayout"));
}

}  // namespace sluice
