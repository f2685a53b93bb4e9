// What was cut off at the end of a change: in a few words, and in full.
#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "ctl/duration.h"
#include "ctl/render.h"

namespace appd::ctl {
namespace {

using google::protobuf::util::TimeUtil;

// As many requests are named; the certificates name the others.
constexpr int kNamed = 10;
constexpr std::string_view kUsualLimit = "graceful_timeout";

std::string several(std::int32_t number, const char* what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

std::string limit_text(const std::string& limit) {
  return limit.empty() ? "" : ", at " + escape_line(limit);
}

}  // namespace

std::string request_text(const v1::Death::Request& request) {
  std::string text =
      escape_line(request.method() + " " + request.path()) + ", for " +
      format_elapsed(std::chrono::milliseconds(TimeUtil::DurationToMilliseconds(request.age())));
  if (request.stage() == v1::Death::Request::RECEIVING) text += ", its body was still to come";
  if (request.stage() == v1::Death::Request::SENDING) text += ", its client was still reading";
  return text;
}

std::string cut_text(const v1::Cut& cut) {
  if (cut.requests() == 0 && cut.websockets() == 0) return several(cut.workers(), "worker");
  std::string text = cut.requests() == 0 ? "" : several(cut.requests(), "request");
  if (cut.websockets() == 0) return text;
  return text + (text.empty() ? "" : " and ") + several(cut.websockets(), "WebSocket");
}

std::string render_cut(const v1::Cut& cut, const Style& style) {
  const std::chrono::milliseconds limit(TimeUtil::DurationToMilliseconds(cut.graceful_timeout()));
  const bool same = std::all_of(cut.cut_workers().begin(), cut.cut_workers().end(),
                                [](const auto& each) { return each.limit() == kUsualLimit; });
  const std::int32_t lost = cut.requests() + cut.websockets();
  std::string head = cut_text(cut) + ((lost > 0 ? lost : cut.workers()) == 1 ? " was" : " were");
  head += " cut";
  if (same) head += " at " + std::string(kUsualLimit) + " (" + format_duration(limit) + ")";
  std::string out = paint(style, Colour::Yellow, head + ":") + "\n";
  int left = kNamed;
  std::int32_t named = 0;
  for (const v1::Cut::Worker& worker : cut.cut_workers()) {
    const std::string who = "  worker " + std::to_string(worker.worker());
    const std::string why = same ? "" : limit_text(worker.limit());
    for (const v1::Death::Request& request : worker.requests_in_hand()) {
      if (left-- <= 0) break;
      out += who + "  " + request_text(request) + why + "\n";
      ++named;
    }
    if (worker.websockets() > 0) {
      out += who + "  " + several(worker.websockets(), "WebSocket") + why + "\n";
    }
    if (worker.requests() == 0 && worker.websockets() == 0) out += who + why + "\n";
  }
  const std::int32_t others = cut.requests() - named;
  if (others > 0) {
    const std::string_view app = short_name(cut.cut_workers(0).death());
    out += "  and " + several(others, "other") + "; see `appctl workers " +
           escape_line(app.substr(0, app.find('/'))) + " --dead`\n";
  }
  return out;
}

}  // namespace appd::ctl
