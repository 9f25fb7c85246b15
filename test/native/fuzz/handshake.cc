// What a peer's offer brings into the addon: the endpoint of its region, the region's name, and the header of the object that
// the name leads to.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "input.h"
#include "region.h"
#include "verbs.h"

namespace sluice::test {
namespace {

void Endpoint(Input& input) {
  uint8_t in[VerbsEndpoint::kBytes];
  for (uint8_t& byte : in) byte = input.Take<uint8_t>();
  VerbsEndpoint endpoint;
  if (!VerbsEndpoint::Decode(in, endpoint)) return;
  uint8_t out[VerbsEndpoint::kBytes];
  endpoint.Encode(out);
  CHECK(std::memcmp(in, out, sizeof in) == 0);
  CHECK(endpoint.queuePair < 1u << 24 && endpoint.packetSequence < 1u << 24);
  CHECK(endpoint.mtu >= 1 && endpoint.mtu <= 5);
}

void Name(Input& input) {
  const Bytes bytes = input.Some(80);
  const std::string name(bytes.begin(), bytes.end());
  const bool isName = Region::IsName(name);
  CHECK(!isName || (name.size() == 40 && name.find('/', 1) == std::string::npos && name.find('.') == std::string::npos));
  try {
    Region::Map(name, SmallGeometry(), {});
    CHECK(false);
  } catch (const TransportError&) {
  }
}

// The offered object lies about its size, its permissions, or in its header.
void Object(Input& input) {
  const Geometry geometry = SmallGeometry();
  LayoutDigest digest{};
  digest[0] = 7;
  // Its name goes when the process ends; a crash leaves it to the next transport on this machine.
  static const Region region = Region::Create(geometry, digest);
  const FileDescriptor fd(shm_open(region.name().c_str(), O_RDWR, 0));
  CHECK(fd.get() >= 0);
  const uint8_t lies = input.Take<uint8_t>();
  Bytes kept(region.base(), region.base() + layout::kHeaderDoorbell);
  bool same = true;
  if (lies & 1) {
    const uint32_t at = input.UpTo(layout::kHeaderDoorbell - 1);
    const uint8_t flipped = input.Take<uint8_t>();
    region.base()[at] ^= flipped;
    const bool isCompared = at < 12 || (at >= 16 && at < 24) || at >= layout::kHeaderDigest;
    same = flipped == 0 || !isCompared;
  }
  const mode_t mode = lies & 2 ? input.Take<uint16_t>() & 0777 : 0600;
  CHECK(fchmod(fd.get(), mode) == 0);
  const size_t bytes = lies & 4 ? input.Take<uint32_t>() % (2 * geometry.regionBytes) : geometry.regionBytes;
  CHECK(ftruncate(fd.get(), static_cast<off_t>(bytes)) == 0);
  bool mapped = true;
  try {
    Region::Map(region.name(), geometry, digest);
  } catch (const TransportError&) {
    mapped = false;
  }
  CHECK(fchmod(fd.get(), 0600) == 0 && ftruncate(fd.get(), static_cast<off_t>(geometry.regionBytes)) == 0);
  std::memcpy(region.base(), kept.data(), kept.size());
  // Cut off and grown again, its header is gone: this is what was there.
  CHECK(mapped == (same && mode == 0600 && bytes == geometry.regionBytes));
}

}  // namespace

void Run(Input& input) {
  switch (input.Take<uint8_t>() % 3) {
    case 0:
      Endpoint(input);
      break;
    case 1:
      Name(input);
      break;
    default:
      Object(input);
  }
}

}  // namespace sluice::test
