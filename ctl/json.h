// What appd answers, as JSON for programs: protobuf's mapping with the names of the proto, zeros
// shown.
#pragma once

#include <google/protobuf/message.h>

#include <span>
#include <string>
#include <string_view>

#include "common/result.h"

namespace appd::ctl {

// Only the long form ends with a newline. Fails on an error detail of a type that is not known
// here.
Result<std::string> to_json(const google::protobuf::Message& message, bool one_line = false);

template <typename Messages>
Result<std::string> to_json_list(const Messages& messages) {
  std::string out;
  for (const auto& message : messages) {
    out += (out.empty() ? "" : ",") + TRY(to_json(message, true));
  }
  return "[" + out + "]";
}

struct JsonPart {
  std::string_view name;
  Result<std::string> text;
};

// One object of parts that are JSON already, in the long form: {"server": …, "apps": […]}.
Result<std::string> join_json(std::span<const JsonPart> parts);

}  // namespace appd::ctl
