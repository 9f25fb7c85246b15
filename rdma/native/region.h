// A shared-memory region: created and owned by its reader, mapped by its one writer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "layout.h"

namespace sluice {

using LayoutDigest = std::array<uint8_t, layout::kHeaderDigestBytes>;

class Region {
 public:
  // Creates an object with an unguessable name, readable and writable by this user only, with all of its
  // memory reserved (a full /dev/shm is an error here, not a SIGBUS later). Throws `region_create_failed`.
  static Region Create(const Geometry& geometry, const LayoutDigest& digest);

  // Maps a peer's object. Throws `map_failed`, or `offer_mismatch` when size, owner, permissions or header
  // are not as agreed.
  static Region Map(const std::string& name, const Geometry& geometry, const LayoutDigest& digest);

  static bool IsName(const std::string& name);

  Region(Region&& other) noexcept;
  Region& operator=(Region&&) = delete;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  ~Region();

  // Removes the name; the memory stays for those who have mapped it. Idempotent.
  void Unlink();

  uint8_t* base() const { return base_; }
  const std::string& name() const { return name_; }

 private:
  Region(std::string name, uint8_t* base, size_t bytes, bool linked)
      : name_(std::move(name)), base_(base), bytes_(bytes), linked_(linked) {}

  std::string name_;
  uint8_t* base_;
  size_t bytes_;
  bool linked_;  // true: this process created the name and has not removed it yet
};

}  // namespace sluice
