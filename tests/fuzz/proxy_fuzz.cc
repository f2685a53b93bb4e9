// Any bytes as a PROXY header, whole and grown byte by byte: no crash, one verdict, and no byte
// used that was not shown. Seeds: tests/corpus/proxy.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "worker/http/proxy_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace appd::http;
  if (size == 0) return 0;
  auto mode = static_cast<ProxyMode>(1 + data[0] % 3);
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  ProxySource whole_source;
  Refusal whole_refusal;
  auto whole = read_proxy_header(bytes, mode, whole_source, whole_refusal);
  if (whole.used > bytes.size()) std::abort();
  for (std::size_t shown = 0; shown <= bytes.size(); ++shown) {
    ProxySource source;
    Refusal refusal;
    auto step = read_proxy_header(bytes.substr(0, shown), mode, source, refusal);
    if (step.verdict == ProxyStep::Verdict::NeedMore && shown < bytes.size()) continue;
    if (step.verdict != whole.verdict || step.used != whole.used ||
        source.address != whole_source.address || refusal.rule != whole_refusal.rule) {
      std::abort();
    }
    break;
  }
  return 0;
}
