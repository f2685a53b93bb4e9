// What appctl takes from its surroundings: appd's default address, paths relative to the caller,
// and programs in PATH. The environment is passed in, so that tests need not change their own.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "appd/v1/apps.pb.h"
#include "common/result.h"

namespace appd::ctl {

// The value of an environment variable, or nothing.
using Environment = std::function<std::optional<std::string>(const char*)>;
std::optional<std::string> process_environment(const char* name);

// Where appd listens unless told otherwise: root's in /run/appd, a user's in $XDG_RUNTIME_DIR/appd,
// or in /tmp/appd-UID.
std::string default_address(unsigned user, const Environment& environment);
// Accepts "unix:PATH", a bare path, and "HOST:PORT" ("[IPV6]:PORT"); answers "unix:PATH" or
// "HOST:PORT".
Result<std::string> parse_address(std::string_view text);
bool is_unix_address(std::string_view address);

// `path` against `base`, which is absolute. Symbolic links stay: a venv's python is one. Only "."
// and leading ".." are taken out, because ".." after a link would mean another place.
std::string absolute_path(std::string_view path, const std::string& base);
// An interpreter: a name without a slash is looked up in PATH, the rest is as absolute_path().
Result<std::string> resolve_program(std::string_view program, const std::string& base,
                                    const Environment& environment);
// Makes directory and python of a spec absolute. The error's reason is the field's name.
Result<void> resolve_paths(v1::AppSpec& spec, const std::string& base,
                           const Environment& environment);

}  // namespace appd::ctl
