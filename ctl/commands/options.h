// Arguments that several verbs share.
#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "appd/v1/apps.pb.h"
#include "ctl/spec_fields.h"
#include "ctl/wait.h"

namespace appd::ctl {

// Fields of a spec as they were given on the command line.
struct SpecFlags {
  v1::AppSpec spec;
  std::vector<const SpecField*> given;
  // Of --secret-env, "NAME=FILE": the values are in files, so that no list of processes has them.
  std::vector<std::string> secrets;
};

// Reads those files into the spec's env.
Result<void> read_secrets(SpecFlags& flags, const std::string& base);

// The positional NAME; "apps/web" is taken as "web".
CLI::Option* add_name(CLI::App& command, std::string& id);
// --etag, --request-id, --reason, --no-wait, --wait-timeout.
void add_change_options(CLI::App& command, ChangeOptions& options);
// --reason and --request-id (a new one unless given), of what is no change of an app's settings.
void add_call_options(CLI::App& command, std::string& request_id, std::string& reason);
// A flag for each field named, or for all fields if none is.
void add_spec_flags(CLI::App& command, SpecFlags& flags,
                    std::initializer_list<std::string_view> names = {});
// Of counts and numbers that begin at 1.
CLI::Validator positive();
// A flag whose value is a duration.
CLI::Option* add_duration(CLI::App& command, const std::string& flag,
                          std::optional<std::chrono::milliseconds>& value, const std::string& help);

}  // namespace appd::ctl
