// How a value that somebody gave is shown in a message.
#pragma once

#include <string>
#include <string_view>

namespace appd::model {

// In double quotes, control characters escaped, cut to about 120 bytes at a character's boundary: a
// message stays one line of readable length whatever was sent.
std::string in_quotes(std::string_view value);

// The same bytes where they are UTF-8, '?' for each that is not.
std::string utf8(std::string_view bytes);

// Whether there is a control character (below 0x20, or 0x7f) in it.
bool has_control_character(std::string_view value);

}  // namespace appd::model
