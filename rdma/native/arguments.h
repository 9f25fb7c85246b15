// Arguments from JavaScript, checked; errors to JavaScript, typed. Nothing here trusts its caller.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "common_memory.h"
#include "error.h"
#include "mac.h"

namespace sluice {

struct Bytes {
  const uint8_t* data;
  size_t size;
};

// Throws `invalid_argument` unless the value is an integer from min to max (at most 2^53 - 1).
uint64_t IntegerArgument(const Napi::Value& value, const char* name, uint64_t min, uint64_t max);
bool BooleanArgument(const Napi::Value& value, const char* name);
std::string StringArgument(const Napi::Value& value, const char* name, size_t bytesMax);
// An unsigned 64-bit bigint.
uint64_t Uint64Argument(const Napi::Value& value, const char* name);
// A Uint8Array on memory that no other thread shares; valid until control goes back to JavaScript.
Bytes BytesArgument(const Napi::Value& value, const char* name, size_t bytesMin, size_t bytesMax);

// What one environment (main thread or worker) keeps.
struct AddonData {
  explicit AddonData(Napi::Env env) : hash(env, layout::kSha256Bytes) {}

  Napi::FunctionReference errorClass;
  Sha256 sha256;
  CommonMemory hash;
};

// A TransportError of rdma/errors.ts when the loader has told its class, else an Error with `code`.
Napi::Error ToJavaScript(Napi::Env env, const char* code, const std::string& message);

// Runs `body` and turns the core's exceptions into JavaScript's.
template <typename Body>
auto Guarded(Napi::Env env, Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const TransportError& error) {
    throw ToJavaScript(env, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    throw ToJavaScript(env, "out_of_memory",
                       "no memory left for the transport: lower its ring, queue or payload limits");
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw ToJavaScript(env, "internal", error.what());
  }
}

}  // namespace sluice
