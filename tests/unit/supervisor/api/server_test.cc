// The server's sockets, its coming and going, and that nothing of it runs while nobody is there.
#include "supervisor/api/server.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "supervisor/model/address.h"
#include "tests/unit/supervisor/api/api_fixture.h"

namespace appd::api {
namespace {

namespace fs = std::filesystem;

class ServerTest : public ApiTest {
 protected:
  bool answers() {
    v1::ServerInfo info;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    context.set_wait_for_ready(true);
    return system()->GetServerInfo(&context, {}, &info).ok();
  }
  // A connection without gRPC.
  UniqueFd connect() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto where = model::to_socket_address(*model::parse_address("unix:" + path()));
    if (::connect(fd.get(), where.get(), where.length) != 0) return {};
    return fd;
  }
  // A socket at the path, bound by somebody else.
  UniqueFd foreign_socket(bool listening) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto where = model::to_socket_address(*model::parse_address("unix:" + path()));
    EXPECT_EQ(::bind(fd.get(), where.get(), where.length), 0);
    if (listening) {
      EXPECT_EQ(::listen(fd.get(), 1), 0);
    }
    return fd;
  }
  static std::size_t threads() {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator()));
  }
  static std::size_t descriptors() {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
  }
  // gRPC ends some of its threads in the background, and nothing tells when: look again and again.
  static bool reaches_threads(std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (threads() != count) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
};

TEST_F(ServerTest, TheSocketIsForItsOwnerOnlyUnderAnyUmask) {
  const mode_t before = ::umask(0);
  start();
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::lstat(path().c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_TRUE(answers());
}

TEST_F(ServerTest, TakesTheSocketAwayWhenItEnds) {
  start();
  EXPECT_TRUE(fs::exists(path()));
  server_->shutdown();
  EXPECT_FALSE(fs::exists(path()));
}

TEST_F(ServerTest, DoesNotTakeAwayASocketThatIsAnothersByNow) {
  start();
  fs::remove(path());
  const UniqueFd other = foreign_socket(false);
  server_->shutdown();
  EXPECT_TRUE(fs::exists(path()));
}

TEST_F(ServerTest, ReplacesASocketThatNobodyListensOn) {
  foreign_socket(true).reset();
  ASSERT_TRUE(fs::exists(path()));
  start();
  EXPECT_TRUE(answers());
}

TEST_F(ServerTest, NeverReplacesALiveSocket) {
  const UniqueFd other = foreign_socket(true);
  const std::string message = refused();
  EXPECT_NE(message.find("another process listens there"), std::string::npos) << message;
  EXPECT_NE(message.find(path()), std::string::npos) << message;
  EXPECT_TRUE(connect().valid());
}

TEST_F(ServerTest, RefusesWhatIsNoSocket) {
  std::ofstream(path()) << "precious";
  EXPECT_NE(refused().find("is no socket"), std::string::npos);
  EXPECT_EQ(fs::file_size(path()), 8u);
  fs::remove(path());
  fs::create_symlink("elsewhere", path());
  EXPECT_NE(refused().find("is no socket"), std::string::npos);
  fs::remove(path());
  fs::create_directory(path());
  EXPECT_NE(refused().find("is no socket"), std::string::npos);
}

TEST_F(ServerTest, RefusesAddressesThatItCannotServe) {
  const std::pair<std::string, const char*> cases[] = {
      {"127.0.0.1:7000", "ssh -L"},
      {"[::1]:7000", "ssh -L"},
      {"nonsense", "needs a host and a port"},
      {"unix:relative", "must be absolute"},
      {"unix:/" + std::string(120, 'x'), "at most 107 bytes"},
      {"unix:" + directory_ + "/absent/appd.sock", "No such file"},
  };
  for (const auto& [address, words] : cases) {
    info_.listen = {address};
    const std::string message = refused();
    EXPECT_NE(message.find(words), std::string::npos) << message;
  }
}

TEST_F(ServerTest, ListensOnEveryAddressOrOnNone) {
  const std::string second = directory_ + "/second.sock";
  info_.listen.push_back("unix:" + second);
  start();
  EXPECT_TRUE(answers());
  channel_ = grpc::CreateChannel("unix:" + second, grpc::InsecureChannelCredentials());
  EXPECT_TRUE(answers());
  channel_.reset();
  server_->shutdown();
  info_.listen.push_back("127.0.0.1:1");
  EXPECT_NE(refused(), "started");
  EXPECT_FALSE(fs::exists(path()));
  EXPECT_FALSE(fs::exists(second));
}

TEST_F(ServerTest, WithoutClientsNothingOfGrpcIsLeftRunning) {
  start(std::chrono::milliseconds(0));
  ASSERT_TRUE(reaches_threads(2));  // this one, and the one that waits for clients
  const std::size_t before = descriptors();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(answers());
    channel_.reset();
    ASSERT_TRUE(reaches_threads(2));
  }
  EXPECT_LE(descriptors(), before + 2);  // what gRPC keeps for the process
}

TEST_F(ServerTest, ClientsThatComeWhileTheLastOnesGoAreServed) {
  start(std::chrono::milliseconds(0));
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([this] {
      for (int j = 0; j < 25; ++j) {
        grpc::ChannelArguments own;
        own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        const auto stub = v1::System::NewStub(
            grpc::CreateCustomChannel("unix:" + path(), grpc::InsecureChannelCredentials(), own));
        v1::ServerInfo info;
        EXPECT_TRUE(
            call(stub, &v1::System::Stub::GetServerInfo, v1::GetServerInfoRequest(), &info).ok());
      }
    });
  }
  for (std::thread& client : clients) client.join();
}

TEST_F(ServerTest, AClientThatSpeaksNoHttp2IsDismissed) {
  start();
  const UniqueFd fd = connect();
  const std::string garbage = "GET / HTTP/1.0\r\n\r\n" + std::string(4096, '\xff');
  ASSERT_GT(::send(fd.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL), 0);
  char buffer[4096];
  ssize_t got = 0;
  while ((got = ::recv(fd.get(), buffer, sizeof(buffer), 0)) > 0) {
  }
  EXPECT_TRUE(answers());
}

TEST_F(ServerTest, MoreClientsThanAllowedWaitUntilOneGoes) {
  start();
  constexpr std::size_t kMost = 256;
  std::vector<UniqueFd> clients;
  const auto come = [this] {
    UniqueFd fd = connect();
    const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    EXPECT_GT(::send(fd.get(), preface.data(), preface.size(), MSG_NOSIGNAL), 0);
    return fd;
  };
  for (std::size_t i = 0; i < kMost; ++i) clients.push_back(come());
  // Each gets the server's first frame: all of them have been accepted.
  char frame[9];
  for (const UniqueFd& client : clients) {
    ASSERT_GT(::recv(client.get(), frame, sizeof(frame), 0), 0);
  }
  const UniqueFd late = come();  // in the backlog
  ASSERT_LT(::recv(late.get(), frame, sizeof(frame), MSG_DONTWAIT), 0);
  clients.erase(clients.begin());
  EXPECT_GT(::recv(late.get(), frame, sizeof(frame), 0), 0);
}

}  // namespace
}  // namespace appd::api
