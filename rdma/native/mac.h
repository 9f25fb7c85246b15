// AES-128-CMAC (RFC 4493) for messages of whole blocks, and SHA-256, on the OpenSSL that Node.js
// exports.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "layout.h"

namespace sluice {

struct OpenSslFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  void operator()(EVP_MD* digest) const { EVP_MD_free(digest); }
};

template <typename T>
using OpenSslPointer = std::unique_ptr<T, OpenSslFree>;

// One key, one thread. The key schedule is computed once.
class Mac {
 public:
  static constexpr size_t kMessageBytesMax = kCellBytesMax;

  explicit Mac(const uint8_t key[layout::kMacKeyBytes]);
  ~Mac();
  Mac(const Mac&) = delete;
  Mac& operator=(const Mac&) = delete;

  // `bytes` is a multiple of 16, from 16 to kMessageBytesMax.
  void Sign(const uint8_t* message, size_t bytes, uint8_t tag[layout::kMacBytes]);
  // Compares in constant time.
  bool Verify(const uint8_t* message, size_t bytes, const uint8_t tag[layout::kMacBytes]);

 private:
  void Encrypt(uint8_t* out, const uint8_t* in, size_t bytes);

  OpenSslPointer<EVP_CIPHER_CTX> context_;
  uint8_t subkey_[16];  // K1 of RFC 4493
  uint8_t chain_[16];   // last ciphertext block: what CBC will add to the next block
};

// One thread.
class Sha256 {
 public:
  Sha256();
  void Digest(const uint8_t* data, size_t bytes, uint8_t out[layout::kSha256Bytes]);
  // Of the one followed by the other.
  void Digest(const uint8_t* first, size_t firstBytes, const uint8_t* second, size_t secondBytes,
              uint8_t out[layout::kSha256Bytes]);

 private:
  OpenSslPointer<EVP_MD> digest_;
  OpenSslPointer<EVP_MD_CTX> context_;
};

}  // namespace sluice
