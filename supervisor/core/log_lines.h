// What a line of a log tells by itself: when, which rollout and worker. PURE: bytes in, values out.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "supervisor/model/observed.h"

namespace appd::core {

struct LineOrigin {
  std::optional<model::WallTime> time;
  std::int64_t rollout = 0;  // 0: not known
  std::int32_t worker = 0;   // 0: not known, or the zygote
  std::size_t prefix = 0;    // bytes in front of the text
};

// "2026-11-25T00:31:07.123Z 7/3 text"; anything else is all text.
LineOrigin app_line(std::string_view line);
// The time of %(t)s or of JSON's "time", where the format has it.
LineOrigin access_line(std::string_view line);

// What is no UTF-8 becomes U+FFFD.
std::string valid_utf8(std::string_view text);

// Bytes to lines, however they come. A line that is longer than kMaxLine is told by its beginning,
// so that nothing anybody writes takes more memory than that.
class LineSplitter {
 public:
  static constexpr std::size_t kMaxLine = 64 * 1024;

  // `end`: bytes from the beginning of this call's text to behind the line.
  using Take = std::function<void(std::string_view line, bool truncated, std::size_t end)>;
  void feed(std::string_view text, const Take& take);
  // What there is of a line that has not ended.
  bool has_partial() const { return !partial_.empty(); }
  std::string take_partial(bool& truncated);

 private:
  std::string partial_;
  bool overflowing_ = false;
};

}  // namespace appd::core
