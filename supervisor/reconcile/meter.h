// Meter: a thread that reads scoreboards and /proc, so that nobody who waits for the core thread or
// the API waits for that.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/scoreboard.h"
#include "supervisor/model/measurement.h"
#include "supervisor/store/ledger.h"

namespace appd::reconcile {

// What is to be read, as the core thread knows it at one moment: whatever ends later, its
// scoreboard stays.
struct Roster {
  struct Rollout {
    std::shared_ptr<const Scoreboard> board;  // null: it has none
    std::int32_t zygote = 0;                  // its pid; 0: it is gone
  };
  struct Worker {
    model::WorkerView view;  // without figures
    std::shared_ptr<const Scoreboard> board;
  };
  struct App {
    model::MeasuredApp app;  // with what ended rollouts have done
    std::vector<Rollout> rollouts;
    std::vector<Worker> workers;  // by id
  };
  std::vector<App> apps;  // by id
  model::CallCounts calls;
};

// Any thread may ask. Asleep until it is asked. Whatever it tells is in the ledger before.
class Meter {
 public:
  using Done = std::function<void(std::shared_ptr<const model::Measurement>)>;
  using Failed = std::function<void(const Error&)>;

  // `ledger` is a path. `failed` is called on the meter's thread when it cannot be written.
  Meter(std::string ledger, Failed failed);
  // Whoever has asked gets his answer before.
  ~Meter();

  // How far the rollout of a scoreboard, which goes on, had come when it was told of last. Before
  // anybody asks.
  void restore(const std::string& uid, std::uint64_t board, const model::Tally& told);

  // Calls `done` on the meter's thread. Those that ask while it reads get one answer together, by
  // the newest roster.
  void read(Roster roster, Done done);
  // For the ledger only, a moment later perhaps: the roster tells of something that has ended.
  void keep(Roster roster);

 private:
  void run();
  void remember(const store::Books& books);
  model::Measurement measure(const Roster& roster);
  void measure_app(const Roster::App& from, model::Measurement& to, store::AppBooks& books);

  // How long the processes of an app have run. The kernel tells it of those that are there, and of
  // a zygote's former children: what was read last of a rollout stays.
  struct Cpu {
    std::map<std::uint64_t, std::chrono::nanoseconds> rollouts;  // by scoreboard
    std::chrono::nanoseconds ended{0};
    // `now` has what is read of the rollouts that are there: what had been more already is put
    // right. The time of those that have ended is returned.
    std::chrono::nanoseconds settle(std::map<std::uint64_t, model::Tally>& now);
  };
  std::map<std::string, Cpu> cpu_;  // by the app's uid; the meter's thread only
  const std::string ledger_;
  const Failed failed_;
  bool has_failed_ = false;  // and said so

  std::mutex mutex_;  // guards what follows
  std::condition_variable asked_;
  std::optional<Roster> roster_;
  std::vector<Done> waiting_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace appd::reconcile
