// Exposition: Prometheus' text format, version 0.0.4, a family after the other. Pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace appd::metrics {

using Label = std::pair<std::string_view, std::string_view>;

// Writes to a text of its own. A family is begun once and its samples follow.
class Exposition {
 public:
  // `help` is one line.
  void counter(std::string_view name, std::string_view help) { family(name, help, "counter"); }
  void gauge(std::string_view name, std::string_view help) { family(name, help, "gauge"); }
  void histogram(std::string_view name, std::string_view help) { family(name, help, "histogram"); }

  void sample(std::initializer_list<Label> labels, std::int64_t value);
  void sample(std::initializer_list<Label> labels, std::uint64_t value);
  void sample(std::initializer_list<Label> labels, double value);
  // buckets[i] are those of at most `unit` * 2^i seconds and more than half of that; the last one
  // has no bound. Those below `first` are shown as one.
  void samples(Label label, std::span<const std::uint64_t> buckets, double unit, std::size_t first,
               double sum);

  std::string take() { return std::move(text_); }

 private:
  void family(std::string_view name, std::string_view help, std::string_view type);
  void put_labels(std::string_view suffix, std::span<const Label> labels);
  void put_value(double value);

  std::string text_;
  std::string name_;
};

}  // namespace appd::metrics
