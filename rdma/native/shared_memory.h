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

// Copies 8-byte aligned words, each whole: what arrives may mix two writes, but no later read of `to` goes back to shared
// memory. `bytes` is a multiple of 8. Eight words a turn: compilers do not unroll loops over atomics, and a ring's bytes are
// many.
inline void CopyFromShared(uint8_t* to, uint8_t* from, size_t bytes) {
  size_t at = 0;
  for (; at + 64 <= bytes; at += 64) {
#pragma GCC unroll 8
    for (size_t i = 0; i < 64; i += 8) {
      const uint64_t word = SharedWord64(from + at + i).load(std::memory_order_relaxed);
      std::memcpy(to + at + i, &word, 8);
    }
  }
  for (; at < bytes; at += 8) {
    const uint64_t word = SharedWord64(from + at).load(std::memory_order_relaxed);
    std::memcpy(to + at, &word, 8);
  }
}

inline void CopyToShared(uint8_t* to, const uint8_t* from, size_t bytes) {
  size_t at = 0;
  for (; at + 64 <= bytes; at += 64) {
#pragma GCC unroll 8
    for (size_t i = 0; i < 64; i += 8) {
      uint64_t word;
      std::memcpy(&word, from + at + i, 8);
      SharedWord64(to + at + i).store(word, std::memory_order_relaxed);
    }
  }
  for (; at < bytes; at += 8) {
    uint64_t word;
    std::memcpy(&word, from + at, 8);
    SharedWord64(to + at).store(word, std::memory_order_relaxed);
  }
}

// The same for any number of bytes: whole words where shared memory is aligned, single bytes before and after. A peer may
// write there meanwhile, whatever the protocol says, so that plain copies would be data races.
inline void CopyAnyFromShared(uint8_t* to, uint8_t* from, size_t bytes) {
  const auto byte = [](uint8_t* at) { return std::atomic_ref<uint8_t>(*at).load(std::memory_order_relaxed); };
  for (; bytes > 0 && reinterpret_cast<uintptr_t>(from) % 8 != 0; bytes--) *to++ = byte(from++);
  const size_t words = bytes & ~size_t{7};
  CopyFromShared(to, from, words);
  for (size_t at = words; at < bytes; at++) to[at] = byte(from + at);
}

inline void CopyAnyToShared(uint8_t* to, const uint8_t* from, size_t bytes) {
  const auto store = [](uint8_t* at, uint8_t value) {
    std::atomic_ref<uint8_t>(*at).store(value, std::memory_order_relaxed);
  };
  for (; bytes > 0 && reinterpret_cast<uintptr_t>(to) % 8 != 0; bytes--) store(to++, *from++);
  const size_t words = bytes & ~size_t{7};
  CopyToShared(to, from, words);
  for (size_t at = words; at < bytes; at++) store(to + at, from[at]);
}

// Bytes of a ring from `position` on, in two pieces where it wraps. `bytes` <= `ringBytes`; with none, the pointers may be null.
inline void CopyIntoRing(uint8_t* ring, size_t ringBytes, uint64_t position, const uint8_t* from,
                         size_t bytes) {
  if (bytes == 0) return;
  const size_t at = static_cast<size_t>(position % ringBytes);
  const size_t first = std::min(bytes, ringBytes - at);
  CopyAnyToShared(ring + at, from, first);
  if (first < bytes) CopyAnyToShared(ring, from + first, bytes - first);
}

inline void CopyFromRing(uint8_t* to, uint8_t* ring, size_t ringBytes, uint64_t position,
                         size_t bytes) {
  if (bytes == 0) return;
  const size_t at = static_cast<size_t>(position % ringBytes);
  const size_t first = std::min(bytes, ringBytes - at);
  CopyAnyFromShared(to, ring + at, first);
  if (first < bytes) CopyAnyFromShared(to + first, ring, bytes - first);
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
