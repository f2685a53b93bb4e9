// A zygote under test, with this process in the place of appd.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/messages.h"
#include "common/scoreboard.h"

namespace appd::test {

// Owns the process, its directory, its listening socket and the link. Everything is gone with it.
class ZygoteProcess {
 public:
  // `source` becomes wsgi.py in the app's directory.
  explicit ZygoteProcess(const std::string& source);
  ~ZygoteProcess();
  ZygoteProcess(const ZygoteProcess&) = delete;
  ZygoteProcess& operator=(const ZygoteProcess&) = delete;

  // As a new appd: connects and takes Hello, which is kept below.
  void connect();
  void disconnect() { link_.close(); }
  void load(message::Load load);  // directory and app are filled in
  void send(const message::Message& message);
  // The next message of this kind, with a deadline; others before it fail the test.
  template <typename T>
  T expect();
  // The same, but others before it are passed over.
  template <typename T>
  T find();
  // Loads "wsgi:app" with the settings, forks workers 1..n and waits until all are ready.
  void serve(std::uint32_t workers, message::Settings settings = {},
             message::Preload preload = message::Preload::Auto);

  std::uint16_t port() const { return port_; }
  pid_t pid() const { return pid_; }
  const message::Hello& hello() const { return hello_; }
  std::size_t hello_descriptors() const { return hello_descriptors_; }
  ScoreboardSlot& slot(std::uint32_t worker) { return scoreboard_.slot(worker); }
  std::string log() const;
  const std::filesystem::path& directory() const { return directory_; }
  void write(const std::string& name, const std::string& content);
  // Waits until the process has ended; its wait status.
  int wait_exit();

 private:
  std::optional<message::Received> receive();

  std::filesystem::path directory_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  Scoreboard scoreboard_;
  pid_t pid_ = -1;
  message::Channel link_;
  message::Hello hello_;
  std::size_t hello_descriptors_ = 0;
};

// The plainest app: "/" says hello, "/pid" its process id.
extern const char* const kHelloApp;

}  // namespace appd::test
