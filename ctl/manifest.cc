// From the tree of a document to specs, collecting every problem on the way.
#include "ctl/manifest.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <set>

#include "ctl/files.h"
#include "ctl/render.h"
#include "ctl/spec_fields.h"
#include "ctl/text.h"

namespace appd::ctl {
namespace {

constexpr auto kReported = std::to_array<std::string_view>(
    {"uid", "observed", "generation", "etag", "operation", "create_time", "update_time", "revision",
     "changed_env", "next_page_token"});

// No field of the API, but where values of env are.
constexpr std::string_view kSecretEnv = "secret_env";

bool only_reported(std::string_view key) {
  return std::find(kReported.begin(), kReported.end(), key) != kReported.end();
}

// "; did you mean 'workers'?" or nothing.
std::string suggestion(std::string_view key, std::span<const std::string_view> candidates) {
  const std::string_view near = closest(key, candidates);
  return near.empty() ? "" : "; did you mean '" + std::string(near) + "'?";
}

// A scalar as a flag would have it; nothing for tables, lists and null.
std::optional<std::string> scalar_text(const Node& node) {
  return std::visit(
      Overloaded{
          [](Node::Null) -> std::optional<std::string> { return std::nullopt; },
          [](bool value) -> std::optional<std::string> { return value ? "true" : "false"; },
          [](std::int64_t value) -> std::optional<std::string> { return std::to_string(value); },
          [](double value) -> std::optional<std::string> {
            std::array<char, 64> text{};
            std::snprintf(text.data(), text.size(), "%.17g", value);
            // Shortest that reads back the same: 0.1 is not 0.10000000000000001.
            for (int digits = 1; digits < 17; ++digits) {
              std::array<char, 64> shorter{};
              std::snprintf(shorter.data(), shorter.size(), "%.*g", digits, value);
              if (std::strtod(shorter.data(), nullptr) == value) return shorter.data();
            }
            return text.data();
          },
          [](const std::string& value) -> std::optional<std::string> { return value; },
          [](const Node::Array&) -> std::optional<std::string> { return std::nullopt; },
          [](const Node::Table&) -> std::optional<std::string> { return std::nullopt; }},
      node.value);
}

class Reader {
 public:
  Reader(Manifest& manifest, const std::string& base, const Environment& environment)
      : manifest_(manifest), base_(base), environment_(environment) {}

  void read_root(const Node::Table& root) {
    if (find(root, "spec") != nullptr || find(root, "name") != nullptr) {
      read_message({1, 1}, root);
    } else if (const Node* apps = find(root, "apps")) {
      check_root_keys(root);
      read_apps(*apps);
    } else {
      check_root_keys(root);
      if (manifest_.problems.empty()) report({1, 1}, "no apps in it; start with [apps.NAME]");
    }
    if (manifest_.apps.empty() && manifest_.problems.empty()) report({1, 1}, "no apps in it");
  }

 private:
  void report(Position at, std::string message) {
    manifest_.problems.push_back({at, std::move(message)});
  }

  void check_root_keys(const Node::Table& root) {
    constexpr auto kKnown = std::to_array<std::string_view>({"apps"});
    for (const Entry& entry : root) {
      if (entry.key == "apps" || only_reported(entry.key)) continue;
      report(entry.at, "unknown key '" + entry.key + "'" + suggestion(entry.key, kKnown));
    }
  }

  void read_apps(const Node& apps) {
    if (const Node::Array* list = apps.array()) {
      for (const Node& item : *list) {
        if (item.table() == nullptr) {
          report(item.at, "an app is a table with name and spec, this is " + kind_of(item));
        } else {
          read_message(item.at, *item.table());
        }
      }
      return;
    }
    if (apps.table() == nullptr) {
      return report(apps.at, "'apps' is a table of apps, this is " + kind_of(apps));
    }
    for (const Entry& entry : *apps.table()) {
      if (entry.value.table() == nullptr) {
        report(entry.at, "an app is a table of settings, this is " + kind_of(entry.value));
      } else {
        read_app(entry.key, entry.at, *entry.value.table());
      }
    }
  }

  // The API's own App message.
  void read_message(Position at, const Node::Table& message) {
    constexpr auto kKnown = std::to_array<std::string_view>({"name", "spec"});
    const Node* name = find(message, "name");
    const Node* spec = find(message, "spec");
    for (const Entry& entry : message) {
      if (entry.key == "name" || entry.key == "spec" || only_reported(entry.key)) continue;
      report(entry.at, "unknown key '" + entry.key + "'" + suggestion(entry.key, kKnown));
    }
    if (name == nullptr || name->string() == nullptr) {
      return report(at, "the app needs a name: \"apps/NAME\"");
    }
    if (spec == nullptr || spec->table() == nullptr) {
      return report(name->at, "the app needs a spec");
    }
    read_app(std::string(short_name(*name->string())), at, *spec->table());
  }

  void read_app(std::string id, Position at, const Node::Table& settings) {
    const auto same = [&](const ManifestApp& other) { return other.id == id; };
    if (std::any_of(manifest_.apps.begin(), manifest_.apps.end(), same)) {
      return report(at, "the app '" + id + "' is given twice");
    }
    ManifestApp app;
    app.id = std::move(id);
    app.at = at;
    std::vector<std::string_view> names = spec_field_names();
    names.push_back(kSecretEnv);
    for (const Entry& entry : settings) {
      if (entry.key == kSecretEnv) continue;
      const SpecField* field = find_spec_field(entry.key);
      if (field == nullptr) {
        report(entry.at,
               "unknown key '" + entry.key + "' in apps." + app.id + suggestion(entry.key, names));
        continue;
      }
      app.fields[entry.key] = entry.at;
      read_field(app, *field, entry);
    }
    if (const Node* secrets = find(settings, kSecretEnv)) read_secrets(app, *secrets);
    const Result<void> resolved = resolve_paths(app.spec, base_, environment_);
    if (!resolved) {
      report(app.fields[resolved.error().reason],
             resolved.error().reason + ": " + resolved.error().message);
    }
    manifest_.apps.push_back(std::move(app));
  }

  void read_field(ManifestApp& app, const SpecField& field, const Entry& entry) {
    std::vector<std::string> values;
    const auto wrong = [&](const Node& node, const char* wanted) {
      report(node.at.line > 0 ? node.at : entry.at,
             field.name.data() + std::string(": wants ") + wanted + ", this is " + kind_of(node));
    };
    if (field.name == "env") {
      if (entry.value.table() == nullptr) return wrong(entry.value, "a table of variables");
      for (const Entry& variable : *entry.value.table()) {
        const std::optional<std::string> text = scalar_text(variable.value);
        if (!text) return wrong(variable.value, "a string for each variable");
        values.push_back(variable.key + "=" + *text);
      }
    } else if (takes_many(field) && entry.value.array() != nullptr) {
      for (const Node& item : *entry.value.array()) {
        if (item.string() == nullptr) return wrong(item, "a list of strings");
        values.push_back(*item.string());
      }
    } else {
      // 0o660 would come as 432.
      if (field.placeholder == "MODE" && entry.value.string() == nullptr) {
        return wrong(entry.value, "a string of octal digits, \"0660\"");
      }
      const std::optional<std::string> text = scalar_text(entry.value);
      if (!text) return wrong(entry.value, takes_many(field) ? "a list of strings" : "one value");
      values.push_back(*text);
    }
    const Result<void> assigned = assign(app.spec, field, values);
    if (!assigned) report(entry.at, entry.key + ": " + assigned.error().message);
  }

  // Variables whose values are in files.
  void read_secrets(ManifestApp& app, const Node& secrets) {
    if (secrets.table() == nullptr) {
      return report(secrets.at,
                    "secret_env: wants a table of NAME = \"FILE\", this is " + kind_of(secrets));
    }
    for (const Entry& entry : *secrets.table()) {
      const auto wrong = [&](const std::string& message) {
        report(entry.at, "secret_env: " + entry.key + ": " + message);
      };
      const std::string* file = entry.value.string();
      if (file == nullptr) {
        wrong("wants the name of a file, this is " + kind_of(entry.value));
      } else if (app.spec.env().contains(entry.key)) {
        wrong("is in env too");
      } else if (Result<std::string> value = read_secret(absolute_path(*file, base_)); !value) {
        wrong(value.error().message);
      } else {
        (*app.spec.mutable_env())[entry.key] = *std::move(value);
      }
    }
  }

  Manifest& manifest_;
  const std::string& base_;
  const Environment& environment_;
};

std::string_view line_of(std::string_view text, int line) {
  for (int i = 1; i < line; ++i) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find_first_of("\r\n"));
}

// Whether the line may hold the value of an environment variable: it names env, or stands below
// such a line whose table has not ended. What is shown of a manifest may stay in a build's log.
bool may_hold_secret(std::string_view text, int line) {
  bool in_env = false;
  for (int i = 1; i <= line && !text.empty(); ++i) {
    const std::string_view present = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(present.size() + 1, text.size()));
    const bool names_env = present.find("env") != std::string_view::npos;
    const std::size_t first = present.find_first_not_of(" \t");
    const bool header = first != std::string_view::npos && present[first] == '[';
    const bool was_in_env = in_env;
    in_env =
        header ? names_env : (names_env || in_env) && present.find('}') == std::string_view::npos;
    if (i == line) return names_env || (was_in_env && !header);
  }
  return false;
}

}  // namespace

Manifest parse_manifest(std::string_view text, DocumentFormat format, std::string file,
                        const std::string& base, const Environment& environment) {
  Manifest manifest;
  manifest.file = std::move(file);
  const auto parsed = parse_document(text, format);
  if (const Problem* problem = std::get_if<Problem>(&parsed)) {
    manifest.problems.push_back(*problem);
    return manifest;
  }
  Reader(manifest, base, environment).read_root(*std::get<Node>(parsed).table());
  return manifest;
}

std::string render_problems(const Manifest& manifest, std::string_view text) {
  constexpr std::size_t kLongestShown = 160;  // the mark stays on the screen
  std::string out;
  for (const Problem& problem : manifest.problems) {
    out += escape_line(manifest.file) + ":" + std::to_string(problem.at.line) + ":" +
           std::to_string(problem.at.column) + ": " + escape_line(problem.message) + "\n";
    std::string line(line_of(text, problem.at.line));
    std::replace(line.begin(), line.end(), '\t', ' ');  // a column is one character wide
    line = escape_line(line);
    if (line.empty() || line.size() > kLongestShown || may_hold_secret(text, problem.at.line)) {
      continue;
    }
    const std::string number = std::to_string(problem.at.line);
    const auto column = static_cast<std::size_t>(std::max(problem.at.column, 1));
    out.append("  ").append(number).append(" | ").append(line).append("\n");
    out.append(2 + number.size(), ' ').append(" | ").append(column - 1, ' ').append("^\n");
  }
  return out;
}

}  // namespace appd::ctl
