// Counting and printing.
#include "tests/load/report.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <numeric>

namespace appd::load {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c >= 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", c);
      out += escaped;
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + '"';
}

std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3f", value);
  return text;
}

double milliseconds(std::chrono::microseconds value) {
  return static_cast<double>(value.count()) / 1000;
}
double seconds(std::chrono::microseconds value) { return static_cast<double>(value.count()) / 1e6; }

// Collects "name": value pairs of one JSON object.
class Object {
 public:
  Object& raw(std::string_view name, std::string_view value) {
    text_ += (text_.size() > 1 ? ", " : "") + quoted(name) + ": " + std::string(value);
    return *this;
  }
  Object& count(std::string_view name, std::uint64_t value) {
    return raw(name, std::to_string(value));
  }
  Object& real(std::string_view name, double value) { return raw(name, decimal(value)); }
  std::string end() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

}  // namespace

std::string_view failure_name(Failure failure) {
  switch (failure) {
    case Failure::Connect:
      return "connect";
    case Failure::Refused:
      return "refused";
    case Failure::Reset:
      return "reset";
    case Failure::Eof:
      return "eof";
    case Failure::Timeout:
      return "timeout";
    case Failure::Status:
      return "status";
    case Failure::Malformed:
      return "malformed";
    case Failure::Body:
      return "body";
    case Failure::Number:
      return "number";
    case Failure::Count:
      break;
  }
  return "";
}

// Values below kSteps have a class each; above, every power of two is cut into kSteps / 2 of them.
unsigned Histogram::index(std::uint64_t value) {
  if (value < kSteps) return static_cast<unsigned>(value);
  auto shift = static_cast<unsigned>(std::bit_width(value)) -
               static_cast<unsigned>(std::bit_width(kSteps - 1));
  return static_cast<unsigned>(value >> shift) + shift * (kSteps / 2);
}

std::uint64_t Histogram::upper(unsigned index) {
  if (index < kSteps) return index;
  unsigned shift = index / (kSteps / 2) - 1;
  std::uint64_t mantissa = index - shift * (kSteps / 2);
  return ((mantissa + 1) << shift) - 1;
}

void Histogram::add(std::chrono::microseconds value) {
  ++counts_[index(static_cast<std::uint64_t>(std::max<std::int64_t>(value.count(), 0)))];
  ++total_;
  max_ = std::max(max_, value);
}

void Histogram::add(const Histogram& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  total_ += other.total_;
  max_ = std::max(max_, other.max_);
}

std::chrono::microseconds Histogram::quantile(double part) const {
  auto wanted = static_cast<std::uint64_t>(part * static_cast<double>(total_));
  std::uint64_t seen = 0;
  for (unsigned i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen > wanted) return std::min(max_, std::chrono::microseconds(upper(i)));
  }
  return max_;
}

std::uint64_t Report::failed() const {
  return std::accumulate(failures.begin(), failures.end(), std::uint64_t{0});
}

void Report::fail(Example example) {
  ++failures[static_cast<std::size_t>(example.failure)];
  if (examples.size() < most_examples) examples.push_back(std::move(example));
}

std::string Report::json() const {
  Object kinds;
  for (std::size_t i = 0; i < failures.size(); ++i) {
    if (failures[i] != 0) kinds.count(failure_name(static_cast<Failure>(i)), failures[i]);
  }
  Object by_status;
  for (auto [status, count] : statuses) by_status.count(std::to_string(status), count);
  Object by_value;
  for (const auto& [value, count] : collected) by_value.count(value, count);
  std::string list;
  for (const auto& example : examples) {
    list += (list.empty() ? "" : ", ") + Object()
                                             .count("number", example.number)
                                             .raw("failure", quoted(failure_name(example.failure)))
                                             .raw("detail", quoted(example.detail))
                                             .raw("peer", quoted(example.peer))
                                             .real("at_s", seconds(example.at))
                                             .end();
  }
  std::string latencies = Object()
                              .real("p50", milliseconds(latency.quantile(0.5)))
                              .real("p90", milliseconds(latency.quantile(0.9)))
                              .real("p99", milliseconds(latency.quantile(0.99)))
                              .real("p999", milliseconds(latency.quantile(0.999)))
                              .real("max", milliseconds(latency.max()))
                              .end();
  double took = seconds(duration);
  return Object()
      .count("sent", sent)
      .count("ok", ok)
      .count("failed", failed())
      .raw("failures", kinds.end())
      .raw("examples", "[" + list + "]")
      .raw("statuses", by_status.end())
      .raw("collected", by_value.end())
      .count("connections_opened", connections_opened)
      .count("closed_politely", closed_politely)
      .count("closed_idle", closed_idle)
      .count("reset_idle", reset_idle)
      .count("resent", resent)
      .real("duration_s", took)
      .real("requests_per_s", took > 0 ? static_cast<double>(ok) / took : 0)
      .raw("latency_ms", latencies)
      .real("longest_silence_ms", milliseconds(longest_silence))
      .end();
}

std::string Report::text() const {
  double took = seconds(duration);
  std::string out = std::to_string(ok) + " answers in " + decimal(took) + " s (" +
                    decimal(took > 0 ? static_cast<double>(ok) / took : 0) +
                    " a second), failed=" + std::to_string(failed()) + "\nlatency ms: p50 " +
                    decimal(milliseconds(latency.quantile(0.5))) + "  p99 " +
                    decimal(milliseconds(latency.quantile(0.99))) + "  max " +
                    decimal(milliseconds(latency.max())) + "; longest silence " +
                    decimal(milliseconds(longest_silence)) +
                    "\nconnections: " + std::to_string(connections_opened) + " opened, " +
                    std::to_string(closed_politely) + " closed by Connection: close, " +
                    std::to_string(closed_idle) + " while idle\n";
  for (const auto& example : examples) {
    out += "  request " + std::to_string(example.number) + " failed after " +
           decimal(seconds(example.at)) + " s: " + std::string(failure_name(example.failure)) +
           " " + example.detail + "\n";
  }
  return out;
}

}  // namespace appd::load
