// Starting and stopping a zygote, and talking to it.
#include "tests/component/zygote_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cerrno>
#include <fstream>
#include <sstream>

namespace appd::test {
namespace {

constexpr int kDeadlineMs = 30'000;

sockaddr_un control_address(const std::filesystem::path& directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (directory / "control").string().copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

UniqueFd listen_tcp(std::uint16_t& port) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  APPD_CHECK(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  APPD_CHECK(::listen(socket.get(), 1024) == 0);
  APPD_CHECK(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port = ntohs(address.sin_port);
  return socket;
}

// In the fork: becomes the zygote as appd would start it. Only async-signal-safe calls.
[[noreturn]] void exec_zygote(const std::string& directory, const std::string& log, int control) {
  int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, 0);
  ::dup2(output, 1);
  ::dup2(output, 2);
  ::dup2(control, 3);
  ::close_range(4, ~0U, 0);
  if (::chdir(directory.c_str()) < 0) ::_exit(126);
  const char* arguments[] = {APPD_TEST_PYTHON,
                             "-P",
                             APPD_WORKER_DIRECTORY "/appd_zygote.py",
                             "zygote",
                             "test",
                             "rollout",
                             "7",
                             "--fd",
                             "3",
                             nullptr};
  const char* environment[] = {"PATH=/usr/bin:/bin", "PYTHONUNBUFFERED=1", "LANG=C.UTF-8", nullptr};
  ::execve(APPD_TEST_PYTHON, const_cast<char**>(arguments), const_cast<char**>(environment));
  ::_exit(127);
}

}  // namespace

const char* const kHelloApp = R"(
import os, time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(0.3)
    elif path == "/stuck":
        time.sleep(3600)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode() if path == "/pid" else b"hello"]
)";

ZygoteProcess::ZygoteProcess(const std::string& source) {
  std::string pattern = (std::filesystem::temp_directory_path() / "appd-zygote-XXXXXX").string();
  directory_ = ::mkdtemp(pattern.data());
  write("wsgi.py", source);
  listener_ = listen_tcp(port_);
  auto scoreboard = Scoreboard::create();
  APPD_CHECK(scoreboard.has_value());
  scoreboard_ = std::move(scoreboard).value();

  UniqueFd control(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address = control_address(directory_);
  APPD_CHECK(::bind(control.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  APPD_CHECK(::listen(control.get(), 4) == 0);
  std::string directory = directory_.string();
  std::string log = (directory_ / "log").string();
  pid_ = ::fork();
  if (pid_ == 0) exec_zygote(directory, log, control.get());
  connect();
}

ZygoteProcess::~ZygoteProcess() {
  if (pid_ > 0) {
    // Its workers die with their parent's link and the kill below; none may outlive the test.
    for (std::uint32_t worker = 0; worker < 64; ++worker) {
      pid_t pid = scoreboard_.slot(worker).pid.load();
      if (pid > 0) ::kill(pid, SIGKILL);
    }
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  if (testing::Test::HasFailure()) std::fprintf(stderr, "--- log\n%s---\n", log().c_str());
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void ZygoteProcess::write(const std::string& name, const std::string& content) {
  std::filesystem::create_directories((directory_ / name).parent_path());
  std::ofstream(directory_ / name) << content;
}

void ZygoteProcess::connect() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address = control_address(directory_);
  APPD_CHECK(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  link_ = message::Channel(std::move(socket));
  auto received = receive();
  ASSERT_TRUE(received.has_value());
  ASSERT_TRUE(std::holds_alternative<message::Hello>(received->message));
  hello_ = std::get<message::Hello>(received->message);
  hello_descriptors_ = received->descriptors.size();
}

void ZygoteProcess::load(message::Load load) {
  load.app = "test";
  load.rollout = 7;
  load.directory = directory_.string();
  int descriptors[] = {scoreboard_.fd(), listener_.get()};
  ASSERT_TRUE(link_.send(load, descriptors));
}

void ZygoteProcess::send(const message::Message& message) { ASSERT_TRUE(link_.send(message)); }

std::optional<message::Received> ZygoteProcess::receive() {
  pollfd readable{link_.fd(), POLLIN, 0};
  if (::poll(&readable, 1, kDeadlineMs) <= 0) return std::nullopt;
  auto received = link_.receive();
  if (!received) return std::nullopt;
  return std::move(received).value();
}

template <typename T>
T ZygoteProcess::expect() {
  auto received = receive();
  if (!received) {
    ADD_FAILURE() << "the zygote said nothing, or is gone";
  } else if (auto* wanted = std::get_if<T>(&received->message)) {
    return std::move(*wanted);
  } else {
    ADD_FAILURE() << "another message came: number " << received->message.index();
    if (auto* failed = std::get_if<message::LoadFailed>(&received->message)) {
      ADD_FAILURE() << failed->summary << "\n" << failed->traceback;
    }
  }
  return {};
}

template <typename T>
T ZygoteProcess::find() {
  while (auto received = receive()) {
    if (auto* wanted = std::get_if<T>(&received->message)) return std::move(*wanted);
  }
  ADD_FAILURE() << "the message did not come";
  return {};
}

#define APPD_FOR_MESSAGE(T)                      \
  template message::T ZygoteProcess::expect<>(); \
  template message::T ZygoteProcess::find<>();
APPD_FOR_MESSAGE(Loaded)
APPD_FOR_MESSAGE(LoadFailed)
APPD_FOR_MESSAGE(Forked)
APPD_FOR_MESSAGE(ForkFailed)
APPD_FOR_MESSAGE(Ready)
APPD_FOR_MESSAGE(BootFailed)
APPD_FOR_MESSAGE(Tuned)
APPD_FOR_MESSAGE(Exited)
APPD_FOR_MESSAGE(RunningOnce)
APPD_FOR_MESSAGE(RunOnceFailed)
#undef APPD_FOR_MESSAGE

void ZygoteProcess::serve(std::uint32_t workers, message::Settings settings,
                          message::Preload preload) {
  message::Load wanted;
  wanted.app_uri = "wsgi:app";
  wanted.settings = settings;
  wanted.preload = preload;
  load(wanted);
  expect<message::Loaded>();
  for (std::uint32_t worker = 1; worker <= workers; ++worker) send(message::Fork{worker});
  for (std::uint32_t worker = 1; worker <= workers; ++worker) find<message::Ready>();
}

std::string ZygoteProcess::log() const {
  std::ostringstream text;
  text << std::ifstream(directory_ / "log").rdbuf();
  return text.str();
}

int ZygoteProcess::wait_exit() {
  int status = 0;
  // A pidfd has a deadline, waitpid has none.
  UniqueFd ended(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  pollfd readable{ended.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, kDeadlineMs), 1) << "the zygote does not end";
  if (readable.revents == 0) return -1;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

}  // namespace appd::test
