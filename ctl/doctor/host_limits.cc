// What the apps ask of the host, against what it gives: descriptors, processes, accept queues and
// memory. Pure but for reading the kernel's files.
#include <algorithm>
#include <map>

#include "ctl/doctor/check.h"
#include "ctl/doctor/proc.h"
#include "ctl/render.h"

namespace appd::ctl {
namespace {

constexpr const char* kHost = "host";
// Of a worker besides its clients: listeners, logs, epoll, links, and some for the app.
constexpr std::uint64_t kOwnDescriptors = 100;

bool runs(const v1::App& app) { return app.spec().run_mode() != v1::AppSpec::STOPPED; }
bool in_a_loop(const std::string& worker_class) {
  return worker_class == "asgi" || worker_class == "gevent" || worker_class == "eventlet" ||
         worker_class == "tornado";
}

std::string id_of(const v1::App& app) { return std::string(short_name(app.name())); }

void check_descriptors(const Known& known, const std::string& limits, const std::string& root,
                       Checks& checks) {
  const auto most = soft_limit(limits, "Max open files");
  if (!most) return;
  std::uint64_t needed = 0;
  std::string by;
  for (const v1::App& app : known.apps) {
    if (!runs(app) || !app.spec().command().empty()) continue;
    const std::uint64_t clients = in_a_loop(app.observed().worker_class())
                                      ? static_cast<std::uint64_t>(app.spec().worker_connections())
                                      : static_cast<std::uint64_t>(app.spec().threads());
    if (clients + kOwnDescriptors <= needed) continue;
    needed = clients + kOwnDescriptors;
    by = id_of(app);
  }
  Check check{kHost, "descriptors", Verdict::Ok, std::to_string(*most) + " for each process", ""};
  constexpr std::uint64_t kIdleClients = 4096;
  if (*most < needed) {
    check.verdict = Verdict::Fail;
    check.finding += ", and a worker of " + by + " may need " + std::to_string(needed);
  } else if (*most < kIdleClients) {
    check.verdict = Verdict::Warn;
    check.finding += ": idle connections take one each, and a worker without one accepts nobody";
  }
  if (check.verdict != Verdict::Ok) {
    check.advice =
        "LimitNOFILE=65536 in appd's unit (ulimit -n 65536 before appd), restart appd, "
        "then reload the apps";
  }
  checks.push_back(std::move(check));
  const auto used = kernel_number(root + "/proc/sys/fs/file-nr");
  const auto host = kernel_number(root + "/proc/sys/fs/file-max");
  if (used && host && *used > *host / 10 * 9) {
    checks.push_back(
        {kHost, "open files", Verdict::Warn,
         std::to_string(*used) + " of " + std::to_string(*host) + " of the host are open",
         "sysctl -w fs.file-max=" + std::to_string(2 * *host)});
  }
}

void check_processes(const Known& known, const std::string& limits, Checks& checks) {
  const auto most = soft_limit(limits, "Max processes");
  if (!most) return;
  std::uint64_t needed = 0;
  for (const v1::App& app : known.apps) {
    if (!runs(app)) continue;
    // Twice, while a rollout replaces another; each with its monitor and the thread for stacks.
    needed += 2 * static_cast<std::uint64_t>(app.spec().workers()) *
              (static_cast<std::uint64_t>(app.spec().threads()) + 3);
  }
  Check check{kHost, "processes", Verdict::Ok,
              *most == UINT64_MAX ? "no limit" : std::to_string(*most) + " for appd's user", ""};
  if (*most < needed) {
    check.verdict = Verdict::Fail;
    check.finding +=
        ", and all apps may need " + std::to_string(needed) + " while they are reloaded";
    check.advice = "LimitNPROC and TasksMax in appd's unit (ulimit -u), then restart appd";
  }
  checks.push_back(std::move(check));
}

void check_queues(const Known& known, const std::string& root, Checks& checks) {
  const auto most = kernel_number(root + "/proc/sys/net/core/somaxconn");
  if (!most) return;
  Check check{kHost, "accept queue", Verdict::Ok, "net.core.somaxconn is " + std::to_string(*most),
              ""};
  for (const v1::App& app : known.apps) {
    const auto wanted = static_cast<std::uint64_t>(app.spec().backlog());
    if (!runs(app) || app.spec().bind().empty() || wanted <= *most) continue;
    check.verdict = Verdict::Warn;
    check.finding += ", less than the backlog of " + id_of(app) + ", " + std::to_string(wanted);
    check.advice =
        "sysctl -w net.core.somaxconn=" + std::to_string(std::max<std::uint64_t>(wanted, 4096)) +
        ", write it to /etc/sysctl.d/, and restart the app";
    break;
  }
  checks.push_back(std::move(check));
}

// The resident memory of all workers of each app; shared pages are counted with each.
std::map<std::string, std::uint64_t> memory_by_app(const Known& known) {
  std::map<std::string, std::uint64_t> sums;
  for (const v1::Worker& worker : known.workers) {
    const std::string_view name = short_name(worker.name());
    sums[std::string(name.substr(0, name.find('/')))] +=
        static_cast<std::uint64_t>(std::max<std::int64_t>(worker.memory(), 0));
  }
  return sums;
}

void check_memory(const Known& known, const std::string& root, Checks& checks) {
  const std::string text = kernel_text(root + "/proc/meminfo");
  const auto total = kibibytes_of(text, "MemTotal:");
  const auto available = kibibytes_of(text, "MemAvailable:");
  if (!total || !available) return;
  Check check{kHost, "memory", Verdict::Ok,
              bytes_text(*available) + " of " + bytes_text(*total) + " available", ""};
  const auto sums = memory_by_app(known);
  const auto largest = std::max_element(
      sums.begin(), sums.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (*available < *total / 20) {
    check.verdict = Verdict::Fail;
    check.advice =
        "fewer workers (appctl scale), a limit for those that grow (--max-memory), or "
        "more memory: the kernel's OOM killer is near";
  } else if (largest != sums.end() && largest->second > *available) {
    check.verdict = Verdict::Warn;
    check.finding += "; the workers of " + largest->first + " take up to " +
                     bytes_text(largest->second) + ", so a reload cannot have all of them twice";
    check.advice = "appctl set " + largest->first + " --max-surge 1 replaces one at a time";
  }
  checks.push_back(std::move(check));

  const auto mode = kernel_number(root + "/proc/sys/vm/overcommit_memory");
  const auto limit = kibibytes_of(text, "CommitLimit:");
  const auto committed = kibibytes_of(text, "Committed_AS:");
  if (!mode || !limit || !committed) return;
  Check overcommit{kHost, "overcommit", Verdict::Ok,
                   "vm.overcommit_memory is " + std::to_string(*mode), ""};
  if (*mode == 2) {
    const std::uint64_t left = *limit > *committed ? *limit - *committed : 0;
    overcommit.verdict = Verdict::Warn;
    overcommit.finding +=
        ": a fork needs as much as it could ever write, and " + bytes_text(left) + " are left";
    overcommit.advice = "sysctl -w vm.overcommit_memory=0, or a larger vm.overcommit_ratio";
  }
  checks.push_back(std::move(overcommit));
}

}  // namespace

void check_limits(const Known& known, const std::string& root, Checks& checks) {
  if (known.server) {
    const std::string limits =
        kernel_text(root + "/proc/" + std::to_string(known.server->pid()) + "/limits");
    check_descriptors(known, limits, root, checks);
    check_processes(known, limits, checks);
  }
  check_queues(known, root, checks);
  check_memory(known, root, checks);
}

}  // namespace appd::ctl
