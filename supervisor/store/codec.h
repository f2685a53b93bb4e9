// How values become what the tables hold, and back. Decoding refuses what encoding never writes.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "supervisor/model/observed.h"

namespace appd::store {

// JSON objects. A key that is absent takes the default of its field; one that is unknown, or of
// another type, is an error that names it. The errors of encoding: text that is not UTF-8.
Result<std::string> encode_spec(const model::AppSpec& spec);
Result<model::AppSpec> decode_spec(std::string_view json);
Result<std::string> encode_failure(const model::Failure& failure);
Result<model::Failure> decode_failure(std::string_view json);
Result<std::string> encode_cut(const model::Cut& cut);
Result<model::Cut> decode_cut(std::string_view json);
Result<std::string> encode_death(const model::Death& death);
Result<model::Death> decode_death(std::string_view json);

std::string_view encode_kind(model::OperationKind kind);
Result<model::OperationKind> decode_kind(std::string_view text);
std::string_view encode_phase(model::OperationPhase phase);
Result<model::OperationPhase> decode_phase(std::string_view text);
std::string_view encode_cause(model::FailureCause cause);
Result<model::FailureCause> decode_cause(std::string_view text);

// Nanoseconds since 1970.
std::int64_t encode_time(model::WallTime time);
model::WallTime decode_time(std::int64_t nanoseconds);

}  // namespace appd::store
