// The events that are looked at, and the words that they get.
#include "supervisor/core/shortage.h"

#include <cerrno>
#include <cstring>
#include <string>

namespace appd::core {
namespace {

std::string words(std::int64_t limit) {
  return "; limit_pids (" + std::to_string(limit) + ") had refused the app a process or a thread";
}

}  // namespace

bool is_refused_fork(const RolloutEvent& event) {
  const auto* failed = std::get_if<message::ForkFailed>(&event);
  return failed != nullptr && failed->sys_errno == EAGAIN;
}

bool may_lack_pids(const RolloutEvent& event) {
  return is_refused_fork(event) || std::holds_alternative<message::LoadFailed>(event) ||
         std::holds_alternative<message::RunOnceFailed>(event) ||
         std::holds_alternative<message::BootFailed>(event);
}

RolloutEvent with_pids_limit(RolloutEvent event, std::int64_t limit) {
  if (const auto* failed = std::get_if<message::ForkFailed>(&event)) {
    return ForkRefused{failed->worker, std::strerror(failed->sys_errno) + words(limit)};
  }
  if (auto* load = std::get_if<message::LoadFailed>(&event)) load->summary += words(limit);
  if (auto* task = std::get_if<message::RunOnceFailed>(&event)) task->summary += words(limit);
  if (auto* boot = std::get_if<message::BootFailed>(&event)) boot->summary += words(limit);
  return event;
}

void note_pids_limit(std::int64_t limit, model::Death& death) { death.reason += words(limit); }

}  // namespace appd::core
