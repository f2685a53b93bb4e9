// HttpDate: the Date field, formatted at most once a second (RFC 9110 §6.6.1).
#pragma once

#include <ctime>
#include <string_view>

#include "worker/net/clock.h"

namespace appd::net {

// Under the engine's lock.
class HttpDate {
 public:
  // "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"; valid until the next call.
  std::string_view line(TimePoint now) {
    if (now >= valid_until_) refresh(now);
    return {text_, sizeof(text_) - 1};
  }

 private:
  void refresh(TimePoint now) {
    timespec wall{};
    ::clock_gettime(CLOCK_REALTIME, &wall);
    std::tm utc{};
    ::gmtime_r(&wall.tv_sec, &utc);
    std::strftime(text_, sizeof(text_), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
    valid_until_ = now + std::chrono::seconds(1) - Nanoseconds(wall.tv_nsec);
  }

  TimePoint valid_until_{};
  char text_[38] = {};
};

}  // namespace appd::net
