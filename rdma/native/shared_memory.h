// Access to memory that another process writes at the same time.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sluice {

static_assert(std::endian::native == std::endian::little, "regions are little-endian in place");
static_assert(std::atomic_ref<uint64_t>::is_always_lock_free);

inline std::atomic_ref<uint32_t> SharedWord32(uint8_t* address) {
  return std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(address));
}

inline std::atomic_ref<uint64_t> SharedWord64(uint8_t* address) {
  return std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(address));
}

// Copies 8-byte aligned words one by one, each whole: what arrives may mix two writes, but no later
// read of `to` goes back to shared memory. `bytes` is a multiple of 8.
inline void CopyFromShared(uint8_t* to, uint8_t* from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 8) {
    const uint64_t word = SharedWord64(from + at).load(std::memory_order_relaxed);
    std::memcpy(to + at, &word, 8);
  }
}

inline void CopyToShared(uint8_t* to, const uint8_t* from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 8) {
    uint64_t word;
    std::memcpy(&word, from + at, 8);
    SharedWord64(to + at).store(word, std::memory_order_relaxed);
  }
}

// Bytes of a ring from `position` on, in two pieces where it wraps. `bytes` <= `ringBytes`; with none, the pointers may be null.
inline void CopyIntoRing(uint8_t* ring, size_t ringBytes, uint64_t position, const uint8_t* from,
                         size_t bytes) {
  if (bytes == 0) return;
  const size_t at = static_cast<size_t>(position % ringBytes);
  const size_t first = std::min(bytes, ringBytes - at);
  std::memcpy(ring + at, from, first);
  if (first < bytes) std::memcpy(ring, from + first, bytes - first);
}

inline void CopyFromRing(uint8_t* to, const uint8_t* ring, size_t ringBytes, uint64_t position,
                         size_t bytes) {
  if (bytes == 0) return;
  const size_t at = static_cast<size_t>(position % ringBytes);
  const size_t first = std::min(bytes, ringBytes - at);
  std::memcpy(to, ring + at, first);
  if (first < bytes) std::memcpy(to + first, ring, bytes - first);
}

template <typename T>
inline T Load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
inline void Store(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

}  // namespace sluice
