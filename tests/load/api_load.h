// ApiLoad: clients of the control API, for its benchmark: callers in a closed loop, and watchers.
// The program ends with an error if a change is refused or a watcher cannot begin.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/load/report.h"

namespace appd::load {

struct CallLoad {
  std::string address;  // "unix:PATH"
  int clients = 1;      // each with a connection of its own and one call at a time
  std::chrono::seconds duration{5};
};

struct CallResult {
  std::uint64_t done = 0;
  std::map<std::string, std::uint64_t> failed;  // by what the status says
  std::chrono::microseconds duration{0};
  Histogram latency;
};

// GetApp of `app`, again and again.
CallResult get_calls(const CallLoad& load, const std::string& app);

// ScaleApp of one app per client, to and fro between `low` and `high` workers. Each answer means
// that the change is on disk, not that it has taken effect.
CallResult scale_calls(const CallLoad& load, const std::vector<std::string>& apps, int low,
                       int high);

struct WatchLoad {
  std::string address;
  int watchers = 200;  // each with a connection of its own
  int slow = 5;        // more of them, that read nothing until the storm is over
  int changes = 1000;  // ScaleApp calls, over all apps in turn
  int callers = 4;     // that make them, in a closed loop
  std::vector<std::string> apps;
  int low = 10;
  int high = 12;
};

struct WatchResult {
  std::chrono::microseconds duration{0};
  std::uint64_t changes = 0;         // answered
  std::uint64_t seen = 0;            // times that a watcher has seen one of them
  std::uint64_t missed = 0;          // and times that one has not, although its stream went on
  std::uint64_t messages = 0;        // to all watchers
  std::uint64_t watchers_ended = 0;  // of those that read
  std::map<std::string, std::uint64_t> slow_ended;  // how the slow ones ended, by ErrorInfo.reason
  Histogram to_watcher;  // from the call to its change at a watcher, each watcher and change
  Histogram to_last;     // from the call to its change at the last watcher
  Histogram answer;      // from the call to its answer
};

WatchResult watch_storm(const WatchLoad& load);

}  // namespace appd::load
