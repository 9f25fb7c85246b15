#include "mac.h"

#include <openssl/crypto.h>

#include <cassert>
#include <cstring>

#include "error.h"

namespace sluice {

namespace {

[[noreturn]] void CryptoFailed(const char* call) {
  throw TransportError("crypto_failed", std::string(call) +
                                            " failed in the OpenSSL of Node.js: check that its "
                                            "configuration offers AES-128-CBC and SHA-256");
}

// Doubling in GF(2^128), RFC 4493 section 2.3.
void Double(uint8_t block[16]) {
  const uint8_t carry = block[0] >> 7;
  for (int i = 0; i < 15; i++) block[i] = static_cast<uint8_t>(block[i] << 1 | block[i + 1] >> 7);
  block[15] = static_cast<uint8_t>(block[15] << 1 ^ (carry ? 0x87 : 0));
}

void AddBlock(uint8_t* to, const uint8_t* block) {
  for (int i = 0; i < 16; i++) to[i] ^= block[i];
}

}  // namespace

Mac::Mac(const uint8_t key[layout::kMacKeyBytes])
    : context_(EVP_CIPHER_CTX_new()), subkey_{}, chain_{} {
  const OpenSslPointer<EVP_CIPHER> cipher(EVP_CIPHER_fetch(nullptr, "AES-128-CBC", nullptr));
  const uint8_t zero[16] = {};
  if (!context_ || !cipher || !EVP_EncryptInit_ex(context_.get(), cipher.get(), nullptr, key, zero) ||
      !EVP_CIPHER_CTX_set_padding(context_.get(), 0)) {
    CryptoFailed("AES-128-CBC");
  }
  Encrypt(chain_, zero, sizeof zero);
  std::memcpy(subkey_, chain_, sizeof subkey_);
  Double(subkey_);
}

Mac::~Mac() {
  OPENSSL_cleanse(subkey_, sizeof subkey_);
  OPENSSL_cleanse(chain_, sizeof chain_);
}

void Mac::Encrypt(uint8_t* out, const uint8_t* in, size_t bytes) {
  int written = 0;
  if (!EVP_EncryptUpdate(context_.get(), out, &written, in, static_cast<int>(bytes)) ||
      static_cast<size_t>(written) != bytes) {
    CryptoFailed("EVP_EncryptUpdate");
  }
}

// CMAC of whole blocks is the last block of CBC over the message with K1 added to its last block.
// Setting the IV back to zero costs more than the encryption (109 against 41 ns for 48 bytes), so
// the cipher runs on, and the block that CBC is going to add is canceled by adding it to the first
// block beforehand.
void Mac::Sign(const uint8_t* message, size_t bytes, uint8_t tag[layout::kMacBytes]) {
  assert(bytes >= 16 && bytes % 16 == 0 && bytes <= kMessageBytesMax);
  uint8_t plain[kMessageBytesMax];
  uint8_t cipher[kMessageBytesMax];
  std::memcpy(plain, message, bytes);
  AddBlock(plain, chain_);
  AddBlock(plain + bytes - 16, subkey_);
  Encrypt(cipher, plain, bytes);
  std::memcpy(chain_, cipher + bytes - 16, sizeof chain_);
  std::memcpy(tag, chain_, layout::kMacBytes);
}

bool Mac::Verify(const uint8_t* message, size_t bytes, const uint8_t tag[layout::kMacBytes]) {
  uint8_t expected[layout::kMacBytes];
  Sign(message, bytes, expected);
  return CRYPTO_memcmp(expected, tag, sizeof expected) == 0;
}

Sha256::Sha256()
    : digest_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
  if (!digest_ || !context_) CryptoFailed("SHA-256");
}

void Sha256::Digest(const uint8_t* data, size_t bytes, uint8_t out[layout::kSha256Bytes]) {
  Digest(data, bytes, nullptr, 0, out);
}

void Sha256::Digest(const uint8_t* first, size_t firstBytes, const uint8_t* second,
                    size_t secondBytes, uint8_t out[layout::kSha256Bytes]) {
  if (!EVP_DigestInit_ex(context_.get(), digest_.get(), nullptr) ||
      !EVP_DigestUpdate(context_.get(), first, firstBytes) ||
      !EVP_DigestUpdate(context_.get(), second, secondBytes) ||
      !EVP_DigestFinal_ex(context_.get(), out, nullptr)) {
    CryptoFailed("SHA-256");
  }
}

}  // namespace sluice
