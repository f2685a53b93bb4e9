// The worker's own strict reading of heads, and three answers.
#include "supervisor/metrics/page.h"

#include <algorithm>
#include <ctime>

#include "worker/http/request_codec.h"
#include "worker/http/response_head.h"

namespace appd::metrics {
namespace {

constexpr http::Limits kLimits{1024, 50, 2048, 0};

std::string date_line() {
  const std::time_t now = ::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[64];
  return {text, ::strftime(text, sizeof(text), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc)};
}

std::string whole(const char* status, std::string_view type, std::string_view body,
                  const http::RequestHead& request) {
  http::ResponseHead head;
  head.start(status);
  head.add("Content-Type", type);
  if (head.code() == 405) head.add("Allow", "GET, HEAD");
  head.set_content_length(body.size());
  const http::Framing framing = head.framing(request.is_head, request.http_1_0, body.size());
  std::string out(head.finish(framing, false, request.http_1_0, date_line()).view());
  if (!request.is_head) out += body;
  return out;
}

std::string plain(const char* status, std::string_view words, const http::RequestHead& request) {
  return whole(status, "text/plain; charset=utf-8", words, request);
}

}  // namespace

std::optional<std::string> answer(std::string_view received,
                                  const std::function<Result<std::string>()>& text) {
  http::RequestCodec codec;
  http::RequestHead request;
  http::Refusal refusal;
  switch (codec.next(received, kLimits, request, refusal).event) {
    case http::RequestCodec::Event::NeedMore:
      return std::nullopt;
    case http::RequestCodec::Event::Refused:
      return http::error_answer(refusal.status, refusal.rule, date_line(), true);
    case http::RequestCodec::Event::Head:
    case http::RequestCodec::Event::Body:
    case http::RequestCodec::Event::Complete:
      break;
  }
  if (request.method != "GET" && !request.is_head) {
    return plain("405 Method Not Allowed", "This serves GET and HEAD.\n", request);
  }
  if (request.path != "/metrics") {
    return plain("404 Not Found", "Metrics are at /metrics.\n", request);
  }
  auto body = text();
  if (!body) return plain("503 Service Unavailable", body.error().message + "\n", request);
  return whole("200 OK", "text/plain; version=0.0.4; charset=utf-8", *body, request);
}

}  // namespace appd::metrics
