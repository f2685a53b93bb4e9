// How much memory operator new has given out, in bytes. What C libraries take for themselves does
// not count.
#pragma once

#include <cstddef>

namespace appd::test {

// A view of the whole process; one at a time, on one thread.
class HeapUse {
 public:
  HeapUse();
  std::size_t now() const;   // since this was made
  std::size_t peak() const;  // the most at once since then

 private:
  std::size_t before_;
};

}  // namespace appd::test
