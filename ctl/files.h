// Files of the caller's: read whole, or written whole for nobody but the caller.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

#include "common/result.h"

namespace appd::ctl {

// At most `most` bytes, else an Error. `name` is for people.
Result<std::string> read_all(std::FILE* stream, const std::string& name, std::size_t most);
Result<std::string> read_file(const std::string& path, std::size_t most);

// The value of a secret, from a file as editors and echo write them: one newline at the end is no
// part of it.
Result<std::string> read_secret(const std::string& path);

// Replaces the file as a whole or not at all; its mode is 0600.
Result<void> write_private(const std::string& path, std::string_view content);

}  // namespace appd::ctl
