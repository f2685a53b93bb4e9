// appd-launch: becomes who the app runs as, within its limits, and then the app's interpreter. appd
// starts it; what cannot be done is said on standard error, the app's log, and ends with status
// 126.
//
//   appd-launch [OPTION…] -- PROGRAM ARGUMENT…
//
// All names are numbers by now: nobody is looked up here.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <vector>

namespace {

constexpr int kCannot = 126;  // as env(1) and sh(1) say it

struct Limit {
  int resource;
  rlim_t value;
};

struct Request {
  std::optional<uid_t> uid;  // with gid and groups, or not at all
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::vector<Limit> limits;
  bool no_new_privs = false;
  const char* cgroup = nullptr;  // its cgroup.procs
};

[[noreturn]] void fail(const char* what) {
  fprintf(stderr, "appd-launch: %s: %s\n", what, strerror(errno));
  exit(kCannot);
}

rlim_t number(const char* text) { return strtoull(text, nullptr, 10); }

std::vector<gid_t> numbers(const char* text) {
  std::vector<gid_t> all;
  while (*text != '\0') {
    char* end = nullptr;
    all.push_back(static_cast<gid_t>(strtoul(text, &end, 10)));
    text = *end == ',' ? end + 1 : end;
  }
  return all;
}

Request parse(int argc, char** argv) {
  enum Option { Uid = 1000, Gid, Groups, Umask, NoNewPrivs, Cgroup };
  const option options[] = {{"uid", required_argument, nullptr, Uid},
                            {"gid", required_argument, nullptr, Gid},
                            {"groups", required_argument, nullptr, Groups},
                            {"umask", required_argument, nullptr, Umask},
                            {"no-new-privs", no_argument, nullptr, NoNewPrivs},
                            {"cgroup", required_argument, nullptr, Cgroup},
                            {"nofile", required_argument, nullptr, RLIMIT_NOFILE},
                            {"nproc", required_argument, nullptr, RLIMIT_NPROC},
                            {"core", required_argument, nullptr, RLIMIT_CORE},
                            {"as", required_argument, nullptr, RLIMIT_AS},
                            {nullptr, 0, nullptr, 0}};
  Request request;
  for (int found = 0; (found = getopt_long(argc, argv, "+", options, nullptr)) != -1;) {
    switch (found) {
      case Uid:
        request.uid = static_cast<uid_t>(number(optarg));
        break;
      case Gid:
        request.gid = static_cast<gid_t>(number(optarg));
        break;
      case Groups:
        request.groups = numbers(optarg);
        break;
      case Umask:
        umask(static_cast<mode_t>(strtoul(optarg, nullptr, 8)));
        break;
      case NoNewPrivs:
        request.no_new_privs = true;
        break;
      case Cgroup:
        request.cgroup = optarg;
        break;
      case '?':
        exit(2);
      default:
        request.limits.push_back({found, number(optarg)});
    }
  }
  return request;
}

// All that it starts later is in it as well.
void join(const char* cgroup) {
  const int file = open(cgroup, O_WRONLY | O_CLOEXEC);
  if (file < 0 || write(file, "0", 1) != 1) fail(cgroup);
  close(file);
}

// Not even by a program with capabilities of its own can they come back.
void drop_capabilities() {
  for (unsigned long capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL && errno != EPERM) {
      fail("drop capabilities");
    }
  }
}

void become(const Request& request) {
  // While there are rights to do so, and to raise limits.
  if (request.cgroup != nullptr) join(request.cgroup);
  for (const Limit& limit : request.limits) {
    const rlimit both{limit.value, limit.value};
    if (setrlimit(static_cast<__rlimit_resource>(limit.resource), &both) != 0) {
      fail("set a resource limit");
    }
  }
  if (request.uid) {
    drop_capabilities();
    if (setgroups(request.groups.size(), request.groups.data()) != 0) fail("set the groups");
    if (setresgid(request.gid, request.gid, request.gid) != 0) fail("become the group");
    if (setresuid(*request.uid, *request.uid, *request.uid) != 0) fail("become the user");
  }
  if (request.no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    fail("give up new rights");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Request request = parse(argc, argv);
  char** program = argv + optind;
  if (*program == nullptr) {
    fprintf(stderr, "appd-launch: no program is given; appd starts this, not you\n");
    return 2;
  }
  become(request);
  if (access(".", R_OK | X_OK) != 0) fail("the app's user cannot read the app's directory");
  execv(*program, program);
  fail(*program);
}
