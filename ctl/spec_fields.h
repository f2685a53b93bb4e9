// The fields of AppSpec as people name them: one table for flags, manifests, differences, help and
// refusals. Values go through protobuf reflection, so a field is described once. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "appd/v1/apps.pb.h"
#include "common/result.h"

namespace appd::ctl {

enum class FieldGroup {
  App,
  Pool,
  Times,
  Limits,
  Front,
  WebSockets,
  Commands,
  Rollouts,
  Logs,
  Identity
};

struct SpecField {
  std::string_view name;         // the API's: "limit_request_line"
  std::string_view flag;         // "--limit-request-line"
  std::string_view placeholder;  // "BYTES"
  std::string_view help;
  std::string_view default_value;  // as a flag would say it; empty: none, or an empty list
  FieldGroup group;
};

// In the order of the proto; complete (a test compares it with the descriptor).
std::span<const SpecField> spec_fields();
const SpecField* find_spec_field(std::string_view name);
// Names only, for "did you mean".
std::vector<std::string_view> spec_field_names();
// True for bind and warmup_paths, which may be given several times, and for env.
bool takes_many(const SpecField& field);

// Replaces the field by what the texts say: "17", "30s", "1GiB", "auto", "on", for env "K=V".
Result<void> assign(v1::AppSpec& spec, const SpecField& field, std::span<const std::string> values);
bool is_set(const v1::AppSpec& spec, const SpecField& field);
void clear(v1::AppSpec& spec, const SpecField& field);
// As a flag would say it; lists are joined with ", ". Not escaped.
std::string text_of(const v1::AppSpec& spec, const SpecField& field);
// Every field that is not set gets its default.
v1::AppSpec with_defaults(v1::AppSpec spec);

struct FieldChange {
  std::string field;                // "workers", "env.LANG"
  std::optional<std::string> from;  // absent: the field is new, or was empty
  std::optional<std::string> to;    // absent: the field goes, or becomes empty
  bool hidden = false;              // the values are not known here, only whether there are any
};
// What differs, env by variable, defaults filled in on both sides.
std::vector<FieldChange> diff(const v1::AppSpec& from, const v1::AppSpec& to);
// The same of an app as appd has shown it before a change (nothing: it is new), and in the answer
// to it. Of variables it is told what became of them; their values are hidden.
std::vector<FieldChange> diff(const v1::AppSpec& from, const v1::App& to);
// The same of two revisions in one answer of appd's: what became of variables is told, their values
// are hidden.
std::vector<FieldChange> diff(const v1::Revision& from, const v1::Revision& to);

// The flag behind a path of the API: "spec.workers" → "--workers", "spec.bind[1]" → "--bind",
// "spec.env.LANG" → "--env LANG"; what is no field of the spec comes back unchanged.
std::string flag_of(std::string_view path);
// The field behind such a path: "workers", "env"; empty if it is none.
std::string_view field_of(std::string_view path);

}  // namespace appd::ctl
