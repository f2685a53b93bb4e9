// Shared arguments. Values are checked while they are parsed, so that what is wrong with one is
// said in CLI11's way and ends with exit code 2.
#include "ctl/commands/options.h"

#include <algorithm>
#include <charconv>

#include "ctl/client.h"
#include "ctl/duration.h"
#include "ctl/files.h"
#include "ctl/render.h"
#include "ctl/surroundings.h"

namespace appd::ctl {
namespace {

std::string group_title(FieldGroup group) {
  switch (group) {
    case FieldGroup::App:
      return "The app";
    case FieldGroup::Pool:
      return "The pool";
    case FieldGroup::Times:
      return "Times (30s, 1m30s, 500ms; a plain number is seconds)";
    case FieldGroup::Limits:
      return "Limits (bytes: 8190, 64KiB, 1GiB)";
    case FieldGroup::Front:
      return "Proxies in front, and the access log";
    case FieldGroup::WebSockets:
      return "WebSockets";
    case FieldGroup::Commands:
      return "Commands: pools of them, and those that a rollout runs once";
    case FieldGroup::Rollouts:
      return "How new code proves itself";
    case FieldGroup::Logs:
      return "Logs";
    case FieldGroup::Identity:
      return "Who it runs as, and what its processes may take";
  }
  return "";
}

}  // namespace

CLI::Option* add_name(CLI::App& command, std::string& id) {
  return command
      .add_option_function<std::string>(
          "NAME", [&id](const std::string& name) { id = short_name(name); }, "the app's name")
      ->type_name("");
}

CLI::Validator positive() {
  return {[](const std::string& text) {
            std::int64_t value = 0;
            const char* end = text.data() + text.size();
            const auto [stop, error] = std::from_chars(text.data(), end, value);
            if (error == std::errc() && stop == end && value > 0) return std::string();
            return "'" + text + "' is no whole number above 0";
          },
          ""};
}

CLI::Option* add_duration(CLI::App& command, const std::string& flag,
                          std::optional<std::chrono::milliseconds>& value,
                          const std::string& help) {
  return command
      .add_option_function<std::string>(
          flag,
          [&value, flag](const std::string& text) {
            const Result<std::chrono::milliseconds> parsed = parse_duration(text);
            if (!parsed) throw CLI::ValidationError(flag, parsed.error().message);
            value = *parsed;
          },
          help)
      ->type_name("TIME");
}

void add_change_options(CLI::App& command, ChangeOptions& options) {
  constexpr const char* kGroup = "How the change is made";
  options.request_id = new_request_id();
  command.add_option("--etag", options.etag, "change only what still has this etag (see get)")
      ->type_name("ETAG")
      ->group(kGroup);
  command
      .add_option("--request-id", options.request_id,
                  "a repeat with the same id changes nothing (default: a new one)")
      ->type_name("UUID")
      ->group(kGroup);
  command.add_option("--reason", options.reason, "for the history: \"release 2026-11-23\"")
      ->type_name("TEXT")
      ->group(kGroup);
  command
      .add_flag("--no-wait", options.no_wait, "print the operation's name, do not wait for its end")
      ->group(kGroup);
  add_duration(command, "--wait-timeout", options.wait_timeout,
               "give up waiting after this, with exit code 1")
      ->group(kGroup);
}

void add_call_options(CLI::App& command, std::string& request_id, std::string& reason) {
  request_id = new_request_id();
  command.add_option("--reason", reason, "one line for the audit record")->type_name("TEXT");
  command
      .add_option("--request-id", request_id, "a repetition with the same id has no second effect")
      ->type_name("UUID")
      ->default_str("");
}

void add_spec_flags(CLI::App& command, SpecFlags& flags,
                    std::initializer_list<std::string_view> names) {
  for (const SpecField& field : spec_fields()) {
    if (names.size() > 0 && std::find(names.begin(), names.end(), field.name) == names.end()) {
      continue;
    }
    const std::string flag(field.flag);
    std::string help(field.help);
    if (!field.default_value.empty()) help += " (" + std::string(field.default_value) + ")";
    CLI::Option* option = command.add_option_function<std::vector<std::string>>(
        flag,
        [&flags, &field, flag](const std::vector<std::string>& values) {
          const Result<void> assigned = assign(flags.spec, field, values);
          if (!assigned) throw CLI::ValidationError(flag, assigned.error().message);
          flags.given.push_back(&field);
        },
        help);
    // One value after each flag, so that what follows is never swallowed.
    option->type_name(std::string(field.placeholder))->allow_extra_args(false);
    if (!takes_many(field)) option->expected(1);
    option->group(names.size() > 0 ? "Settings" : group_title(field.group));
    if (field.name == "env") {
      command
          .add_option("--secret-env", flags.secrets,
                      "the same, its value read from a file here; may be repeated")
          ->type_name("NAME=FILE")
          ->allow_extra_args(false)
          ->group(group_title(field.group));
    }
  }
}

Result<void> read_secrets(SpecFlags& flags, const std::string& base) {
  const auto wrong = [](const std::string& message) {
    return Error{ErrorCode::InvalidArgument, "VALUE_INVALID", "--secret-env: " + message, 0};
  };
  for (const std::string& given : flags.secrets) {
    const std::size_t equals = given.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == given.size()) {
      return wrong("needs NAME=FILE, and got something without a NAME= or a FILE");
    }
    const std::string name = given.substr(0, equals);
    if (flags.spec.env().contains(name)) return wrong(name + " is given twice");
    Result<std::string> value = read_secret(absolute_path(given.substr(equals + 1), base));
    if (!value) return wrong(name + ": " + value.error().message);
    (*flags.spec.mutable_env())[name] = *std::move(value);
  }
  return {};
}

}  // namespace appd::ctl
