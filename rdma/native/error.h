// The one exception of the native core; binding.cc turns it into a TransportError with the same
// code.
#pragma once

#include <cstring>
#include <exception>
#include <string>
#include <utility>

namespace sluice {

class TransportError : public std::exception {
 public:
  TransportError(const char* code, std::string message) : code_(code), message_(std::move(message)) {}

  // For a failed system call: names the call and errno.
  static TransportError System(const char* code, const char* call, int error) {
    return TransportError(code, std::string(call) + " failed: " + std::strerror(error) + " (errno " +
                                    std::to_string(error) + ")");
  }

  const char* code() const { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  const char* code_;  // a literal
  std::string message_;
};

}  // namespace sluice
