// The file of contexts, by toml++.
#include "ctl/contexts.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <sstream>

#include "ctl/files.h"
#include "ctl/text.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace appd::ctl {
namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 20;

Error wrong(const std::string& path, const std::string& what) {
  return {ErrorCode::InvalidArgument, "CONTEXTS_INVALID", path + ": " + what, 0};
}

// The keys of a context that are paths.
constexpr auto kFiles = std::to_array<std::pair<const char*, std::string Target::*>>(
    {{"ca", &Target::ca},
     {"cert", &Target::cert},
     {"key", &Target::key},
     {"token_file", &Target::token_file}});

}  // namespace

std::string contexts_path(const Environment& environment) {
  constexpr const char* kFile = "appd/appctl.toml";
  const std::string config = environment("XDG_CONFIG_HOME").value_or("");
  if (!config.empty()) return config + "/" + kFile;
  const std::string home = environment("HOME").value_or("");
  return home.empty() ? "" : home + "/.config/" + kFile;
}

bool valid_context_name(std::string_view name) {
  constexpr std::size_t kLongest = 63;
  return !name.empty() && name.size() <= kLongest && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
         });
}

Result<Contexts> read_contexts(const std::string& path) {
  struct stat status {};
  if (path.empty() || (::stat(path.c_str(), &status) < 0 && errno == ENOENT)) return Contexts();
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return wrong(path, "others may write it, and so decide where changes are sent: chmod 600 it");
  }
  const std::string text = TRY(read_file(path, kLargestFile));
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return wrong(path, "line " + std::to_string(parsed.error().source().begin.line) + ": " +
                           std::string(parsed.error().description()));
  }
  Contexts contexts;
  contexts.current = parsed.table()["current"].value_or(std::string());
  const toml::table* table = parsed.table()["contexts"].as_table();
  if (table == nullptr) return contexts;
  for (auto&& [key, value] : *table) {
    const std::string name(key.str());
    const auto entry = [&context = value](const char* name_of_entry) {
      return context.is_table() ? (*context.as_table())[name_of_entry].value_or(std::string())
                                : std::string();
    };
    const Result<std::string> address = parse_address(entry("address"));
    if (!valid_context_name(name) || !address) {
      return wrong(path, "the context '" + name + "' needs an address: unix:PATH or HOST:PORT");
    }
    Target& target = contexts.targets[name];
    target.address = *address;
    for (const auto& [file, member] : kFiles) target.*member = entry(file);
  }
  return contexts;
}

Result<void> write_contexts(const std::string& path, const Contexts& contexts) {
  if (path.empty())
    return wrong("contexts", "set HOME or XDG_CONFIG_HOME: there is no place for them");
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (error) return wrong(path, error.message());
  toml::table table;
  for (const auto& [name, target] : contexts.targets) {
    toml::table one{{"address", target.address}};
    for (const auto& [file, member] : kFiles) {
      if (!(target.*member).empty()) one.insert(file, target.*member);
    }
    table.insert(name, std::move(one));
  }
  toml::table whole;
  if (!contexts.current.empty()) whole.insert("current", contexts.current);
  whole.insert("contexts", std::move(table));
  std::ostringstream text;
  text << whole << "\n";
  return write_private(path, text.str());
}

namespace {

Result<Target> find_target(const Target& given, const std::string& context, unsigned user,
                           const Environment& environment) {
  if (!given.address.empty()) return given;
  const std::string from_environment = environment("APPD_ADDRESS").value_or("");
  Target target;
  if (context.empty() && !from_environment.empty()) {
    Result<std::string> parsed = parse_address(from_environment);
    if (!parsed) return std::move(parsed).error().context("APPD_ADDRESS");
    target.address = *std::move(parsed);
    return target;
  }
  const std::string path = contexts_path(environment);
  const Contexts contexts = TRY(read_contexts(path));
  const std::string& name = context.empty() ? contexts.current : context;
  if (name.empty()) {
    target.address = default_address(user, environment);
    return target;
  }
  const auto found = contexts.targets.find(name);
  if (found != contexts.targets.end()) return found->second;
  std::vector<std::string_view> names;
  for (const auto& each : contexts.targets) names.emplace_back(each.first);
  const std::string_view near = closest(name, names);
  return wrong("--context",
               "there is no context '" + name + "'" +
                   (near.empty() ? "" : "; did you mean '" + std::string(near) + "'?") +
                   "; appctl context list shows them");
}

}  // namespace

Result<Target> choose_target(const Target& given, const std::string& context, unsigned user,
                             const Environment& environment) {
  Target target = TRY(find_target(given, context, user, environment));
  for (const auto& [file, member] : kFiles) {
    if (!(given.*member).empty()) target.*member = given.*member;
  }
  add_from_environment(target, environment);
  return target;
}

}  // namespace appd::ctl
