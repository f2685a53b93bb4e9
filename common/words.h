// Words: a command line taken apart as a shell does it, for commands that no shell runs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace appd {

// Blanks separate words; '…', "…" and \ quote as in a POSIX shell. Nothing is expanded: $NAME, *
// and ~ are themselves. The error says what is wrong: a quote that is not closed, or, unquoted, one
// of
// |&;<>() which only a shell could obey.
Result<std::vector<std::string>> split_words(std::string_view text);

}  // namespace appd
