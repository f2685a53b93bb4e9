// Any bytes as a client's frames, whole and cut in two places: no crash, and one verdict. Seeds:
// tests/corpus/websocket.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tests/unit/worker/websocket_trace.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace appd::http;
  if (size < 3) return 0;
  // The first two bytes say where to cut the rest, the third what the handshake agreed on.
  std::string_view bytes(reinterpret_cast<const char*>(data) + 3, size - 3);
  std::size_t first = bytes.size() * data[0] / 256;
  std::size_t second = first + (bytes.size() - first) * data[1] / 256;
  WebSocketSetting setting{.max_size = std::uint64_t{1} << (data[2] & 15)};
  if ((data[2] & 16) != 0) {
    // The largest window: beyond a smaller one the verdict depends on what zlib still has.
    setting.deflate =
        DeflateParameters{.client_window_bits = 15, .client_context_takeover = (data[2] & 32) != 0};
  }
  auto whole = trace_websocket(bytes, setting);
  auto cut = trace_websocket(
      {bytes.substr(0, first), bytes.substr(first, second - first), bytes.substr(second)}, setting);
  if (whole.events != cut.events || whole.waiting != cut.waiting) std::abort();
  return 0;
}
