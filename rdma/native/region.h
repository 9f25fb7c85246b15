// A shared-memory region: created and owned by its reader, mapped by its one writer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "layout.h"

namespace sluice {

using LayoutDigest = std::array<uint8_t, layout::kHeaderDigestBytes>;

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor() { Close(); }
  void Close();
  int get() const { return fd_; }

 private:
  int fd_;
};

class Region {
 public:
  // Creates an object with an unguessable name, readable and writable by this user only, with all
  // of its memory reserved (a full /dev/shm is an error here, not a SIGBUS later). Throws
  // `region_create_failed`.
  static Region Create(const Geometry& geometry, const LayoutDigest& digest);

  // Maps a peer's object. Throws `map_failed`, or `offer_mismatch` when size, owner, permissions or
  // header are not as agreed.
  static Region Map(const std::string& name, const Geometry& geometry, const LayoutDigest& digest);

  // Memory of this process alone, in the same form: what a network writes for a peer, or our copy of a peer's region. The name
  // is random, and only goes into the keys. Throws `region_create_failed`.
  static Region CreatePrivate(const Geometry& geometry, const LayoutDigest& digest);

  static bool IsName(const std::string& name);

  // Removes the names that processes of this user left when they were killed between offer and
  // confirm. Regions of live processes are locked and stay.
  static void RemoveAbandoned();

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
  static Region CreateLocked(size_t bytes);
  void WriteHeader(const LayoutDigest& digest);

  Region(std::string name, uint8_t* base, size_t bytes, bool linked, FileDescriptor lock)
      : name_(std::move(name)),
        base_(base),
        bytes_(bytes),
        linked_(linked),
        lock_(std::move(lock)) {}

  std::string name_;
  uint8_t* base_;
  size_t bytes_;
  bool linked_;  // true: this process created the name and has not removed it yet
  // Open and locked as long as the name is there, so that others can tell it from an abandoned one.
  FileDescriptor lock_;
};

}  // namespace sluice
