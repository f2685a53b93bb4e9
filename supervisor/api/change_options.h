// What every call that changes something brings along: its request_id, its reason, who calls.
#pragma once

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "supervisor/api/call.h"
#include "supervisor/model/text.h"

namespace appd::api {

// FNV-1a over all of the request but its id, twice with different beginnings: it tells a retry from
// another request under the same id, and guards against nothing else.
template <typename Request>
std::string fingerprint(const Request& request) {
  Request rest = request;
  rest.clear_request_id();
  std::string bytes(Request::descriptor()->full_name() + "\n");
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // maps in one order
    rest.SerializeToCodedStream(&coded);
  }
  std::string digest;
  for (std::uint64_t hash : {0xcbf29ce484222325ULL, 0x84222325cbf29ce4ULL}) {
    for (const char c : bytes) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    }
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
    digest += text;
  }
  return digest;
}

// What every call that changes something brings along. Rejects the call and answers nothing when
// the request_id is none, or the reason is not fit for a line of the history.
template <typename Call>
std::optional<reconcile::CallOptions> options_of(Call& call, const std::string& etag = "",
                                                 bool validate_only = false) {
  const auto request_id = parse_request_id(call.request().request_id());
  if (!request_id) {
    call.reject(request_id.rejection());
    return std::nullopt;
  }
  const std::string& reason = call.request().reason();
  constexpr std::size_t kLongestReason = 1000;
  if (reason.size() > kLongestReason || model::has_control_character(reason)) {
    call.reject(request_invalid("reason", "must be one line of at most " +
                                              std::to_string(kLongestReason) + " bytes, but got " +
                                              model::in_quotes(reason)));
    return std::nullopt;
  }
  reconcile::CallOptions options;
  options.method = method_of(*call.request().GetDescriptor());
  options.reason = reason;
  options.etag = etag;
  options.request_id = request_id.value();
  if (!options.request_id.empty()) options.fingerprint = fingerprint(call.request());
  options.caller = call.caller();
  options.validate_only = validate_only;
  return options;
}

}  // namespace appd::api
