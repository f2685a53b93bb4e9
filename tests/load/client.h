// Client: N connections in a closed loop against one server, and what became of every request.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "tests/load/options.h"
#include "tests/load/report.h"
#include "tests/load/response_parser.h"

namespace appd::load {

using Clock = std::chrono::steady_clock;

// Runs in the calling thread. Blocks SIGTERM and SIGINT for good: they end the run.
class Client {
 public:
  explicit Client(Options options);
  ~Client();
  Result<void> run();
  const Report& report() const { return report_; }

 private:
  struct Outstanding {
    std::uint64_t number;
    Clock::time_point sent;
  };
  // What a connection waits for beside its socket.
  enum class Pause { None, Think, Retry, Chunk };
  struct Connection {
    UniqueFd socket;
    bool connecting = false;
    Pause pause = Pause::None;
    std::uint64_t timer = 0;  // of its newest timer; older ones in the queue are void
    std::deque<Outstanding> outstanding;
    std::string out;                // bytes still to be written
    std::uint64_t upload_left = 0;  // of the body, not yet in `out`
    std::uint64_t upload_at = 0;
    ResponseParser parser;
    bool wants_write = false;
    bool counted = false;  // has had its first answer
    std::string peer;      // the collected header's last value on this socket
  };
  struct Timer {
    Clock::time_point when;
    std::size_t connection;
    std::uint64_t id;
    bool operator>(const Timer& other) const { return when > other.when; }
  };

  Result<void> set_up();
  void wait_and_handle();
  void on_control();
  void on_socket(std::size_t index, std::uint32_t events);
  void on_timer(std::size_t index);
  void sweep_timeouts(Clock::time_point now);

  void open(std::size_t index);
  void connected(std::size_t index);
  void fill(std::size_t index);  // sends requests up to the depth
  void write(std::size_t index);
  void next_chunk(Connection& connection);
  void read(std::size_t index);
  void take_answer(std::size_t index);
  bool check_answer(const Outstanding& request, const Response& response, const std::string& peer);
  // The connection is over: requests outstanding have failed in this way, and it is opened anew.
  void lost(std::size_t index, Failure failure, const std::string& detail);
  void close(std::size_t index);
  void pause(std::size_t index, Pause why, std::chrono::milliseconds how_long);
  void want_write(std::size_t index, bool wanted);
  void stop();

  bool may_ask() const;  // neither told to stop nor at the last request
  std::uint64_t next_number();
  std::string request_head(std::uint64_t number) const;
  std::string upload_part(std::uint64_t from, std::uint64_t size) const;
  std::chrono::microseconds elapsed() const;
  void snapshot();

  Options options_;
  Report report_;
  UniqueFd epoll_;
  UniqueFd signals_;
  std::vector<Connection> connections_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::uint64_t timer_ids_ = 0;
  std::uint64_t numbers_ = 0;
  std::deque<std::uint64_t> again_;  // numbers to be asked again
  Clock::time_point start_;
  Clock::time_point last_answer_;
  Clock::time_point end_ = Clock::time_point::max();
  Clock::time_point next_sweep_;
  std::size_t in_flight_ = 0;  // requests outstanding over all connections
  std::size_t answered_connections_ = 0;
  bool stopping_ = false;
  std::vector<char> buffer_;
};

}  // namespace appd::load
