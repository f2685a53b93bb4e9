// Report: what a run of the load client counted, and its two forms, JSON and text. Values only.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace appd::load {

// The ways in which a request can fail, in the order of the report.
enum class Failure {
  Connect,
  Refused,
  Reset,
  Eof,
  Timeout,
  Status,
  Malformed,
  Body,
  Number,
  Count
};
std::string_view failure_name(Failure failure);

// Latencies in classes that are at most 1/32 wide relative to their value.
class Histogram {
 public:
  void add(std::chrono::microseconds value);
  void add(const Histogram& other);
  // The upper bound of the class that holds the given part (0..1) of all values.
  std::chrono::microseconds quantile(double part) const;
  std::chrono::microseconds max() const { return max_; }

 private:
  static constexpr unsigned kSteps = 32;
  static unsigned index(std::uint64_t value);
  static std::uint64_t upper(unsigned index);
  std::array<std::uint64_t, 64 * kSteps> counts_{};
  std::uint64_t total_ = 0;
  std::chrono::microseconds max_{0};
};

struct Report {
  struct Example {
    std::uint64_t number;  // of the request
    Failure failure;
    std::string detail;
    std::chrono::microseconds at;  // since the start
    std::string peer = {};         // the collected header's last value on its connection
  };
  std::uint64_t sent = 0;
  std::uint64_t ok = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(Failure::Count)> failures{};
  std::vector<Example> examples;  // the first so many
  std::size_t most_examples = 10;
  std::uint64_t connections_opened = 0;
  std::uint64_t closed_idle = 0;      // ended by the server with no request outstanding
  std::uint64_t reset_idle = 0;       // the same, by a reset
  std::uint64_t closed_politely = 0;  // an answer said Connection: close
  std::uint64_t resent = 0;           // pipelined behind such an answer, so asked again
  std::map<int, std::uint64_t> statuses;
  std::map<std::string, std::uint64_t> collected;  // values of the header named by --collect
  Histogram latency;
  std::chrono::microseconds duration{0};
  std::chrono::microseconds longest_silence{0};  // between two answers, over all connections

  std::uint64_t failed() const;
  void fail(Example example);
  std::string json() const;  // one line
  std::string text() const;
};

}  // namespace appd::load
