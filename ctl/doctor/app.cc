// One app: its state, its directory, its interpreter and what the class needs of it, its addresses.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "common/unique_fd.h"
#include "ctl/doctor/check.h"
#include "ctl/doctor/interpreter.h"
#include "ctl/render.h"

namespace appd::ctl {
namespace {

namespace fs = std::filesystem;

bool stopped(const v1::App& app) { return app.spec().run_mode() == v1::AppSpec::STOPPED; }

Check check_state(const std::string& id, const v1::App& app) {
  const v1::AppObserved& observed = app.observed();
  Check check{id, "state", Verdict::Ok,
              words(v1::AppObserved::State_Name(observed.state())) + ", " +
                  std::to_string(observed.ready_workers()) + " of " +
                  std::to_string(app.spec().workers()) + " workers ready",
              ""};
  if (observed.state() == v1::AppObserved::FAILING) {
    check.verdict = Verdict::Fail;
    check.finding += ": " + observed.last_failure().message();
    check.advice =
        "appctl get " + id + " shows the traceback; appctl reload " + id + " tries again at once";
  } else if (!observed.last_death_reason().empty() && observed.unexpected_exits() > 0) {
    check.verdict = Verdict::Warn;
    check.finding += "; " + std::to_string(observed.unexpected_exits()) +
                     " workers have ended that nobody had asked to, the last one " +
                     observed.last_death_reason();
    check.advice = "appctl workers " + id + " --dead shows all of them";
  }
  return check;
}

void check_logs(const std::string& id, const v1::App& app, Checks& checks) {
  if (app.observed().log_lost_lines() == 0) return;
  checks.push_back({id, "logs", Verdict::Warn,
                    std::to_string(app.observed().log_lost_lines()) +
                        " lines could not be written: the disk was full",
                    "make room in " + fs::path(app.observed().log_path()).parent_path().string() +
                        ", or keep less (--log-max-size, --log-keep)"});
}

void check_limits(const std::string& id, const v1::App& app, Checks& checks) {
  const v1::AppSpec& spec = app.spec();
  if (spec.limit_memory() == 0 && spec.limit_memory_high() == 0 && spec.limit_cpu() == 0 &&
      spec.limit_pids() == 0) {
    return;
  }
  Check check{id, "limits", Verdict::Ok, "of memory, CPU and pids are kept by its cgroup", ""};
  if (!app.observed().limits_note().empty()) {
    check.verdict = Verdict::Warn;
    check.finding = "of memory, CPU or pids are not kept: " + app.observed().limits_note();
    check.advice =
        "give appd a cgroup of its own (operations.md, Limits of memory, CPU and pids), or take "
        "them away: appctl set " +
        id + " --reset limit_memory --reset limit_memory_high --reset limit_cpu --reset limit_pids";
  }
  checks.push_back(std::move(check));
}

// Whom its processes run as, which is appd's own user unless it names one.
unsigned user_of_app(const v1::App& app, unsigned appd) {
  const std::string& named = app.spec().user();
  if (named.empty()) return appd;
  if (const passwd* entry = ::getpwnam(named.c_str()); entry != nullptr) return entry->pw_uid;
  unsigned number = appd;
  std::from_chars(named.data(), named.data() + named.size(), number);
  return number;
}

Check check_directory(const std::string& id, const v1::App& app, unsigned user) {
  const std::string& path = app.spec().directory();
  Check check{id, "directory", Verdict::Ok, path, ""};
  struct stat status {};
  if (::stat(path.c_str(), &status) < 0) {
    const int error = errno;
    check.verdict = error == EACCES && ::geteuid() != user ? Verdict::Warn : Verdict::Fail;
    check.finding += ": " + std::string(std::strerror(error));
    check.advice = error == EACCES ? "its user must be able to enter it and what is above it"
                                   : "appctl set " + id + " --directory DIR";
  } else if (!S_ISDIR(status.st_mode)) {
    check.verdict = Verdict::Fail;
    check.finding += " is not a directory";
    check.advice = "appctl set " + id + " --directory DIR";
  } else if ((status.st_mode & S_IWOTH) != 0) {
    check.verdict = Verdict::Warn;
    check.finding += " may be written by anybody, and its code is run by appd";
    check.advice = "chmod o-w " + path;
  } else if (::geteuid() == user && ::access(path.c_str(), R_OK | X_OK) != 0) {
    check.verdict = Verdict::Fail;
    check.finding += " may not be read by its user";
    check.advice = "chmod or chown it so that uid " + std::to_string(user) + " may";
  }
  return check;
}

// What a class needs in the app's Python: the module, and Debian's package.
struct Library {
  std::string_view wanted_by;
  const char* module;
};
constexpr Library kLibraries[] = {
    {"gevent", "gevent"}, {"eventlet", "eventlet"}, {"tornado", "tornado"}, {"uvloop", "uvloop"}};

std::vector<std::string> needed_modules(const v1::App& app) {
  std::vector<std::string> modules;
  const std::string& observed = app.observed().worker_class();
  const std::string& served = observed.empty() ? app.spec().worker_class() : observed;
  for (const Library& library : kLibraries) {
    const bool loop = library.wanted_by == "uvloop" && app.spec().loop() == "uvloop";
    if (library.wanted_by == served || loop) modules.emplace_back(library.module);
  }
  return modules;
}

bool version_is_old(const std::string& version) {
  int major = 0;
  int minor = 0;
  const char* end = version.data() + version.size();
  const auto [dot, code] = std::from_chars(version.data(), end, major);
  if (code != std::errc() || dot == end) return true;
  std::from_chars(dot + 1, end, minor);
  return major < 3 || (major == 3 && minor < 11);
}

// "/srv/venv/bin/python points to /usr/bin/python3.10, which is not there"
Check missing_interpreter(const std::string& id, const std::string& python, int error) {
  Check check{id, "interpreter", Verdict::Fail, python + ": " + std::strerror(error), ""};
  std::error_code ignored;
  const fs::path path(python);
  const fs::path venv = path.parent_path().parent_path();
  const bool is_venv = fs::exists(venv / "pyvenv.cfg", ignored);
  if (fs::is_symlink(path, ignored)) {
    check.finding =
        python + " points to " + fs::read_symlink(path, ignored).string() + ", which is not there";
  }
  check.advice = is_venv
                     ? "make the virtual environment anew with a Python that is there: python3 "
                       "-m venv --clear " +
                           venv.string() + ", install the app's packages, then appctl reload " + id
                     : "install it, or appctl set " + id + " --python PATH";
  return check;
}

Check check_interpreter(const std::string& id, const v1::App& app, unsigned user) {
  const std::string& python = app.spec().python();
  if (::access(python.c_str(), X_OK) != 0) return missing_interpreter(id, python, errno);
  const std::vector<std::string> modules = needed_modules(app);
  const Result<Interpreter> found = ask_interpreter(python, user, modules);
  Check check{id, "interpreter", Verdict::Ok, python, ""};
  if (!found) {
    check.verdict = Verdict::Fail;
    check.finding += ": " + found.error().message;
    check.advice =
        "start it by hand (" + python +
        " -c 1); a virtual environment may have to be made anew (python3 -m venv --clear)";
    return check;
  }
  check.finding += ", " + found->implementation + " " + found->version;
  if (found->implementation != "cpython" || version_is_old(found->version)) {
    check.verdict = Verdict::Fail;
    check.finding += ": CPython 3.11 or later is needed";
    check.advice = "appctl set " + id + " --python PATH";
  } else if (found->free_threaded) {
    check.verdict = Verdict::Fail;
    check.finding +=
        " built without the GIL, for which there is no stable ABI: it cannot load "
        "appd's extension module";
    check.advice = "appctl set " + id + " --python PATH of a build with the GIL";
  } else if (!found->missing.empty()) {
    const bool own_path = app.spec().env().contains("PYTHONPATH");
    check.verdict = own_path ? Verdict::Warn : Verdict::Fail;
    check.finding += ", without " + found->missing.front() + ", which its class or loop needs" +
                     (own_path ? " (unless the app's PYTHONPATH has it, which is not shown)" : "");
    check.advice = python + " -m pip install " + found->missing.front() + ", or Debian's python3-" +
                   found->missing.front();
  }
  return check;
}

struct Endpoint {
  sockaddr_storage address{};
  socklen_t size = 0;
};

// "127.0.0.1:80", "[::1]:80"; appd has checked the form.
std::optional<Endpoint> endpoint_of(const std::string& bind) {
  const std::size_t colon = bind.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  std::string host = bind.substr(0, colon);
  std::uint16_t port = 0;
  const char* end = bind.data() + bind.size();
  if (std::from_chars(bind.data() + colon + 1, end, port).ptr != end) return std::nullopt;
  Endpoint endpoint;
  auto* four = reinterpret_cast<sockaddr_in*>(&endpoint.address);
  auto* six = reinterpret_cast<sockaddr_in6*>(&endpoint.address);
  if (host.size() > 2 && host.front() == '[') {
    host = host.substr(1, host.size() - 2);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    endpoint.size = sizeof(*six);
    if (::inet_pton(AF_INET6, host.c_str(), &six->sin6_addr) != 1) return std::nullopt;
    return endpoint;
  }
  four->sin_family = AF_INET;
  four->sin_port = htons(port);
  endpoint.size = sizeof(*four);
  if (::inet_pton(AF_INET, host.c_str(), &four->sin_addr) != 1) return std::nullopt;
  return endpoint;
}

// Of an app that holds no sockets: whether it could have them.
int try_to_bind(const Endpoint& endpoint) {
  const UniqueFd socket(::socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (endpoint.address.ss_family == AF_INET6) {
    ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
  }
  const auto* address = reinterpret_cast<const sockaddr*>(&endpoint.address);
  if (::bind(socket.get(), address, endpoint.size) < 0 || ::listen(socket.get(), 1) < 0) {
    return errno;
  }
  return 0;
}

void check_binds(const std::string& id, const v1::App& app, Checks& checks) {
  for (const std::string& bind : app.spec().bind()) {
    Check check{id, "address", Verdict::Ok, bind, ""};
    if (bind.starts_with("unix:")) {
      const fs::path folder = fs::path(bind.substr(5)).parent_path();
      std::error_code error;
      if (!fs::is_directory(folder, error)) {
        check.verdict = Verdict::Fail;
        check.finding += ": there is no directory " + folder.string();
        check.advice = "mkdir " + folder.string() + " (below /run: by a tmpfiles.d entry)";
      }
    } else if (const auto endpoint = endpoint_of(bind); endpoint && stopped(app)) {
      const int error = try_to_bind(*endpoint);
      const bool for_root = error == EACCES && ::geteuid() != 0;
      if (error != 0 && !for_root) {
        check.verdict = Verdict::Fail;
        check.finding += ": " + std::string(std::strerror(error)) + ", so it could not be started";
        check.advice = error == EADDRINUSE
                           ? "stop what holds it (ss -ltnp shows it), or choose another --bind"
                           : "give the host this address, or choose another --bind";
      }
    } else {
      check.finding += ", held by appd";
    }
    checks.push_back(std::move(check));
  }
}

}  // namespace

Checks check_app(const v1::App& app, const Known& known) {
  const std::string id(short_name(app.name()));
  const unsigned appd =
      known.server ? user_of("", known.server->pid()).value_or(::geteuid()) : ::geteuid();
  const unsigned user = user_of_app(app, appd);
  Checks checks{check_state(id, app), check_directory(id, app, user)};
  if (app.spec().command().empty()) checks.push_back(check_interpreter(id, app, user));
  check_binds(id, app, checks);
  check_logs(id, app, checks);
  check_limits(id, app, checks);
  return checks;
}

}  // namespace appd::ctl
