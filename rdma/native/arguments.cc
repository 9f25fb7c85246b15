#include "arguments.h"

#include <cmath>

namespace sluice {

namespace {

[[noreturn]] void Invalid(const char* name, const std::string& what) {
  throw TransportError("invalid_argument", std::string(name) + " must be " + what);
}

}  // namespace

uint64_t IntegerArgument(const Napi::Value& value, const char* name, uint64_t min, uint64_t max) {
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    if (std::floor(number) == number && number >= static_cast<double>(min) &&
        number <= static_cast<double>(max)) {
      return static_cast<uint64_t>(number);
    }
  }
  Invalid(name, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
}

bool BooleanArgument(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) Invalid(name, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::string StringArgument(const Napi::Value& value, const char* name, size_t bytesMax) {
  if (value.IsString()) {
    size_t bytes = 0;
    if (napi_get_value_string_utf8(value.Env(), value, nullptr, 0, &bytes) == napi_ok &&
        bytes <= bytesMax) {
      return value.As<Napi::String>().Utf8Value();
    }
  }
  Invalid(name, "a string of at most " + std::to_string(bytesMax) + " bytes");
}

uint64_t Uint64Argument(const Napi::Value& value, const char* name) {
  if (value.IsBigInt()) {
    bool lossless = false;
    const uint64_t number = value.As<Napi::BigInt>().Uint64Value(&lossless);
    if (lossless) return number;
  }
  Invalid(name, "a bigint from 0 to 2^64 - 1");
}

Bytes BytesArgument(const Napi::Value& value, const char* name, size_t bytesMin, size_t bytesMax) {
  bool isTypedArray = false;
  if (napi_is_typedarray(value.Env(), value, &isTypedArray) == napi_ok && isTypedArray) {
    napi_typedarray_type type;
    size_t size = 0;
    void* data = nullptr;
    napi_value buffer;
    size_t offset = 0;
    bool isPrivate = false;
    if (napi_get_typedarray_info(value.Env(), value, &type, &size, &data, &buffer, &offset) ==
            napi_ok &&
        type == napi_uint8_array && napi_is_arraybuffer(value.Env(), buffer, &isPrivate) == napi_ok &&
        isPrivate && size >= bytesMin && size <= bytesMax && (data != nullptr || size == 0)) {
      return {static_cast<const uint8_t*>(data), size};
    }
  }
  Invalid(name, "a Uint8Array of " + std::to_string(bytesMin) + " to " + std::to_string(bytesMax) +
                    " bytes, not on a SharedArrayBuffer");
}

Napi::Error ToJavaScript(Napi::Env env, const char* code, const std::string& message) {
  const auto* data = env.GetInstanceData<AddonData>();
  if (data != nullptr && !data->errorClass.IsEmpty()) {
    const Napi::Object error = data->errorClass.Value().New(
        {Napi::String::New(env, code), Napi::String::New(env, message)});
    return Napi::Error(env, error);
  }
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

}  // namespace sluice
