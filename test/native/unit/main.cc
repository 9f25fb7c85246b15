#include <chrono>
#include <cstring>

#include "support/check.h"

namespace sluice::test {

std::vector<Case>& Cases() {
  static std::vector<Case> cases;
  return cases;
}

}  // namespace sluice::test

int main(int count, char** arguments) {
  using Clock = std::chrono::steady_clock;
  const char* wanted = count > 1 ? arguments[1] : "";
  int passed = 0;
  for (const auto& [name, run] : sluice::test::Cases()) {
    if (std::strstr(name, wanted) == nullptr) continue;
    std::printf("  %s", name);
    std::fflush(stdout);
    const auto start = Clock::now();
    run();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
    std::printf(" (%lld ms)\n", static_cast<long long>(took.count()));
    passed++;
  }
  std::printf("  %d passed\n", passed);
  // A name that nothing has is a mistake of whoever asked.
  return passed > 0 ? 0 : 1;
}
