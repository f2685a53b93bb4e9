// Modes of files as people write them.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace appd::model {

// "660" or "0660": three octal digits, which leave no room for setuid and its like.
inline std::optional<mode_t> parse_file_mode(std::string_view text) {
  const bool octal = text.find_first_not_of("01234567") == std::string_view::npos;
  if (!octal || (text.size() != 3 && (text.size() != 4 || text.front() != '0'))) {
    return std::nullopt;
  }
  return static_cast<mode_t>(std::stoul(std::string(text), nullptr, 8));
}

}  // namespace appd::model
