// One table of flags.
#include "tests/load/options.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <string_view>

namespace appd::load {
namespace {

Error bad(std::string message) {
  return Error{ErrorCode::InvalidArgument, "USAGE", std::move(message), 0};
}

template <typename T>
Result<void> number(std::string_view text, T& out) {
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (fault != std::errc{} || end != text.data() + text.size())
    return bad("not a number: " + std::string(text));
  return {};
}

Result<void> milliseconds(std::string_view text, std::chrono::milliseconds& out) {
  std::int64_t value = 0;
  TRY(number(text, value));
  out = std::chrono::milliseconds(value);
  return {};
}

// "http://ADDRESS:PORT/TARGET"
Result<void> url(std::string_view text, Options& out) {
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return bad("not an http:// URL: " + std::string(text));
  text.remove_prefix(kScheme.size());
  std::size_t slash = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, slash);
  std::size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos) return bad("the URL needs a port");
  out.host = authority.substr(0, colon);
  if (out.host.starts_with('[') && out.host.ends_with(']'))
    out.host = out.host.substr(1, out.host.size() - 2);
  TRY(number(authority.substr(colon + 1), out.port));
  out.targets.emplace_back(slash < text.size() ? text.substr(slash) : "/");
  return {};
}

}  // namespace

std::string usage() {
  return "usage: loadgen [options] http://ADDRESS:PORT/TARGET…\n"
         "  --connections N     (64)      --duration MS        (until SIGTERM)  --requests N\n"
         "  --think MS          (0)       --timeout MS         (30000)          --pipeline DEPTH "
         "(1)\n"
         "  --fresh             a new connection for each request\n"
         "  --upload BYTES      POST a chunked body   --chunk BYTES (4096)   --chunk-pause MS\n"
         "  --expect-status N   (200)     --expect-body REGEX  --expect-echo    --require-number\n"
         "  --plain             requests carry Host and nothing else\n"
         "  --collect HEADER    count the values of a response header\n"
         "  --mark              the target carries the number too: n=NUMBER in its query\n"
         "  --examples N        (10)      failures that are described one by one\n"
         "  --unix PATH         connect there; the URL gives only host and target\n"
         "  --control           stdin: each line prints a snapshot (JSON), its end ends the run\n"
         "  --json              print the report as one line of JSON\n";
}

Result<Options> parse_options(int argc, char** argv) {
  Options options;
  using Take = std::function<Result<void>(std::string_view)>;
  const std::map<std::string_view, Take> valued = {
      {"--connections", [&](auto v) { return number(v, options.connections); }},
      {"--duration", [&](auto v) { return milliseconds(v, options.duration); }},
      {"--requests", [&](auto v) { return number(v, options.requests); }},
      {"--think", [&](auto v) { return milliseconds(v, options.think); }},
      {"--timeout", [&](auto v) { return milliseconds(v, options.timeout); }},
      {"--pipeline", [&](auto v) { return number(v, options.pipeline); }},
      {"--upload", [&](auto v) { return number(v, options.upload_bytes); }},
      {"--chunk", [&](auto v) { return number(v, options.chunk_bytes); }},
      {"--chunk-pause", [&](auto v) { return milliseconds(v, options.chunk_pause); }},
      {"--examples", [&](auto v) { return number(v, options.examples); }},
      {"--expect-status", [&](auto v) { return number(v, options.expect_status); }},
      {"--expect-body",
       [&](auto v) -> Result<void> {
         try {
           options.expect_body = std::regex(std::string(v));
         } catch (const std::regex_error& error) {
           return bad(std::string("--expect-body: ") + error.what());
         }
         return {};
       }},
      {"--collect",
       [&](auto v) -> Result<void> {
         options.collect = v;
         std::transform(options.collect.begin(), options.collect.end(), options.collect.begin(),
                        [](unsigned char c) { return std::tolower(c); });
         return {};
       }},
      {"--unix",
       [&](auto v) -> Result<void> {
         options.unix_path = v;
         return {};
       }},
  };
  const std::map<std::string_view, bool*> switches = {
      {"--fresh", &options.fresh},
      {"--expect-echo", &options.expect_echo},
      {"--require-number", &options.require_number},
      {"--control", &options.control},
      {"--json", &options.json},
      {"--mark", &options.mark},
      {"--plain", &options.plain},
  };
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (auto found = switches.find(argument); found != switches.end()) {
      *found->second = true;
    } else if (auto taker = valued.find(argument); taker != valued.end()) {
      if (++i == argc) return bad(std::string(argument) + " needs a value");
      auto taken = taker->second(argv[i]);
      if (!taken) return std::move(taken).error().context(argument);
    } else if (argument.starts_with("--")) {
      return bad("unknown option " + std::string(argument));
    } else {
      TRY(url(argument, options));
    }
  }
  if (options.targets.empty()) return bad("no URL");
  if (options.connections == 0 || options.pipeline == 0)
    return bad("--connections and --pipeline start at 1");
  if (options.pipeline > 1 && (options.upload_bytes > 0 || options.fresh)) {
    return bad("--pipeline goes with neither --upload nor --fresh");
  }
  return options;
}

}  // namespace appd::load
