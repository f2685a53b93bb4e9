// ShortServer: for clients that ask one thing and go. Bounded in connections, bytes and time, so
// that nobody who may connect can make it more.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "supervisor/runtime/listeners.h"
#include "supervisor/runtime/poller.h"

namespace appd::runtime {

// Owns its sockets, their files, and a thread that sleeps while nobody is connected.
class ShortServer {
 public:
  static constexpr std::size_t kMostClients = 32;       // more wait in the backlog
  static constexpr std::chrono::seconds kPatience{10};  // with one client, from its first moment

  // Called on the server's thread with all that a client has sent so far, until it answers. Then
  // the answer is sent and the connection ends. It sees to it that no client sends for ever.
  using Answer = std::function<std::optional<std::string>(std::string_view received)>;

  // Listens on all addresses ("127.0.0.1:9109", "unix:/path", whose mode is 0600) or on none.
  static Result<std::unique_ptr<ShortServer>> start(const std::vector<std::string>& addresses,
                                                    Answer answer,
                                                    std::chrono::milliseconds patience = kPatience);
  ~ShortServer();

 private:
  struct Client {
    UniqueFd socket;
    Poller::Time deadline;
    std::string received;
    std::string unsent;
    bool answered = false;
  };

  ShortServer(std::unique_ptr<Poller> poller, ListenerSet listeners, Answer answer,
              std::chrono::milliseconds patience);
  void run();
  void accept_some(int listener);
  void accept_more();
  void on_client(int fd);
  // Each answers whether the client stays.
  bool receive(Client& client);
  bool send(Client& client);
  void end(int fd);
  void end_overdue();

  std::unique_ptr<Poller> poller_;
  ListenerSet listeners_;
  const Answer answer_;
  const std::chrono::milliseconds patience_;
  std::map<int, Client> clients_;
  bool full_ = false;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace appd::runtime
