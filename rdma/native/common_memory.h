// Memory that the addon and its JavaScript both read and write, at one place for good. Handing a
// small array over in each call makes V8 move it out of its heap first, which costs more than
// most calls do.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace sluice {

// Lasts as long as either side: whoever detaches the buffer in JavaScript frees nothing here.
class CommonMemory {
 public:
  CommonMemory(Napi::Env env, size_t bytes)
      : bytes_(std::make_shared<std::vector<uint8_t>>(bytes)) {
    auto* held = new std::shared_ptr<std::vector<uint8_t>>(bytes_);
    buffer_ = Napi::Persistent(Napi::ArrayBuffer::New(
        env, bytes_->data(), bytes,
        [](Napi::Env, void*, std::shared_ptr<std::vector<uint8_t>>* last) { delete last; }, held));
  }

  uint8_t* data() const { return bytes_->data(); }
  Napi::Value buffer() const { return buffer_.Value(); }

 private:
  std::shared_ptr<std::vector<uint8_t>> bytes_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
};

}  // namespace sluice
