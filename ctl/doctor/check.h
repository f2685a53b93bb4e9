// What `appctl doctor` finds: one Check for each thing that was looked at, in words for people and
// with the way out. The host is looked at where appctl runs, which is where appd is: it listens on
// unix sockets.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "appd/v1/apps.pb.h"
#include "appd/v1/system.pb.h"
#include "appd/v1/workers.pb.h"
#include "ctl/text.h"

namespace appd::ctl {

enum class Verdict { Ok, Warn, Fail };

struct Check {
  std::string subject;  // "host", or an app's id
  std::string name;     // "accept queue"
  Verdict verdict = Verdict::Ok;
  std::string finding;
  std::string advice;  // what to do; empty if there is nothing
};
using Checks = std::vector<Check>;

// What appd says; without an appd the host is looked at all the same.
struct Known {
  std::optional<v1::ServerInfo> server;
  std::vector<v1::App> apps;
  std::vector<v1::Worker> workers;
};

// Where the kernel's files are: "" but in tests.
Checks check_host(const Known& known, const std::string& root);
// host_limits.cc: what host and workers need of descriptors, processes, memory and queues.
void check_limits(const Known& known, const std::string& root, Checks& checks);
Checks check_app(const v1::App& app, const Known& known);

// "app  name  finding" with the verdict in front, the advice below, and the sums in the end. What
// is well is shown too.
std::string render_checks(std::span<const Check> checks, const Style& style);
// {"checks": […], "ok": 12, "warn": 1, "fail": 0}
std::string checks_json(std::span<const Check> checks);

// The user that a process runs as; nothing: it cannot be found out.
std::optional<unsigned> user_of(const std::string& root, std::int32_t pid);

}  // namespace appd::ctl
