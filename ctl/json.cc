// JSON is protobuf's json_util's; nlohmann only lays out what is put together from several
// messages.
#include "ctl/json.h"

#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

namespace appd::ctl {

Result<std::string> to_json(const google::protobuf::Message& message, bool one_line) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !one_line;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) {
    return Error{ErrorCode::Internal, "JSON_FAILED", std::string(status.message()), 0};
  }
  if (!one_line && (text.empty() || text.back() != '\n')) text += '\n';
  return text;
}

Result<std::string> join_json(std::span<const JsonPart> parts) {
  auto whole = nlohmann::ordered_json::object();
  for (const JsonPart& part : parts) {
    if (!part.text) return part.text.error();
    whole[std::string(part.name)] =
        nlohmann::ordered_json::parse(*part.text, nullptr, /*allow_exceptions=*/false);
  }
  return whole.dump(1) + "\n";
}

}  // namespace appd::ctl
