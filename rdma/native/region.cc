#include "region.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "error.h"
#include "shared_memory.h"

namespace sluice {

namespace {

constexpr char kNamePrefix[] = "/sluice-";
constexpr size_t kNameRandomBytes = 16;
constexpr mode_t kMode = 0600;
constexpr char kSharedMemoryPath[] = "/dev/shm";  // where shm_open(3) of Linux puts its objects

std::string RandomName() {
  uint8_t random[kNameRandomBytes];
  size_t filled = 0;
  while (filled < sizeof random) {
    const ssize_t got = getrandom(random + filled, sizeof random - filled, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw TransportError::System("region_create_failed", "getrandom", errno);
    filled += static_cast<size_t>(got);
  }
  static constexpr char kHex[] = "0123456789abcdef";
  std::string name = kNamePrefix;
  for (const uint8_t byte : random) {
    name += kHex[byte >> 4];
    name += kHex[byte & 15];
  }
  return name;
}

uint8_t* MapShared(int fd, size_t bytes, const char* code) {
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) throw TransportError::System(code, "mmap", errno);
  return static_cast<uint8_t*>(base);
}

[[noreturn]] void Mismatch(const std::string& name, const char* what) {
  throw TransportError("offer_mismatch", "the peer's region " + name + " has " + what +
                                             ": run the same release with the same configuration, "
                                             "as the same user, on every replica");
}

}  // namespace

void FileDescriptor::Close() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

Region Region::Create(const Geometry& geometry, const LayoutDigest& digest) {
  Region region = CreateLocked(geometry.regionBytes);
  const int fd = region.lock_.get();
  int error;
  do {
    error = posix_fallocate(fd, 0, static_cast<off_t>(geometry.regionBytes));
  } while (error == EINTR);
  if (error != 0) {
    throw TransportError::System("region_create_failed",
                                 "reserving shared memory (see `df /dev/shm`)", error);
  }
  region.base_ = MapShared(fd, geometry.regionBytes, "region_create_failed");
  region.WriteHeader(digest);
  return region;
}

Region Region::CreatePrivate(const Geometry& geometry, const LayoutDigest& digest) {
  void* base = mmap(nullptr, geometry.regionBytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) throw TransportError::System("region_create_failed", "mmap", errno);
  Region region(RandomName(), static_cast<uint8_t*>(base), geometry.regionBytes, false,
                FileDescriptor());
  region.WriteHeader(digest);
  return region;
}

void Region::WriteHeader(const LayoutDigest& digest) {
  std::memcpy(base_ + layout::kHeaderMagic, layout::kMagic, 8);
  Store<uint32_t>(base_ + layout::kHeaderVersion, layout::kVersion);
  Store<uint64_t>(base_ + layout::kHeaderRegionBytes, bytes_);
  std::memcpy(base_ + layout::kHeaderDigest, digest.data(), digest.size());
}

// An empty object, locked. Another process may take it for abandoned before it is locked: then its
// name is gone afterwards, and another one is made.
Region Region::CreateLocked(size_t bytes) {
  for (;;) {
    const std::string name = RandomName();
    FileDescriptor fd(shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, kMode));
    if (fd.get() < 0) throw TransportError::System("region_create_failed", "shm_open", errno);
    // From here on the destructor of `region` removes the name if anything fails.
    Region region(name, nullptr, bytes, true, std::move(fd));
    struct stat status;
    // The process's umask may have taken bits away that the peer will insist on.
    if (flock(region.lock_.get(), LOCK_SH) != 0 || fchmod(region.lock_.get(), kMode) != 0 ||
        fstat(region.lock_.get(), &status) != 0) {
      throw TransportError::System("region_create_failed", "flock, fchmod or fstat", errno);
    }
    if (status.st_nlink > 0) return region;
    region.linked_ = false;
  }
}

void Region::RemoveAbandoned() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(kSharedMemoryPath), closedir);
  if (!directory) return;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = std::string("/") + entry->d_name;
    if (!IsName(name)) continue;
    const FileDescriptor fd(shm_open(name.c_str(), O_RDWR, 0));
    struct stat status;
    if (fd.get() < 0 || fstat(fd.get(), &status) != 0 || status.st_uid != geteuid()) continue;
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) shm_unlink(name.c_str());
  }
}

Region Region::Map(const std::string& name, const Geometry& geometry, const LayoutDigest& digest) {
  if (!IsName(name)) Mismatch("(name withheld)", "a name that no replica gives");
  const FileDescriptor fd(shm_open(name.c_str(), O_RDWR, 0));
  if (fd.get() < 0) throw TransportError::System("map_failed", "shm_open", errno);
  struct stat status;
  if (fstat(fd.get(), &status) != 0) throw TransportError::System("map_failed", "fstat", errno);
  if (!S_ISREG(status.st_mode)) Mismatch(name, "a type that is not shared memory");
  if (status.st_uid != geteuid()) Mismatch(name, "another owner");
  if ((status.st_mode & 07777) != kMode) Mismatch(name, "permissions other than 0600");
  if (status.st_size < 0 || static_cast<size_t>(status.st_size) != geometry.regionBytes) {
    Mismatch(name, "another size");
  }
  uint8_t* base = MapShared(fd.get(), geometry.regionBytes, "map_failed");
  Region region(name, base, geometry.regionBytes, false, FileDescriptor());
  uint8_t header[layout::kHeaderDoorbell];
  CopyFromShared(header, base, sizeof header);
  if (std::memcmp(header + layout::kHeaderMagic, layout::kMagic, 8) != 0 ||
      Load<uint32_t>(header + layout::kHeaderVersion) != layout::kVersion ||
      Load<uint64_t>(header + layout::kHeaderRegionBytes) != geometry.regionBytes ||
      std::memcmp(header + layout::kHeaderDigest, digest.data(), digest.size()) != 0) {
    Mismatch(name, "another layout");
  }
  return region;
}

bool Region::IsName(const std::string& name) {
  constexpr size_t kPrefixBytes = sizeof kNamePrefix - 1;
  if (name.size() != kPrefixBytes + 2 * kNameRandomBytes) return false;
  if (name.compare(0, kPrefixBytes, kNamePrefix) != 0) return false;
  return name.find_first_not_of("0123456789abcdef", kPrefixBytes) == std::string::npos;
}

Region::Region(Region&& other) noexcept
    : name_(std::move(other.name_)),
      base_(std::exchange(other.base_, nullptr)),
      bytes_(other.bytes_),
      linked_(std::exchange(other.linked_, false)),
      lock_(std::move(other.lock_)) {}

Region::~Region() {
  Unlink();
  if (base_ != nullptr) munmap(base_, bytes_);
}

void Region::Unlink() {
  if (!linked_) return;
  linked_ = false;
  shm_unlink(name_.c_str());
  lock_.Close();
}

}  // namespace sluice
