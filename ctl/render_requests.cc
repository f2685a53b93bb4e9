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

std::string stage_of(const v1::RequestInHand& request) {
  switch (request.stage()) {
    case v1::Death::Request::RECEIVING:
      return "receiving";
    case v1::Death::Request::SENDING:
      return "sending";
    default:
      return "in app";
  }
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
    text = "no requests in hand\n";
  } else {
    std::vector<Column> columns{{"ID"},         {"PID", Right, false, 2},
                                {"AGE", Right}, {"STAGE", Left, false, 1},
                                {"METHOD"},     {"PATH", Left, true}};
    if (several) columns.insert(columns.begin(), Column{"APP"});
    Table table(std::move(columns));
    for (const v1::RequestInHand& request : requests.requests()) {
      std::vector<Cell> row{{request_id_text(request)}, {std::to_string(request.pid())},
                            {age_of(request)},          {stage_of(request)},
                            {request.method()},         {request.path()}};
      if (several) {
        const std::string_view name = short_name(request.name());
        row.insert(row.begin(), Cell{std::string(name.substr(0, name.find('/')))});
      }
      table.add(std::move(row));
    }
    text = table.render(style);
  }
  if (requests.unnamed() > 0) {
    text += "and " + std::to_string(requests.unnamed()) + " more: a worker names 16\n";
  }
  if (requests.websockets() > 0) {
    text += std::to_string(requests.websockets()) +
            (requests.websockets() == 1 ? " WebSocket is open\n" : " WebSockets are open\n");
  }
  return text;
}

}  // namespace appd::ctl
