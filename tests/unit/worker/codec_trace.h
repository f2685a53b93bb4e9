// What a RequestCodec says about bytes, as text: the form in which verdicts are compared.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/http/limits.h"

namespace appd::http {

struct Trace {
  std::string events;    // "head GET / …; body hello; complete; "
  int status = 0;        // of a refusal
  std::string rule;      // of a refusal
  int complete = 0;      // requests
  bool waiting = false;  // in the middle of a request
};

// Shows the pieces to a codec one after the other, keeping what it has not used.
Trace trace(const std::vector<std::string_view>& pieces, const Limits& limits = {});
inline Trace trace(std::string_view bytes, const Limits& limits = {}) {
  return trace(std::vector{bytes}, limits);
}

}  // namespace appd::http
