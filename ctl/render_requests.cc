// Requests in hand as a table, oldest first.
#include <google/protobuf/util/time_util.h>

#include "ctl/duration.h"
#include "ctl/render.h"

namespace appd::ctl {
namespace {

using enum Column::Align;
using google::protobuf::util::TimeUtil;

std::string age_of(const v1::RequestInHand& request) {
  const std::chrono::milliseconds age(TimeUtil::DurationToMilliseconds(request.age()));
  if (age < std::chrono::minutes(1)) return format_elapsed(age);
  return format_age(std::chrono::duration_cast<std::chrono::seconds>(age));
}

}  // namespace

std::string request_id_text(const v1::RequestInHand& request) {
  std::string_view name = short_name(request.name());  // "web/workers/3/requests/1207"
  const std::size_t number = name.rfind('/');
  const std::size_t middle = name.rfind("/requests/");
  if (middle == std::string_view::npos) return std::string(name);
  const std::size_t worker = name.rfind('/', middle - 1);
  return std::string(name.substr(worker + 1, middle - worker - 1)) +
         std::string(name.substr(number));
}

std::string render_requests(const v1::ListRequestsResponse& requests, bool several,
                            const Style& style) {
  std::string text;
  if (requests.requests().empty()) {
    text = "nothing is in hand\n";
  } else {
    std::vector<Column> columns{{"ID"},     {"AGE", Right}, {"METHOD"}, {"PATH", Left, true},
                                {"CLIENT"}, {"PID", Right}};
    if (several) columns.insert(columns.begin(), Column{"APP"});
    Table table(std::move(columns));
    for (const v1::RequestInHand& request : requests.requests()) {
      std::vector<Cell> row{{request_id_text(request)},
                            {age_of(request)},
                            {request.method()},
                            {request.path()},
                            {request.client().empty() ? "unix" : request.client()},
                            {std::to_string(request.pid())}};
      if (several) {
        const std::string_view name = short_name(request.name());
        row.insert(row.begin(), Cell{std::string(name.substr(0, name.find('/')))});
      }
      table.add(std::move(row));
    }
    text = table.render(style);
  }
  if (requests.unnamed() > 0) {
    text += "and " + std::to_string(requests.unnamed()) +
            " more, which are younger: a worker names its 32 oldest\n";
  }
  return text;
}

}  // namespace appd::ctl
