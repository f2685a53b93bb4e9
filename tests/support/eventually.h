// Waiting in tests: for what has no event to wait for, with a deadline.
#pragma once

#include <sched.h>

#include <chrono>

namespace appd::test {

// Asks until the answer is true. False: it was not within ten seconds.
template <typename Question>
bool eventually(Question question) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!question()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    ::sched_yield();
  }
  return true;
}

}  // namespace appd::test
