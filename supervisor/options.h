// Options: appd's command line and its defaults.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace appd {

struct Options {
  std::string state_dir;    // root: /var/lib/appd; else $XDG_STATE_HOME/appd
  std::string runtime_dir;  // root: /run/appd; else $XDG_RUNTIME_DIR/appd
  std::vector<std::string> listen;
  std::vector<std::string> clients;         // "NAME=ROLE[:APP,APP]"
  double change_rate = 100;                 // changes a second of each caller; 0: no limit
  std::vector<std::string> metrics_listen;  // empty: metrics are not served
  std::string statsd_host;                  // empty: nothing is sent
  std::string statsd_prefix = "{app}";
  std::string cgroup;  // whose children are the apps'; empty: the one that appd is in
  std::string log_level = "info";
  bool keep_on_term = false;  // SIGTERM ends appd only
  bool check = false;         // only say whether it could begin
};

// Fills in the defaults of this user. When the command line is wrong or asks for help, says so
// and returns the status to exit with.
struct ParsedOptions {
  Options options;
  std::optional<int> exit_status;
};
ParsedOptions parse_options(int argc, char** argv);

}  // namespace appd
