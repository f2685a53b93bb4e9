// posix_spawn(3) with everything that a clean start needs.
#include "supervisor/runtime/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include "common/zygote_environment.h"
#include "supervisor/runtime/identity.h"
#include "supervisor/runtime/spawn_parts.h"

namespace appd::runtime {
namespace {

// The same at boot and at the hundredth restart: nothing of the administrator's shell.
std::map<std::string, std::string> environment(const SpawnRequest& request,
                                               const Identity& identity) {
  const model::AppSpec& spec = request.spec;
  std::filesystem::path bin = std::filesystem::path(spec.python).parent_path();
  std::map<std::string, std::string> env;
  env["PATH"] = bin.string() + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  env["LANG"] = "C.UTF-8";
  env["PYTHONUNBUFFERED"] = "1";  // stdout is a file: a killed worker must not take its lines along
  if (!identity.name.empty()) {
    env["HOME"] = identity.home;
    env["USER"] = env["LOGNAME"] = identity.name;
  }
  std::error_code ignored;
  if (std::filesystem::exists(bin.parent_path() / "pyvenv.cfg", ignored)) {
    env["VIRTUAL_ENV"] = bin.parent_path().string();
  }
  for (const auto& [name, value] : spec.env) env[name] = value;
  env[kZygoteVariable] = request.token;
  if (const char* points = std::getenv("APPD_FAILPOINTS")) env["APPD_FAILPOINTS"] = points;
  return env;
}

std::vector<std::string> launch_options(const SpawnRequest& request, const Identity& identity) {
  const model::AppSpec& spec = request.spec;
  std::vector<std::string> options{"--umask", spec.umask};
  if (!request.cgroup.empty()) options.insert(options.end(), {"--cgroup", request.cgroup});
  const auto add = [&options](const char* name, std::int64_t value) {
    options.emplace_back(name);
    options.push_back(std::to_string(value));
  };
  if (identity.changes) {
    add("--uid", identity.uid);
    add("--gid", identity.gid);
    std::string groups;
    for (gid_t group : identity.groups) groups += std::to_string(group) + ",";
    options.insert(options.end(), {"--groups", groups});
  }
  if (spec.no_new_privs) options.emplace_back("--no-new-privs");
  const std::pair<const char*, std::int64_t> limits[] = {{"--nofile", spec.limit_nofile},
                                                         {"--nproc", spec.limit_nproc},
                                                         {"--core", spec.limit_core},
                                                         {"--as", spec.limit_as}};
  for (const auto& [name, value] : limits) {
    if (value != model::kNoLimitGiven) add(name, value);
  }
  return options;
}

class Attributes {
 public:
  Attributes() {
    ::posix_spawnattr_init(&attributes_);
    sigset_t none;
    ::sigemptyset(&none);
    sigset_t all;
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setflags(&attributes_,
                               POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~Attributes() { ::posix_spawnattr_destroy(&attributes_); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  posix_spawnattr_t* get() { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

}  // namespace

Result<PidRef> spawn_zygote(const SpawnRequest& request) {
  const Identity identity = TRY(identity_of(request.spec.user, request.spec.group));
  const std::string launch =
      (std::filesystem::path(request.bootstrap).parent_path() / "appd-launch").string();
  std::vector<std::string> arguments = launch_options(request, identity);
  arguments.insert(arguments.begin(), launch);
  // The words after the script are for whoever reads ps(1).
  arguments.insert(arguments.end(),
                   {"--", request.spec.python, "-P", request.bootstrap, "zygote", request.app,
                    "rollout", std::to_string(request.rollout), "--fd", "3"});
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment(request, identity)) {
    variables.push_back(name + "=" + value);
  }

  FileActions files;
  ::posix_spawn_file_actions_addopen(files.get(), 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(files.get(), request.log, 1);
  ::posix_spawn_file_actions_adddup2(files.get(), request.log, 2);
  ::posix_spawn_file_actions_adddup2(files.get(), request.control, 3);
  ::posix_spawn_file_actions_addclosefrom_np(files.get(), 4);
  ::posix_spawn_file_actions_addchdir_np(files.get(), request.spec.directory.c_str());
  Attributes attributes;

  pid_t pid = 0;
  int failed = ::posix_spawn(&pid, launch.c_str(), files.get(), attributes.get(),
                             pointers(arguments).data(), pointers(variables).data());
  if (failed != 0) {
    return sys_error("SPAWN_FAILED",
                     "start " + request.spec.python + " in " + request.spec.directory, failed);
  }
  return PidRef::open_own_child(pid);
}

}  // namespace appd::runtime
