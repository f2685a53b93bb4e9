// Any bytes, whole and cut in two places: no crash, and one verdict. Seeds: tests/corpus/http1.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tests/unit/worker/codec_trace.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using appd::http::trace;
  if (size < 2) return 0;
  // The first two bytes say where to cut the rest.
  std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::size_t first = bytes.size() * data[0] / 256;
  std::size_t second = first + (bytes.size() - first) * data[1] / 256;
  auto whole = trace(bytes);
  auto cut =
      trace({bytes.substr(0, first), bytes.substr(first, second - first), bytes.substr(second)});
  if (whole.events != cut.events) std::abort();
  return 0;
}
