// Questions to the state of an app.
#include "supervisor/core/state.h"

#include <algorithm>

#include "supervisor/model/worker_class.h"

namespace appd::core {
namespace {

std::int32_t count(const Rollout& rollout, model::WorkerState state) {
  return static_cast<std::int32_t>(
      std::count_if(rollout.workers.begin(), rollout.workers.end(),
                    [state](const auto& entry) { return entry.second.state == state; }));
}

template <typename Wanted>
std::optional<RolloutKey> newest(const AppState& app, Wanted wanted) {
  for (auto it = app.rollouts.rbegin(); it != app.rollouts.rend(); ++it) {
    if (wanted(it->second)) return it->first;
  }
  return std::nullopt;
}

}  // namespace

std::int32_t Rollout::ready() const { return count(*this, model::WorkerState::Ready); }
std::int32_t Rollout::draining() const { return count(*this, model::WorkerState::Draining); }
std::int32_t Rollout::recycling() const {
  return static_cast<std::int32_t>(
      std::count_if(workers.begin(), workers.end(), [](const auto& entry) {
        return entry.second.state == model::WorkerState::Ready && !entry.second.recycling.empty();
      }));
}

Rollout* AppState::find(RolloutKey key) {
  auto it = rollouts.find(key);
  return it == rollouts.end() ? nullptr : &it->second;
}

const Rollout* AppState::find(RolloutKey key) const {
  auto it = rollouts.find(key);
  return it == rollouts.end() ? nullptr : &it->second;
}

std::optional<RolloutKey> AppState::serving() const {
  return newest(*this, [](const Rollout& r) { return r.phase == RolloutPhase::Serving; });
}

std::optional<RolloutKey> AppState::coming() const {
  return newest(*this, [](const Rollout& r) { return r.phase < RolloutPhase::Serving; });
}

std::int32_t AppState::ready() const {
  std::int32_t ready = 0;
  for (const auto& [key, rollout] : rollouts) ready += rollout.ready();
  return ready;
}

std::int32_t AppState::workers() const {
  std::size_t workers = 0;
  for (const auto& [key, rollout] : rollouts) workers += rollout.workers.size();
  return static_cast<std::int32_t>(workers);
}

WorkerId AppState::free_worker_id(const std::set<WorkerId>& given) const {
  WorkerId id = 1;
  auto taken = [&](WorkerId candidate) {
    return given.contains(candidate) ||
           std::any_of(rollouts.begin(), rollouts.end(), [candidate](const auto& entry) {
             return entry.second.workers.contains(candidate);
           });
  };
  while (taken(id)) ++id;
  return id;
}

namespace {

// The pause that holds back what is missing; nullptr: nothing does.
const RestartPolicy* holding_back(const Desired& want, const AppState& have, Time now) {
  if (!want.running() || have.coming()) return nullptr;
  auto serving = have.serving();
  const Rollout* rollout = serving ? have.find(*serving) : nullptr;
  if (rollout == nullptr || rollout->zygote_gone) {
    return have.starts.may_start(now) ? nullptr : &have.starts;
  }
  bool missing = rollout->staying() < want.spec.workers;
  return missing && !rollout->restarts.may_start(now) ? &rollout->restarts : nullptr;
}

}  // namespace

std::optional<Time> retry_at(const Desired& want, const AppState& have, Time now) {
  const RestartPolicy* policy = holding_back(want, have, now);
  return policy != nullptr ? policy->not_before() : std::nullopt;
}

model::ProcessState process_state(const Desired& want, const AppState& have, Time now) {
  using model::ProcessState;
  if (!want.running()) {
    return have.rollouts.empty() && !have.listening ? ProcessState::Stopped
                                                    : ProcessState::Stopping;
  }
  if (const RestartPolicy* policy = holding_back(want, have, now)) {
    return policy->at_longest() ? ProcessState::Fatal : ProcessState::Backoff;
  }
  return have.ready() > 0 ? ProcessState::Running : ProcessState::Starting;
}

model::ProcessState process_state(model::WorkerState state) {
  using model::ProcessState;
  switch (state) {
    case model::WorkerState::Starting:
      return ProcessState::Starting;
    case model::WorkerState::Ready:
      return ProcessState::Running;
    case model::WorkerState::Draining:
      return ProcessState::Stopping;
    case model::WorkerState::Exited:
      return ProcessState::Exited;
  }
  return ProcessState::Starting;
}

message::Settings settings_for(const Desired& want, const Rollout& rollout) {
  message::Settings settings = model::live_settings(want.spec, want.generation);
  if (model::takes_threads(want.spec.worker_class) !=
      model::takes_threads(rollout.spec.worker_class)) {
    settings.threads = rollout.settings.threads;
  }
  return settings;
}

model::Milliseconds graceful_timeout_of(const Rollout& rollout) {
  const bool known = rollout.settings.revision != 0;  // of an adopted one it is not
  return known ? model::Milliseconds(rollout.settings.graceful_timeout_ms)
               : rollout.spec.graceful_timeout;
}

int stop_signal_of(const Rollout& rollout) {
  const bool known = rollout.settings.revision != 0;
  return known ? static_cast<int>(rollout.settings.stop_signal)
               : model::stop_signal_number(rollout.spec.stop_signal);
}

bool out_of_tune(const Desired& want, const Rollout& rollout) {
  if (rollout.settings.revision == 0) return true;  // adopted: what they were told is not known
  message::Settings wanted = settings_for(want, rollout);
  wanted.revision = rollout.settings.revision;
  return wanted != rollout.settings;
}

namespace {

// One worker that is replaced by another changes nothing of what was asked for.
bool as_many_as_asked(const Desired& want, const Rollout& rollout) {
  bool all_stay =
      std::all_of(rollout.workers.begin(), rollout.workers.end(), [](const auto& entry) {
        return entry.second.state != model::WorkerState::Draining ||
               !entry.second.recycling.empty();
      });
  return all_stay && rollout.ready() >= want.spec.workers &&
         rollout.staying() <= want.spec.workers + rollout.recycling();
}

bool all_in_tune(const Rollout& rollout) {
  return std::all_of(rollout.workers.begin(), rollout.workers.end(), [&](const auto& entry) {
    return entry.second.state != model::WorkerState::Ready ||
           entry.second.settings_revision == rollout.settings.revision;
  });
}

}  // namespace

bool converged(const Desired& want, const AppState& have) {
  if (!want.running()) return have.rollouts.empty() && !have.listening;
  if (have.rollouts.size() != 1) return false;
  const Rollout& rollout = have.rollouts.begin()->second;
  // After a roll-back the older number serves on: that is what is wanted until something changes.
  bool right_code = rollout.number == want.rollout || have.failed_rollout == want.rollout;
  return right_code && rollout.phase == RolloutPhase::Serving && !rollout.zygote_gone &&
         as_many_as_asked(want, rollout) && all_in_tune(rollout) && !out_of_tune(want, rollout);
}

}  // namespace appd::core
