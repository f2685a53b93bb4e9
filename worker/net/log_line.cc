// Escaping and the single write.
#include "worker/net/log_line.h"

#include "worker/net/log_output.h"

namespace appd::net {
namespace {

constexpr std::size_t kMaxValue = 300;

bool is_plain(std::string_view value) {
  for (char c : value) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '_' || c == '.' || c == ':';
    if (!plain) return false;
  }
  return !value.empty() && value.size() <= kMaxValue;
}

}  // namespace

LogLine::LogLine(std::string_view level, std::string_view event) {
  text_.append("level=").append(level).append(" event=").append(event);
}

LogLine::~LogLine() {
  text_ += '\n';
  write_log(2, text_);
}

LogLine& LogLine::add(std::string_view key, std::string_view value) {
  text_.append(1, ' ').append(key).append(1, '=');
  if (is_plain(value)) {
    text_.append(value);
    return *this;
  }
  text_ += '"';
  for (char byte : value.substr(0, kMaxValue)) {
    auto c = static_cast<unsigned char>(byte);
    if (c == '"' || c == '\\') {
      text_.append(1, '\\').append(1, byte);
    } else if (c < 0x20 || c >= 0x7f) {
      constexpr char kHex[] = "0123456789abcdef";
      text_.append("\\x").append(1, kHex[c >> 4]).append(1, kHex[c & 15]);
    } else {
      text_ += byte;
    }
  }
  if (value.size() > kMaxValue) text_ += "…";
  text_ += '"';
  return *this;
}

LogLine& LogLine::add(std::string_view key, std::int64_t value) {
  text_.append(1, ' ').append(key).append(1, '=').append(std::to_string(value));
  return *this;
}

}  // namespace appd::net
