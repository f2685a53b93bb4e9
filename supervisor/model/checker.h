// Checker: the forms that violations of a spec have in common. Internal to validate().
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/model/app_spec.h"
#include "supervisor/model/text.h"

namespace appd::model {

// Collects what is wrong, so that a caller hears of everything at once.
class Checker {
 public:
  static constexpr Milliseconds kDay{24 * 60 * 60 * 1000};

  explicit Checker(std::vector<Violation>& violations) : violations_(violations) {}

  void refuse(std::string field, std::string description) {
    violations_.push_back({"spec." + std::move(field), std::move(description)});
  }
  void range(const char* field, std::int64_t value, std::int64_t least, std::int64_t most,
             const char* what, const char* advice = "choose a number in that range") {
    if (value >= least && value <= most) return;
    refuse(field, std::string(what) + " must be " + std::to_string(least) + " to " +
                      std::to_string(most) + ", but got " + std::to_string(value) + ": " + advice);
  }
  void duration(const char* field, Milliseconds value, Milliseconds least, const char* advice,
                Milliseconds most = kDay) {
    if (value >= least && value <= most) return;
    refuse(field, "must be from " + seconds(least) + " to " + seconds(most) + ", but got " +
                      seconds(value) + ": " + advice);
  }
  // One of a few words.
  void word(const char* field, const std::string& value, std::span<const std::string_view> words) {
    if (std::find(words.begin(), words.end(), value) != words.end()) return;
    std::string choices;
    for (std::size_t i = 0; i < words.size(); ++i) {
      choices += i == 0 ? "" : i + 1 == words.size() ? " or " : ", ";
      choices.append("\"").append(words[i]).append("\"");
    }
    refuse(field, "must be " + choices + ", but got " + in_quotes(value) + ": choose one of these");
  }
  // The target of a request, "/login?next=/".
  void request_path(const std::string& field, const std::string& value, const char* example,
                    bool may_be_empty = false) {
    constexpr std::size_t kMost = 2048;
    if (value.empty() && may_be_empty) return;
    const bool blank = value.find(' ') != std::string::npos;
    if (value.empty() || value.front() != '/' || blank || has_control_character(value)) {
      refuse(field,
             "must begin with \"/\" and contain neither blanks nor control characters, but got " +
                 in_quotes(value) + ": write a path like \"" + example + "\"");
    } else if (value.size() > kMost) {
      refuse(field, "must be at most " + std::to_string(kMost) + " bytes long, but has " +
                        std::to_string(value.size()) + ": choose a shorter path");
    }
  }
  void absolute_path(const char* field, const std::string& value, const char* what,
                     const char* advice) {
    if (value.empty()) {
      refuse(field, std::string(what) + " must be given: " + advice);
    } else if (value.front() != '/') {
      refuse(field, std::string(what) + " must be an absolute path, but got " + in_quotes(value) +
                        ": " + advice);
    } else if (has_control_character(value)) {
      refuse(field, std::string(what) + " must not contain control characters, but got " +
                        in_quotes(value) + ": " + advice);
    } else if (value.size() > kMaxPath) {
      refuse(field, std::string(what) + " must be at most " + std::to_string(kMaxPath) +
                        " bytes long, but has " + std::to_string(value.size()) + ": " + advice);
    }
  }

 private:
  static constexpr std::size_t kMaxPath = 4095;  // PATH_MAX without its NUL
  static std::string seconds(Milliseconds value) {
    const std::int64_t ms = value.count();
    if (ms % 1000 == 0) return std::to_string(ms / 1000) + " s";
    return std::to_string(ms) + " ms";
  }
  std::vector<Violation>& violations_;
};

// The rules of when workers are replaced.
void check_recycling(Checker& check, const AppSpec& spec);

// The rules of what clients, proxies and WebSockets may do, and of the access log.
void check_front(Checker& check, const AppSpec& spec);
// The rules of commands and of run_once: what is only for one kind of pool is refused in the other.
void check_commands(Checker& check, const AppSpec& spec);
// The rules of how a new rollout proves itself and takes over.
void check_rollout(Checker& check, const AppSpec& spec);

// The rules of whom an app runs as, and of its resource limits.
void check_identity(Checker& check, const AppSpec& spec);

// The rules of how logs are rotated.
void check_logs(Checker& check, const AppSpec& spec);

}  // namespace appd::model
