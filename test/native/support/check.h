// A test is a function with a name; `main` runs those whose names contain the argument, or all of them.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace sluice::test {

struct Case {
  const char* name;
  void (*run)();
};

std::vector<Case>& Cases();

struct Registered {
  Registered(const char* name, void (*run)()) { Cases().push_back({name, run}); }
};

// Ends the process: what follows a broken expectation means nothing, and a fuzzer wants a crash.
[[noreturn]] inline void Failed(const char* what, const char* file, int line) {
  std::fprintf(stderr, "\n%s:%d: not so: %s\n", file, line, what);
  std::abort();
}

}  // namespace sluice::test

#define CHECK(condition) \
  ((condition) ? void() : ::sluice::test::Failed(#condition, __FILE__, __LINE__))

#define TEST_JOINED(a, b) a##b
#define TEST_NAMED(name, function)                                          \
  static void function();                                                   \
  static const ::sluice::test::Registered TEST_JOINED(function, _)(name, function); \
  static void function()
#define TEST_AT(name, line) TEST_NAMED(name, TEST_JOINED(Test_, line))
#define TEST(name) TEST_AT(name, __LINE__)
