// One line of a log.
#include <array>
#include <ctime>

#include "ctl/render.h"

namespace appd::ctl {
namespace {

// "2026-11-25 00:31:07.123"
std::string local_time(const google::protobuf::Timestamp& time) {
  const std::time_t seconds = time.seconds();
  std::tm local{};
  ::localtime_r(&seconds, &local);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local);
  return std::string(text.data()) + "." + std::to_string(1000 + time.nanos() / 1'000'000).substr(1);
}

}  // namespace

std::string render_log_entry(const v1::LogEntry& entry, bool prefix, const Style& style) {
  std::string out;
  // A line of the access log has its own time, in the user's own format.
  if (prefix && entry.has_time() && entry.source() == v1::ReadLogsRequest::APP) {
    const std::string worker = entry.worker() == 0 ? "-" : std::to_string(entry.worker());
    out = paint(style, Colour::Dim, local_time(entry.time()) + " " + worker) + " ";
  }
  // Programs get the line as it is; a terminal must not be driven by what a client has sent.
  out += style.width > 0 ? escape_block(entry.line()) : entry.line();
  if (entry.truncated()) out += paint(style, Colour::Yellow, " [cut]");
  return out + "\n";
}

}  // namespace appd::ctl
