// What `appctl top` shows, and what its keys do: figures go in, lines come out. Pure: the terminal,
// the stream and the calls are elsewhere.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "appd/v1/stats.pb.h"
#include "ctl/text.h"

namespace appd::ctl {

enum class TopKey {
  Up,
  Down,
  PageUp,
  PageDown,
  First,
  Last,
  More,   // a worker more
  Fewer,  // a worker less
  Reload,
  Workers,  // shows them, or not
  Sort,     // by the next column
  Reverse,
  Help,
  Quit,
  Other,  // no key of ours
};

// The columns that rows can be sorted by.
enum class TopSort { Name, Busy, Rate, P99, Cpu, Memory };
inline constexpr int kTopSorts = 6;

// A change that a key asks for.
struct TopWish {
  enum class Kind { Scale, Reload };
  Kind kind = Kind::Reload;
  std::string app;
  std::int32_t workers = 0;  // of Scale
};

struct TopLine {
  std::string text;  // no wider than was asked for; nothing in it drives a terminal
  Colour colour = Colour::Plain;
  bool selected = false;

  bool operator==(const TopLine&) const = default;
};

// One thread.
class TopView {
 public:
  // `address` and the like, for the first line.
  explicit TopView(std::string where) : where_(std::move(where)) {}

  void take(v1::WatchStatsResponse stats);
  void set_sort(TopSort sort, bool workers);
  // Shown at the bottom until the next one.
  void note(std::string text) { note_ = std::move(text); }
  // Without a connection the last figures stay, and it is said that they are old.
  void set_connected(bool connected) { connected_ = connected; }
  std::optional<TopWish> press(TopKey key);
  // A change was refused or has failed: further ones begin at what is.
  void forget(const std::string& app) { asked_.erase(app); }
  bool quitting() const { return quitting_; }

  // Exactly `height` lines for a terminal of this size.
  std::vector<TopLine> screen(int width, int height) const;
  // Sums and table, without a selection and without an end. `width` 0: nothing is cut.
  std::vector<TopLine> table(int width) const;

 private:
  struct Row;
  std::vector<Row> rows() const;
  TopLine sums(int width) const;
  // `marked`: the column that is sorted by.
  std::vector<TopLine> lines_of(const std::vector<Row>& rows, int width, bool marked) const;
  std::vector<TopLine> help(int width) const;
  void move(std::ptrdiff_t by);
  const v1::AppStats* chosen_app() const;
  std::optional<TopWish> scale(std::int32_t by);

  std::string where_;
  v1::WatchStatsResponse stats_;
  bool any_ = false;
  bool connected_ = true;
  TopSort sort_ = TopSort::Name;
  bool reverse_ = false;
  bool workers_ = false;
  bool helping_ = false;
  bool quitting_ = false;
  std::string chosen_;  // the name of the row's app or worker; empty: the first
  std::string note_;
  std::map<std::string, std::int32_t> asked_;  // workers, by app, until that is what is wanted
};

// "412ms", "1.2s"; "-" for nothing.
std::string latency_text(bool known, const google::protobuf::Duration& latency);

}  // namespace appd::ctl
