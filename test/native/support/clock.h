#pragma once

#include <cstdint>

namespace sluice::test {

uint64_t& NowUs();

}  // namespace sluice::test
