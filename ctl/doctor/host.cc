// The host: appd itself, its directories, the disk, the clock, cgroups and inotify.
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common/unique_fd.h"
#include "ctl/doctor/check.h"
#include "ctl/doctor/proc.h"

namespace appd::ctl {
namespace {

constexpr const char* kHost = "host";

void check_appd(const Known& known, const std::string& root, Checks& checks) {
  if (!known.server) return;  // the caller has said why it cannot be reached
  const v1::ServerInfo& server = *known.server;
  Check check{kHost, "appd", Verdict::Ok,
              server.version() + ", pid " + std::to_string(server.pid()), ""};
  const std::optional<unsigned> user = user_of(root, server.pid());
  if (user) check.finding += ", runs as uid " + std::to_string(*user);
  if (server.version() != APPD_VERSION) {
    check.verdict = Verdict::Warn;
    check.finding += "; this appctl is " APPD_VERSION;
    check.advice =
        "install the two of one version: flags and fields of the newer may be unknown "
        "to the other";
  }
  checks.push_back(std::move(check));
}

void check_directory(const std::string& what, const std::string& path, unsigned owner,
                     Checks& checks) {
  Check check{kHost, what, Verdict::Ok, path, ""};
  struct stat status {};
  if (::stat(path.c_str(), &status) < 0) {
    const int error = errno;
    check.verdict = error == EACCES ? Verdict::Warn : Verdict::Fail;
    check.finding += ": " + std::string(std::strerror(error));
    check.advice = error == EACCES ? "run appctl doctor as appd's user to have it looked at"
                                   : "something has removed it: restart appd, which makes it anew";
  } else if ((status.st_mode & 0077) != 0) {
    check.verdict = Verdict::Fail;
    check.finding += " is open to other users, and what is in there holds secrets or is a way in";
    check.advice = "chmod 700 " + path;
  } else if (status.st_uid != owner) {
    check.verdict = Verdict::Fail;
    check.finding += " belongs to uid " + std::to_string(status.st_uid) + ", not to appd's user";
    check.advice = "chown " + std::to_string(owner) + " " + path;
  }
  checks.push_back(std::move(check));
}

void check_disk(const std::string& path, Checks& checks) {
  constexpr std::uint64_t kTooLittle = 64ULL << 20;
  constexpr std::uint64_t kLittle = 1ULL << 30;
  struct statvfs disk {};
  Check check{kHost, "disk", Verdict::Ok, "", ""};
  if (::statvfs(path.c_str(), &disk) < 0) return;  // told of by check_directory()
  const std::uint64_t free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  check.finding = bytes_text(free) + " free for state and logs in " + path;
  const bool no_files = disk.f_files > 0 && disk.f_favail < 100;
  if (no_files) check.finding += ", and " + std::to_string(disk.f_favail) + " inodes";
  if (free < kTooLittle || no_files) {
    check.verdict = Verdict::Fail;
    check.advice = "make room: on a full disk changes are refused and lines of logs are lost";
  } else if (free < kLittle) {
    check.verdict = Verdict::Warn;
    check.advice =
        "make room, or keep less of the logs: appctl set NAME --log-max-size 16MiB "
        "--log-keep 2";
  }
  checks.push_back(std::move(check));
}

void check_clock(Checks& checks) {
  timex clock{};
  const int state = ::adjtimex(&clock);
  Check check{kHost, "clock", Verdict::Ok, "synchronised", ""};
  if (state < 0) return;  // not to be asked in here
  if (state == TIME_ERROR || (clock.status & STA_UNSYNC) != 0) {
    check.verdict = Verdict::Warn;
    check.finding = "not synchronised: times in logs and history may be wrong";
    check.advice = "run chrony or systemd-timesyncd (timedatectl set-ntp true)";
  }
  checks.push_back(std::move(check));
}

void check_cgroups(const std::string& root, Checks& checks) {
  const std::string controllers = kernel_text(root + "/sys/fs/cgroup/cgroup.controllers");
  Check check{kHost, "cgroups", Verdict::Ok, "version 2 with memory", ""};
  if (controllers.find("memory") == std::string::npos) {
    check.verdict = Verdict::Warn;
    check.finding = controllers.empty() ? "no cgroup version 2" : "no memory controller";
    check.finding +=
        ": limits of an app's memory, CPU and pids are not kept, what the kernel ends for want of "
        "memory "
        "is not told from a SIGKILL for sure, "
        "and the memory of a container is not known";
    check.advice =
        "boot with systemd.unified_cgroup_hierarchy=1, or give the container its own "
        "cgroup namespace";
  }
  checks.push_back(std::move(check));
}

void check_inotify(const std::string& root, Checks& checks) {
  constexpr std::uint64_t kFew = 128;
  const auto instances = kernel_number(root + "/proc/sys/fs/inotify/max_user_instances");
  const auto watches = kernel_number(root + "/proc/sys/fs/inotify/max_user_watches");
  if (!instances || !watches) return;
  Check check{
      kHost, "inotify", Verdict::Ok,
      std::to_string(*instances) + " instances and " + std::to_string(*watches) + " watches a user",
      ""};
  const UniqueFd one(::inotify_init1(IN_CLOEXEC));
  const bool used_up = !one && errno == EMFILE;
  if (used_up || *instances < kFew) {
    check.verdict = used_up ? Verdict::Fail : Verdict::Warn;
    if (used_up) check.finding += ", all of which are taken: logs are not rotated";
    check.advice = "sysctl -w fs.inotify.max_user_instances=1024, and write it to /etc/sysctl.d/";
  }
  checks.push_back(std::move(check));
}

}  // namespace

std::optional<unsigned> user_of(const std::string& root, std::int32_t pid) {
  struct stat status {};
  const std::string path = root + "/proc/" + std::to_string(pid);
  if (::stat(path.c_str(), &status) < 0) return std::nullopt;
  return status.st_uid;
}

Checks check_host(const Known& known, const std::string& root) {
  Checks checks;
  check_appd(known, root, checks);
  if (known.server) {
    const unsigned owner = user_of(root, known.server->pid()).value_or(::geteuid());
    check_directory("state", known.server->state_dir(), owner, checks);
    check_directory("runtime", known.server->runtime_dir(), owner, checks);
    check_disk(known.server->state_dir(), checks);
  }
  check_clock(checks);
  check_cgroups(root, checks);
  check_inotify(root, checks);
  check_limits(known, root, checks);
  return checks;
}

}  // namespace appd::ctl
