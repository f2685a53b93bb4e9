// Drives the codec as a connection does.
#include "tests/unit/worker/codec_trace.h"

#include <utility>

#include "worker/http/request_codec.h"

namespace appd::http {
namespace {

std::string describe(const RequestHead& head) {
  std::string text = "head ";
  text.append(head.method).append(" ").append(head.target);
  text.append(" path=").append(head.path).append(" query=").append(head.query);
  text.append(" host=").append(head.host);
  text += head.http_1_0 ? " 1.0" : " 1.1";
  if (head.keep_alive) text += " keep-alive";
  if (head.expects_continue) text += " expects";
  for (const Field& field : head.fields) {
    text.append(" [").append(field.name).append("=").append(field.value).append("]");
  }
  return text + "; ";
}

}  // namespace

Trace trace(const std::vector<std::string_view>& pieces, const Limits& limits) {
  Trace trace;
  RequestCodec codec;
  RequestHead head;
  Refusal refusal;
  std::string body;
  std::string input;
  for (std::string_view piece : pieces) {
    input.append(piece);
    for (bool more = true; more;) {
      auto step = codec.next(input, limits, head, refusal);
      switch (step.event) {
        case RequestCodec::Event::Head:
          trace.events += describe(head);
          break;
        case RequestCodec::Event::Body:
          body.append(step.data);
          break;
        case RequestCodec::Event::Complete:
          trace.events += "body " + std::exchange(body, {}) + "; complete; ";
          ++trace.complete;
          break;
        case RequestCodec::Event::NeedMore:
          more = false;
          break;
        case RequestCodec::Event::Refused:
          trace.status = refusal.status;
          trace.rule = refusal.rule;
          trace.events += "refused " + std::to_string(refusal.status) + " " + refusal.rule;
          return trace;
      }
      input.erase(0, step.used);
    }
  }
  trace.waiting = !codec.between_requests() || !input.empty();
  return trace;
}

}  // namespace appd::http
