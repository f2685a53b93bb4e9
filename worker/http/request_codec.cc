// Head, then body, then the next head.
#include "worker/http/request_codec.h"

#include <algorithm>

namespace appd::http {

RequestCodec::Step RequestCodec::next(std::string_view input, const Limits& limits,
                                      RequestHead& head, Refusal& refusal) {
  switch (phase_) {
    case Phase::Head: {
      switch (scanner_.scan(input, limits, refusal)) {
        case HeadScanner::Verdict::NeedMore:
          return {Event::NeedMore};
        case HeadScanner::Verdict::Refused:
          return {Event::Refused};
        case HeadScanner::Verdict::Complete:
          break;
      }
      std::size_t begin = scanner_.head_begin();
      std::size_t end = scanner_.head_end();
      scanner_ = {};
      if (!parse_head(input.substr(begin, end - begin), limits, head, refusal)) {
        return {Event::Refused};
      }
      switch (head.body) {
        case BodyKind::None:
          phase_ = Phase::NoBody;
          break;
        case BodyKind::Length:
          phase_ = Phase::Length;
          left_ = head.content_length;
          break;
        case BodyKind::Chunked:
          phase_ = Phase::Chunked;
          chunked_ = {};
          break;
      }
      return {Event::Head, end};
    }
    case Phase::NoBody:
      phase_ = Phase::Head;
      return {Event::Complete};
    case Phase::Length: {
      if (input.empty()) return {Event::NeedMore};
      auto data =
          input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size())));
      left_ -= data.size();
      if (left_ == 0) phase_ = Phase::NoBody;
      return {Event::Body, data.size(), data};
    }
    case Phase::Chunked: {
      auto step = chunked_.next(input, limits, refusal);
      switch (step.event) {
        case ChunkedDecoder::Event::NeedMore:
          return {Event::NeedMore, step.used};
        case ChunkedDecoder::Event::Data:
          return {Event::Body, step.used, step.data};
        case ChunkedDecoder::Event::Complete:
          phase_ = Phase::Head;
          return {Event::Complete, step.used};
        case ChunkedDecoder::Event::Refused:
          return {Event::Refused, step.used};
      }
    }
  }
  return {Event::Refused};
}

}  // namespace appd::http
