// Where libFuzzer comes in, at every target.
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  sluice::test::Input input(data, bytes);
  sluice::test::Run(input);
  return 0;
}
