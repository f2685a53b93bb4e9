// Counts in place of the library's operators, which call malloc as these do.
#include "tests/unit/worker/heap_use.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> used = 0;
std::atomic<std::size_t> most = 0;

void* counted(std::size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  used += ::malloc_usable_size(memory);
  most = std::max(most.load(), used.load());
  return memory;
}

void uncounted(void* memory) {
  used -= ::malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { uncounted(memory); }
void operator delete[](void* memory) noexcept { uncounted(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { uncounted(memory); }
void operator delete[](void* memory, std::size_t /*size*/) noexcept { uncounted(memory); }

namespace appd::test {

HeapUse::HeapUse() : before_(used) { most = before_; }
std::size_t HeapUse::now() const { return used - before_; }
std::size_t HeapUse::peak() const { return most - before_; }

}  // namespace appd::test
