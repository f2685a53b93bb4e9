// The command line of appd, by CLI11.
#include "supervisor/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

namespace appd {
namespace {

std::string from_environment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value == '/' ? value : otherwise;
}

// XDG Base Directory Specification, for whoever is not root.
void fill_defaults(Options& options) {
  bool root = ::geteuid() == 0;
  if (options.state_dir.empty()) {
    std::string home = from_environment("HOME", "/tmp");
    options.state_dir = root ? "/var/lib/appd"
                             : from_environment("XDG_STATE_HOME", home + "/.local/state") + "/appd";
  }
  if (options.runtime_dir.empty()) {
    std::string own = "/tmp/appd-" + std::to_string(::geteuid());
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    bool has_runtime = runtime != nullptr && *runtime == '/';
    options.runtime_dir = root ? "/run/appd" : has_runtime ? std::string(runtime) + "/appd" : own;
  }
  // The interpreters of apps run elsewhere: no path may depend on where appd was started.
  options.state_dir = std::filesystem::absolute(options.state_dir).lexically_normal().string();
  options.runtime_dir = std::filesystem::absolute(options.runtime_dir).lexically_normal().string();
  if (!options.cgroup.empty()) {
    options.cgroup = std::filesystem::absolute(options.cgroup).lexically_normal().string();
  }
  if (options.listen.empty()) options.listen = {"unix:" + options.runtime_dir + "/appd.sock"};
}

}  // namespace

ParsedOptions parse_options(int argc, char** argv) {
  CLI::App app{"appd runs the Python web applications of this host. Control it with appctl.",
               "appd"};
  ParsedOptions parsed;
  Options& options = parsed.options;
  app.add_option(
         "--state-dir", options.state_dir,
         "where what was asked for is kept (root: /var/lib/appd, else $XDG_STATE_HOME/appd)")
      ->type_name("DIR");
  app.add_option("--runtime-dir", options.runtime_dir,
                 "where sockets are (root: /run/appd, else $XDG_RUNTIME_DIR/appd)")
      ->type_name("DIR");
  app.add_option(
         "--listen", options.listen,
         "where the API listens: unix:PATH[,role=viewer|deployer|admin][,mode=0660][,owner=USER]"
         "[,group=GROUP] (default: appd.sock in the runtime directory, role admin, mode "
         "0600), or with TLS HOST:PORT,cert=FILE,key=FILE[,client_ca=FILE][,role=ROLE]; may be "
         "repeated")
      ->type_name("ADDRESS");
  app.add_option("--client", options.clients,
                 "what the owner of a certificate that client_ca has signed may do: "
                 "NAME=ROLE[:APP,APP], NAME being a URI or DNS name of the certificate, or its "
                 "common name if it has none of them; may be repeated")
      ->type_name("RULE");
  app.add_option("--change-rate", options.change_rate,
                 "how many changes a second each caller of the API may make, ten seconds' worth of "
                 "them at once; 0: no limit")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str()
      ->type_name("NUMBER");
  app.add_option("--metrics-listen", options.metrics_listen,
                 "where Prometheus' metrics are served, at /metrics, to whoever can connect: "
                 "HOST:PORT or unix:PATH (default: nowhere); may be repeated")
      ->type_name("ADDRESS");
  app.add_option("--statsd-host", options.statsd_host,
                 "where statsd listens, by UDP: it is sent gunicorn's metrics once a second "
                 "(default: nowhere)")
      ->type_name("HOST:PORT");
  app.add_option("--statsd-prefix", options.statsd_prefix,
                 "what their names begin with; {app} is the app's name")
      ->capture_default_str()
      ->type_name("PREFIX");
  app.add_option("--cgroup", options.cgroup,
                 "the cgroup below which each app gets its own, for limits of memory, CPU "
                 "and pids "
                 "(default: the one that appd is started in)")
      ->type_name("DIR");
  app.add_option("--log-level", options.log_level, "trace, debug, info, warn or error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}))
      ->capture_default_str()
      ->type_name("LEVEL");
  std::string on_term = "drain";
  app.add_option("--on-term", on_term,
                 "what SIGTERM does with the apps: drain them, or keep them running for the next "
                 "appd")
      ->check(CLI::IsMember({"drain", "keep"}))
      ->capture_default_str()
      ->type_name("drain|keep");
  app.add_flag("--check", options.check,
               "say whether this binary could serve the state directory, change nothing, and end");
  app.set_version_flag("--version", "appd " APPD_VERSION);
  app.footer(
      "Signals: SIGTERM as --on-term says; SIGINT drains all apps and ends, a second one at once;\n"
      "SIGQUIT ends and keeps the apps running; SIGUSR1 reopens logs; SIGUSR2 loads appd's binary "
      "anew.\n"
      "Example: appd --state-dir ./state --runtime-dir ./run --listen unix:$PWD/run/appd.sock");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    parsed.exit_status = app.exit(error) == 0 ? 0 : 2;
  }
  options.keep_on_term = on_term == "keep";
  fill_defaults(options);
  return parsed;
}

}  // namespace appd
