// The rules of how a new rollout proves itself.
#include <string>

#include "common/scoreboard.h"
#include "supervisor/model/checker.h"
#include "supervisor/model/status_range.h"

namespace appd::model {
namespace {

constexpr Milliseconds kLeast{1};
constexpr Milliseconds kBetweenTries{500};  // worker/zygote/probe.cc

std::string in_seconds(Milliseconds time) {
  const std::int64_t ms = time.count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

void check_health(Checker& check, const AppSpec& spec) {
  check.request_path("health_path", spec.health_path, "/healthz", true);
  if (!parse_status_range(spec.health_status)) {
    check.refuse("health_status", "must be a status from 200 to 599 or a range of them, but got " +
                                      in_quotes(spec.health_status) +
                                      ": write \"200\" or \"200-399\"");
  }
  check.duration("health_timeout", spec.health_timeout, kLeast, "choose a duration in that range");
  check.range("health_tries", spec.health_tries, 1, 100, "the number of tries");
  if (spec.health_path.empty() || spec.health_tries < 1 || spec.health_tries > 100) return;
  const Milliseconds longest =
      spec.health_tries * spec.health_timeout + (spec.health_tries - 1) * kBetweenTries;
  if (longest > spec.boot_timeout) {
    check.refuse("health_timeout", "all tries together may take " + in_seconds(longest) +
                                       ", longer than boot_timeout, which is " +
                                       in_seconds(spec.boot_timeout) +
                                       ": lower health_timeout or health_tries, or raise "
                                       "boot_timeout");
  }
}

void check_surge(Checker& check, const AppSpec& spec) {
  check.range("max_surge", spec.max_surge, 0, kMaxWorkers,
              "the number of workers beyond those wanted",
              "choose a number in that range, 0 to replace all at once");
  check.range("memory_budget", spec.memory_budget, 0, INT64_MAX, "the app's memory in bytes",
              "choose a size, 0 for no limit but the host's");
}

void check_canary(Checker& check, const AppSpec& spec) {
  check.range("canary", spec.canary, 0, kMaxWorkers, "the number of canary workers",
              "choose a number in that range, 0 for none");
  if (spec.max_surge > 0 && spec.canary > spec.max_surge) {
    check.refuse("canary",
                 "the canary serves beside the old pool, so it must be at most "
                 "max_surge, which is " +
                     std::to_string(spec.max_surge) + ", but got " + std::to_string(spec.canary) +
                     ": lower canary or raise max_surge");
  }
  check.duration("bake", spec.bake, kLeast, "choose a duration in that range");
  // Written so that what is no number is refused.
  if (!(spec.max_error_rate >= 0 && spec.max_error_rate <= 100)) {
    check.refuse("max_error_rate",
                 "must be a percentage from 0 to 100: write 1 to allow one failed request in a "
                 "hundred");
  }
  const bool factor = spec.max_latency_factor >= 1 && spec.max_latency_factor <= 1000;
  if (!factor && spec.max_latency_factor != 0) {
    check.refuse(
        "max_latency_factor",
        "must be from 1 to 1000, or 0 to compare no latency: write 2 to allow answers that "
        "take twice as long");
  }
}

}  // namespace

void check_rollout(Checker& check, const AppSpec& spec) {
  check_health(check, spec);
  check_surge(check, spec);
  check_canary(check, spec);
}

}  // namespace appd::model
