#include "error.h"
#include "region.h"
#include "support/fixture.h"
#include "verbs.h"

namespace sluice::test {
namespace {

VerbsEndpoint Example() {
  VerbsEndpoint endpoint;
  for (uint8_t i = 0; i < 16; i++) endpoint.gid[i] = i;
  endpoint.address = 0x1122334455667788;
  endpoint.rkey = 0xdeadbeef;
  endpoint.queuePair = 0xffffff;
  endpoint.packetSequence = 0xffffff;
  endpoint.lid = 0xffff;
  endpoint.mtu = 5;
  return endpoint;
}

TEST("endpoint: decodes as it was encoded") {
  uint8_t bytes[VerbsEndpoint::kBytes];
  Example().Encode(bytes);
  VerbsEndpoint decoded;
  CHECK(VerbsEndpoint::Decode(bytes, decoded));
  CHECK(decoded.gid == Example().gid && decoded.address == Example().address && decoded.rkey == Example().rkey);
  CHECK(decoded.queuePair == 0xffffff && decoded.packetSequence == 0xffffff && decoded.lid == 0xffff && decoded.mtu == 5);
}

TEST("endpoint: numbers of more than 24 bits, an unknown MTU and a spare byte are refused") {
  for (const auto& [at, value] : {std::pair(31, 1), {35, 1}, {38, 0}, {38, 6}, {38, 255}, {39, 1}}) {
    uint8_t bytes[VerbsEndpoint::kBytes];
    Example().Encode(bytes);
    bytes[at] = static_cast<uint8_t>(value);
    VerbsEndpoint decoded;
    CHECK(!VerbsEndpoint::Decode(bytes, decoded));
  }
}

TEST("region: a name is nothing but what a replica makes up") {
  const std::string good = "/sluice-0123456789abcdef0123456789abcdef";
  CHECK(Region::IsName(good));
  const std::vector<std::string> bads = {
      "",
      "/",
      good + "0",
      good.substr(1),
      good.substr(0, 39),
      good.substr(0, 39) + std::string(1, '\0'),
      "/sluice-0123456789abcdef0123456789ABCDEF",
      "/sluice-0123456789abcdef/../../etc/passw",
  };
  for (const std::string& bad : bads) {
    CHECK(!Region::IsName(bad));
  }
}

TEST("region: is mapped with the same layout, and by no other") {
  LayoutDigest digest{};
  const Region own = Region::Create(SmallGeometry(), digest);
  const Region mapped = Region::Map(own.name(), SmallGeometry(), digest);
  mapped.base()[layout::kHeaderBytes] = 5;
  CHECK(own.base()[layout::kHeaderBytes] == 5);
  digest[31] = 1;
  for (const auto& geometry : {SmallGeometry(), Geometry(4, 8, 32u << 10, 16u << 10)}) {
    try {
      Region::Map(own.name(), geometry, digest);
      CHECK(false);
    } catch (const TransportError& error) {
      CHECK(std::string(error.code()) == "offer_mismatch");
    }
  }
}

}  // namespace
}  // namespace sluice::test
