// Addresses, paths, PATH.
#include "ctl/surroundings.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <filesystem>

namespace appd::ctl {
namespace {

namespace fs = std::filesystem;

bool executable(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

constexpr std::string_view kScheme = "unix:";

// "HOST:PORT" or "[IPV6]:PORT": what comes before the last colon may be a name.
bool is_tcp_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || is_unix_address(text)) return false;
  const std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.front() == '[' && host.back() == ']' && host.size() > 2;
  const bool name = std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
  });
  int number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return (bracketed || name) && error == std::errc() && end == port.data() + port.size() &&
         number >= 1 && number <= 65535;
}

}  // namespace

bool is_unix_address(std::string_view address) { return address.starts_with(kScheme); }

std::optional<std::string> process_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return value;
}

std::string default_address(unsigned user, const Environment& environment) {
  if (user == 0) return "unix:/run/appd/appd.sock";
  const std::optional<std::string> runtime = environment("XDG_RUNTIME_DIR");
  if (runtime && !runtime->empty()) return "unix:" + *runtime + "/appd/appd.sock";
  return "unix:/tmp/appd-" + std::to_string(user) + "/appd.sock";
}

Result<std::string> parse_address(std::string_view text) {
  if (is_tcp_address(text)) return std::string(text);
  std::string_view path = text;
  if (is_unix_address(path)) path.remove_prefix(kScheme.size());
  // "unix:///run/x" is how URLs write it.
  if (path.substr(0, 3) == "///") path.remove_prefix(2);
  if (path.empty() || (path.size() == text.size() && path.find('/') == std::string_view::npos)) {
    return Error{ErrorCode::InvalidArgument, "ADDRESS_INVALID",
                 "'" + std::string(text) +
                     "' is no address of appd; write unix:/PATH/TO/appd.sock or HOST:PORT",
                 0};
  }
  return std::string(kScheme) + std::string(path);
}

std::string absolute_path(std::string_view path, const std::string& base) {
  const fs::path given(path);
  fs::path whole = given.is_absolute() ? fs::path("/") : fs::path(base);
  bool leading = !given.is_absolute();
  for (const fs::path& part : given.relative_path()) {
    if (part.empty() || part == ".") continue;
    if (part == ".." && leading) {
      whole = whole.parent_path();
      continue;
    }
    leading = false;
    whole /= part;
  }
  return whole.string();
}

Result<std::string> resolve_program(std::string_view program, const std::string& base,
                                    const Environment& environment) {
  if (program.find('/') != std::string_view::npos) return absolute_path(program, base);
  const std::string search = environment("PATH").value_or("/usr/local/bin:/usr/bin:/bin");
  for (std::size_t begin = 0; begin <= search.size();) {
    const std::size_t end = std::min(search.find(':', begin), search.size());
    const fs::path directory = search.substr(begin, end - begin);
    begin = end + 1;
    // An empty or relative entry means the current directory: not what a daemon should depend on.
    if (directory.is_absolute() && executable(directory / program)) {
      return (directory / program).string();
    }
  }
  return Error{ErrorCode::InvalidArgument, "python",
               "'" + std::string(program) + "' is not in PATH; give the interpreter's whole path",
               0};
}

Result<void> resolve_paths(v1::AppSpec& spec, const std::string& base,
                           const Environment& environment) {
  if (!spec.directory().empty()) spec.set_directory(absolute_path(spec.directory(), base));
  if (!spec.python().empty()) {
    spec.set_python(TRY(resolve_program(spec.python(), base, environment)));
  }
  return {};
}

}  // namespace appd::ctl
