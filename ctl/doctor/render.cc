// Checks as text and JSON.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "ctl/doctor/check.h"

namespace appd::ctl {
namespace {

struct Face {
  const char* word;
  Colour colour;
};

Face face_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::Ok:
      return {"ok", Colour::Green};
    case Verdict::Warn:
      return {"warn", Colour::Yellow};
    case Verdict::Fail:
      return {"fail", Colour::Red};
  }
  return {"", Colour::Plain};
}

long count(std::span<const Check> checks, Verdict verdict) {
  return std::count_if(checks.begin(), checks.end(),
                       [verdict](const Check& check) { return check.verdict == verdict; });
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

}  // namespace

std::string render_checks(std::span<const Check> checks, const Style& style) {
  constexpr std::size_t kNames = 14;
  constexpr std::size_t kIndent = 2 + 6 + kNames;
  std::string out;
  std::string subject;
  for (const Check& check : checks) {
    if (check.subject != subject || out.empty()) {
      subject = check.subject;
      out += paint(style, Colour::Bold, escape_line(subject)) + "\n";
    }
    const Face face = face_of(check.verdict);
    out += "  " + paint(style, face.colour, padded(face.word, 4)) + "  " +
           padded(check.name, kNames - 2) + "  " +
           wrapped(escape_line(check.finding), kIndent, style.width) + "\n";
    if (check.advice.empty()) continue;
    out += std::string(kIndent - 2, ' ') + "→ " +
           wrapped(escape_line(check.advice), kIndent, style.width) + "\n";
  }
  const long warnings = count(checks, Verdict::Warn);
  const long failures = count(checks, Verdict::Fail);
  return out + std::to_string(count(checks, Verdict::Ok)) + " ok, " + std::to_string(warnings) +
         (warnings == 1 ? " warning, " : " warnings, ") + std::to_string(failures) +
         (failures == 1 ? " failure\n" : " failures\n");
}

std::string checks_json(std::span<const Check> checks) {
  nlohmann::ordered_json out;
  out["checks"] = nlohmann::ordered_json::array();
  for (const Check& check : checks) {
    out["checks"].push_back({{"subject", check.subject},
                             {"check", check.name},
                             {"verdict", face_of(check.verdict).word},
                             {"finding", check.finding},
                             {"advice", check.advice}});
  }
  for (Verdict verdict : {Verdict::Ok, Verdict::Warn, Verdict::Fail}) {
    out[face_of(verdict).word] = count(checks, verdict);
  }
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace appd::ctl
