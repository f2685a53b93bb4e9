// Import, warm-up, the look for what a fork would break, and beginning again without it.
#include "worker/zygote/loading.h"

#include <fcntl.h>

#include <chrono>
#include <csignal>

#include "common/failpoint.h"
#include "common/words.h"
#include "worker/net/clock.h"
#include "worker/net/log_files.h"
#include "worker/net/log_line.h"

namespace appd::zygote {
namespace {

LoadingEnd split_command(Rollout& rollout) {
  auto argv = split_words(rollout.load.command);
  if (!argv) {  // appd has checked it
    return message::LoadFailed{true, "the command " + argv.error().message, ""};
  }
  rollout.argv = std::move(argv).value();
  rollout.load.worker_class = kCommandClass;
  return message::Loaded{false, "", 0, kCommandClass, false};
}

// Empty: nothing is known against forks, or nobody asks.
std::string fork_hazard(const Rollout& rollout, const gateway::Hooks& hooks,
                        const std::vector<int>& own_descriptors, const char* culprit) {
  if (rollout.load.preload != message::Preload::Auto) return {};
  std::vector<int> own = rollout.descriptors();
  own.insert(own.end(), own_descriptors.begin(), own_descriptors.end());
  for (int fd : rollout.handover.descriptors()) own.push_back(fd);
  return hooks.fork_hazard(own, culprit);
}

LoadingEnd import_app(Rollout& rollout, gateway::PyRef& app, const gateway::Hooks& hooks,
                      const std::vector<int>& own_descriptors) {
  message::Load& load = rollout.load;
  net::TimePoint begin = net::steady_now();
  gateway::LoadedApp loaded = hooks.load(load);
  failpoint("zygote.loaded");
  if (!loaded.app) {
    return message::LoadFailed{loaded.not_found, std::move(loaded.summary),
                               std::move(loaded.traceback)};
  }
  app = std::move(loaded.app);
  load.worker_class = loaded.worker_class;
  std::string hazard = fork_hazard(rollout, hooks, own_descriptors, "the import");
  if (hazard.empty() && !load.warmup_paths.empty()) {
    hazard = hooks.warm_up(app.get(), load);
    if (hazard.empty()) {
      hazard = fork_hazard(rollout, hooks, own_descriptors, "the warm-up requests");
    }
  }
  if (!hazard.empty()) {
    if (load.preload == message::Preload::Auto) return Unforkable{std::move(hazard)};
    net::LogLine("warn", "fork_hazard").add("app", load.app).add("hazard", hazard);
  }
  auto took = std::chrono::duration_cast<std::chrono::milliseconds>(net::steady_now() - begin);
  return message::Loaded{true, "", static_cast<std::uint32_t>(took.count()), load.worker_class,
                         false};
}

}  // namespace

LoadingEnd load_code(Rollout& rollout, gateway::PyRef& app, const gateway::Hooks& hooks,
                     const std::vector<int>& own_descriptors) {
  if (!rollout.load.command.empty()) return split_command(rollout);
  if (rollout.load.preload == message::Preload::Off) return message::Loaded{};
  return import_app(rollout, app, hooks, own_descriptors);
}

void begin_again(const Rollout& rollout, const AppdLink& link, const gateway::Hooks& hooks,
                 const std::string& why) {
  auto pair = message::channel_pair();
  message::Load load = rollout.load;
  load.preload = message::Preload::Off;
  std::vector<int> descriptors = rollout.descriptors();
  descriptors.insert(descriptors.begin(), link.fd());
  if (!pair || !pair->first.send(load, descriptors) ||
      !pair->first.send(message::Loaded{false, why, 0, "", false})) {
    return;
  }
  if (int access = net::access_log_descriptor(); access >= 0) {
    (void)pair->first.send(message::Reopen{}, {{access}});
  }
  ::signal(SIGUSR1, SIG_IGN);  // until the handler is there again
  ::fcntl(link.control(), F_SETFD, 0);
  hooks.exec_again(pair->second.fd());
}

std::string resume(UniqueFd from, Rollout& rollout, AppdLink& link) {
  message::Channel channel(std::move(from));
  auto load = channel.receive();
  auto loaded = channel.receive();
  APPD_CHECK(load && loaded && load->descriptors.size() >= 2);
  // Descriptors 1 and 2 are what they were; the number of the access log's has to be learnt anew.
  if (auto logs = channel.receive(); logs && logs->descriptors.size() == 1) {
    net::replace_log_files(-1, logs->descriptors[0].release());
  }
  link.adopt(std::move(load->descriptors[0]));
  load->descriptors.erase(load->descriptors.begin());
  APPD_CHECK(rollout.take(std::get<message::Load>(std::move(load->message)),
                          std::move(load->descriptors)));
  return std::get<message::Loaded>(loaded->message).note;
}

}  // namespace appd::zygote
