// What memory management costs on an RDMA device: prints one JSON object a line, each behind `memory-cost `.
//
//   {"way", "bytes", "rounds", "medianNs", "p99Ns"}   of one message, from post to completion, by way and size
//   {"way", "missing"}                                what the device cannot do
//   {"pages", "bytes", "rounds", "medianNs", "p99Ns"} ibv_reg_mr and ibv_dereg_mr of a region, by the size of its pages
//   {"rule", "holds"}                                 what memory windows let nobody do
#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "pair.h"
#include "ways.h"

namespace cost {

namespace {

constexpr size_t kSizes[] = {64, 256, 1024, 4096, 16384, 65536, 262144, 1048576};
// At least 100, so that p99 is a value that was seen.
constexpr size_t kRoundsMin = 100;
constexpr size_t kRoundsMax = 400;
constexpr size_t kBytesAWay = 16 << 20;
constexpr size_t kWarmUp = 5;
// A region of four replicas with the default window and rings, and one of ten with larger ones.
constexpr size_t kRegionBytes[] = {720896, 4 << 20};

void Say(const char* format, ...) {
  std::fputs("memory-cost ", stdout);
  va_list arguments;
  va_start(arguments, format);
  std::vprintf(format, arguments);
  va_end(arguments);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

void SaySamples(const char* kind, const std::string& name, size_t bytes, Samples& ns) {
  std::sort(ns.begin(), ns.end());
  const double median = ns[ns.size() / 2];
  const double p99 = ns[std::min(ns.size() - 1, ns.size() * 99 / 100)];
  Say("{\"%s\": \"%s\", \"bytes\": %zu, \"rounds\": %zu, \"medianNs\": %.0f, \"p99Ns\": %.0f}", kind, name.c_str(),
      bytes, ns.size(), median, p99);
}

// The ways take turns, so that whatever else the machine does strikes all of them alike.
void MeasureWays(const Device& device, size_t bytes, bool isFirst) {
  Bench bench(device, bytes);
  const std::vector<Way> ways = bench.ways();
  std::vector<Samples> samples(ways.size());
  const size_t rounds = std::clamp(kBytesAWay / bytes, kRoundsMin, kRoundsMax);
  for (size_t round = 0; round < rounds + kWarmUp; round++) {
    for (size_t i = 0; i < ways.size(); i++) {
      if (!ways[i].send || round % ways[i].everyRounds != 0) continue;
      ways[i].send(samples[i]);
      if (round < kWarmUp) samples[i].clear();
    }
  }
  for (size_t i = 0; i < ways.size(); i++) {
    if (ways[i].send) SaySamples("way", ways[i].name, bytes, samples[i]);
    else if (isFirst) Say("{\"way\": \"%s\", \"missing\": \"%s\"}", ways[i].name.c_str(), ways[i].missing.c_str());
  }
}

void MeasurePages(const Device& device, const char* name, Pages pages, size_t bytes) {
  const Memory memory(bytes, pages);
  if (memory.base() == nullptr) {
    Say("{\"pages\": \"%s\", \"missing\": \"none are reserved\"}", name);
    return;
  }
  Samples samples;
  for (size_t round = 0; round < kRoundsMin + kWarmUp; round++) {
    const double ns = Timed([&] {
      Check(ibv_dereg_mr(device.Register(memory.base(), bytes, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)),
            "ibv_dereg_mr");
    });
    if (round >= kWarmUp) samples.push_back(ns);
  }
  SaySamples("pages", name, bytes, samples);
}

bool SayRule(const char* rule, bool holds) {
  Say("{\"rule\": \"%s\", \"holds\": %s}", rule, holds ? "true" : "false");
  return holds;
}

// All pairs are of one protection domain: what is refused here is refused by the window. A refusal ends its pair.
bool CheckRules(const Device& device) {
  constexpr size_t kBytes = 4096;
  const Memory source(kBytes);
  const Memory target(kBytes);
  ibv_mr* from = device.Register(source.base(), kBytes, IBV_ACCESS_LOCAL_WRITE);
  ibv_mr* windowed = device.Register(target.base(), kBytes, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND);
  ibv_mw* window = Made(ibv_alloc_mw(device.domain(), IBV_MW_TYPE_2), "ibv_alloc_mw");
  bool hold = true;
  {
    Pair own(device);
    Pair stranger(device);
    Pair direct(device);
    const auto reaches = [&](Pair& pair, uint32_t rkey) {
      return pair.writer.Write(source.base(), from->lkey, kBytes, target.base(), rkey) == IBV_WC_SUCCESS;
    };
    const uint32_t unbound = ibv_inc_rkey(window->rkey);
    hold &= SayRule("the key of a window is worth nothing before it is bound", !reaches(direct, unbound));
    const uint32_t key = own.reader.Bind(window, windowed, kBytes);
    hold &= SayRule("the key after binding is known before it", key == unbound);
    hold &= SayRule("a bound window lets its own queue pair write", reaches(own, key));
    hold &= SayRule("no other queue pair of the same protection domain", !reaches(stranger, key));
    Pair another(device);
    hold &= SayRule("the region's own key lets nobody write", !reaches(another, windowed->rkey));
    own.reader.Invalidate(key);
    hold &= SayRule("nor does the window's after it was invalidated", !reaches(own, key));
    Check(ibv_dealloc_mw(window), "ibv_dealloc_mw");
  }
  Check(ibv_dereg_mr(windowed), "ibv_dereg_mr");
  Check(ibv_dereg_mr(from), "ibv_dereg_mr");
  return hold;
}

}  // namespace

int Main() {
  const Device device;
  for (const size_t bytes : kSizes) MeasureWays(device, bytes, bytes == kSizes[0]);
  for (const size_t bytes : kRegionBytes) {
    MeasurePages(device, "4 KiB", Pages::kSmall, bytes);
    MeasurePages(device, "2 MiB, transparent", Pages::kTransparentHuge, bytes);
    MeasurePages(device, "2 MiB, reserved", Pages::kReservedHuge, bytes);
  }
  return device.hasWindows() && !CheckRules(device) ? 1 : 0;
}

}  // namespace cost

int main() { return cost::Main(); }
