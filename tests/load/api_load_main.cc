// apiload: load on appd's control API. Says what it has measured as one line of JSON.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/load/api_load.h"

namespace appd::load {
namespace {

using Json = nlohmann::json;

Json quantiles(const Histogram& histogram) {
  return {{"p50_us", histogram.quantile(0.5).count()},
          {"p99_us", histogram.quantile(0.99).count()},
          {"max_us", histogram.max().count()}};
}

Json to_json(const CallResult& result) {
  const double seconds = std::chrono::duration<double>(result.duration).count();
  return {{"done", result.done},
          {"failed", result.failed},
          {"seconds", seconds},
          {"per_second", static_cast<double>(result.done) / seconds},
          {"latency", quantiles(result.latency)}};
}

Json to_json(const WatchResult& result) {
  return {{"seconds", std::chrono::duration<double>(result.duration).count()},
          {"changes", result.changes},
          {"seen", result.seen},
          {"missed", result.missed},
          {"messages", result.messages},
          {"watchers_ended", result.watchers_ended},
          {"slow_ended", result.slow_ended},
          {"to_watcher", quantiles(result.to_watcher)},
          {"to_last", quantiles(result.to_last)},
          {"answer", quantiles(result.answer)}};
}

int run(int argc, char** argv) {
  CLI::App options("Load on appd's control API; one line of JSON says what was measured.");
  options.require_subcommand(1);
  CallLoad calls;
  WatchLoad storm;
  std::vector<std::string> apps;
  int seconds = 5;
  int low = 1;
  int high = 2;
  options.add_option("--address", calls.address, "unix:PATH")->required();
  options.add_option("--app", apps, "apps/NAME; may be repeated")->required();
  CLI::App* get = options.add_subcommand("get", "GetApp of the first app");
  CLI::App* scale = options.add_subcommand("scale", "ScaleApp, each client of an app of its own");
  CLI::App* watch = options.add_subcommand("watch", "Watch while ScaleApp is called on all apps");
  for (CLI::App* closed : {get, scale}) {
    closed->add_option("--clients", calls.clients)->capture_default_str();
    closed->add_option("--seconds", seconds)->capture_default_str();
  }
  for (CLI::App* changing : {scale, watch}) {
    changing->add_option("--low", low, "workers")->capture_default_str();
    changing->add_option("--high", high, "workers")->capture_default_str();
  }
  watch->add_option("--watchers", storm.watchers)->capture_default_str();
  watch->add_option("--slow", storm.slow, "watchers that do not read")->capture_default_str();
  watch->add_option("--changes", storm.changes)->capture_default_str();
  watch->add_option("--callers", storm.callers)->capture_default_str();
  CLI11_PARSE(options, argc, argv);
  calls.duration = std::chrono::seconds(seconds);
  Json said;
  if (*get) {
    said = to_json(get_calls(calls, apps.front()));
  } else if (*scale) {
    said = to_json(scale_calls(calls, apps, low, high));
  } else {
    storm.address = calls.address;
    storm.apps = apps;
    storm.low = low;
    storm.high = high;
    said = to_json(watch_storm(storm));
  }
  std::puts(said.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace appd::load

int main(int argc, char** argv) { return appd::load::run(argc, argv); }
