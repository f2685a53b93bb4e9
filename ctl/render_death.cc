// Certificates of workers that ended: a table, and one in full.
#include <google/protobuf/util/time_util.h>

#include "ctl/duration.h"
#include "ctl/render.h"

namespace appd::ctl {
namespace {

using google::protobuf::util::TimeUtil;
using enum Column::Align;

std::string_view number_of(const v1::Death& death) {
  const std::string_view name = death.name();
  return name.substr(name.rfind('/') + 1);
}

std::string_view app_of(const v1::Death& death) {
  const std::string_view name = short_name(death.name());
  return name.substr(0, name.find('/'));
}

std::string cause_text(v1::Death::Cause cause) {
  return cause == v1::Death::CAUSE_UNSPECIFIED ? "unknown" : words(v1::Death::Cause_Name(cause));
}

std::chrono::milliseconds milliseconds(const google::protobuf::Duration& duration) {
  return std::chrono::milliseconds(TimeUtil::DurationToMilliseconds(duration));
}

std::string lived_text(const v1::Death& death) {
  return format_elapsed(milliseconds(death.end_time() - death.start_time()));
}

std::string block(std::string_view title, const std::string& text, const Style& style) {
  if (text.empty()) return "";
  return paint(style, Colour::Bold, title) + "\n" + indent(escape_block(text), "    ");
}

}  // namespace

std::string render_deaths(const v1::ListDeathsResponse& deaths, bool several, WallTime now,
                          const Style& style) {
  if (deaths.deaths().empty()) return "no worker has died\n";
  std::vector<Column> columns = {{"ID", Right},
                                 {"AGO", Right},
                                 {"WORKER", Right, false, 1},
                                 {"PID", Right, false, 5},
                                 {"ROLLOUT", Right, false, 6},
                                 {"CAUSE"},
                                 {"LIVED", Right, false, 3},
                                 {"REQUESTS", Right, false, 4},
                                 {"IN HAND", Right, false, 2},
                                 {"REASON", Left, true}};
  if (several) columns.insert(columns.begin(), Column{"APP"});
  Table table(std::move(columns));
  for (const v1::Death& death : deaths.deaths()) {
    std::vector<Cell> row = {{std::string(number_of(death))},
                             {age_text(death.has_end_time(), death.end_time(), now)},
                             {std::to_string(death.worker())},
                             {std::to_string(death.pid())},
                             {std::to_string(death.rollout())},
                             {cause_text(death.cause()), Colour::Red},
                             {lived_text(death)},
                             {std::to_string(death.requests())},
                             {std::to_string(death.busy())},
                             {death.reason()}};
    if (several) row.insert(row.begin(), Cell{std::string(app_of(death))});
    table.add(std::move(row));
  }
  return table.render(style);
}

std::string render_death(const v1::Death& death, WallTime now, const Style& style) {
  std::string out = paint(style, Colour::Bold, escape_line(death.name())) + "  " +
                    paint(style, Colour::Red, cause_text(death.cause())) + "\n";
  out += label_line("reason", escape_line(death.reason()));
  if (!death.limit().empty()) out += label_line("limit", escape_line(death.limit()));
  if (death.has_exit_status()) {
    out += label_line("exit status", std::to_string(death.exit_status()));
  }
  if (death.has_signal()) out += label_line("signal", std::to_string(death.signal()));
  out +=
      label_line("worker", std::to_string(death.worker()) + ", pid " + std::to_string(death.pid()) +
                               ", rollout " + std::to_string(death.rollout()));
  out += label_line("class", escape_line(death.worker_class()));
  out += label_line("started", TimeUtil::ToString(death.start_time()));
  out += label_line("ready", death.has_ready_time() ? TimeUtil::ToString(death.ready_time())
                                                    : std::string("never"));
  out += label_line("ended", TimeUtil::ToString(death.end_time()) + " (" +
                                 age_text(true, death.end_time(), now) + " ago, after " +
                                 lived_text(death) + ")");
  out += label_line("requests", std::to_string(death.requests()) + ", of which errors " +
                                    std::to_string(death.errors()));
  out += label_line("connections", std::to_string(death.connections()));
  if (death.websockets() > 0) out += label_line("WebSockets", std::to_string(death.websockets()));
  std::string in_hand = std::to_string(death.busy());
  if (death.receiving() > 0) in_hand += ", to be received " + std::to_string(death.receiving());
  if (death.sending() > 0) in_hand += ", to be sent " + std::to_string(death.sending());
  out += label_line("in hand", in_hand);
  for (const v1::Death::Request& request : death.requests_in_hand()) {
    out += label_line("", request_text(request));
  }
  out += block("Stacks", death.stacks(), style);
  out += block("Log", death.log_tail(), style);
  return out;
}

}  // namespace appd::ctl
