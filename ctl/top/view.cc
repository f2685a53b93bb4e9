// Rows from figures, columns from the width: the least important ones go first.
#include "ctl/top/view.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <tuple>

#include "ctl/render.h"

namespace appd::ctl {
namespace {

struct TopColumn {
  const char* header;
  bool right;
  int worth;  // the smallest goes first when it is narrow
  std::optional<TopSort> sort;
};

enum : std::size_t {
  kName,
  kState,
  kClass,
  kWorkers,
  kThreads,
  kBusy,
  kQueue,
  kRate,
  kErrors,
  kP50,
  kP99,
  kCpu,
  kMemory,
  kRestarts,
  kColumns,
};
constexpr std::array<TopColumn, kColumns> kTable{{{"APP", false, 100, TopSort::Name},
                                                  {"STATE", false, 95, {}},
                                                  {"CLASS", false, 20, {}},
                                                  {"WORKERS", true, 90, {}},
                                                  {"THREADS", true, 10, {}},
                                                  {"BUSY", true, 80, TopSort::Busy},
                                                  {"QUEUE", true, 40, {}},
                                                  {"REQ/S", true, 85, TopSort::Rate},
                                                  {"ERR/S", true, 60, {}},
                                                  {"P50", true, 30, {}},
                                                  {"P99", true, 75, TopSort::P99},
                                                  {"CPU", true, 70, TopSort::Cpu},
                                                  {"MEMORY", true, 65, TopSort::Memory},
                                                  {"RESTARTS", true, 50, {}}}};

constexpr const char* kKeys =
    "q quit  h help  ↑↓ select  + - scale  r reload  w show workers  s sort";

std::string number_text(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), value > 0 && value < 10 ? "%.1f" : "%.0f", value);
  return text.data();
}

std::string percent_text(double processors) { return number_text(processors * 100) + "%"; }

double seconds_of(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + static_cast<double>(duration.nanos()) / 1e9;
}

std::string app_of(std::string_view name) {
  name = short_name(name);
  return std::string(name.substr(0, name.find('/')));
}

Colour colour_of(v1::AppObserved::State state) {
  if (state == v1::AppObserved::FAILING) return Colour::Red;
  if (state == v1::AppObserved::STOPPED) return Colour::Dim;
  return state == v1::AppObserved::ACTIVE ? Colour::Plain : Colour::Yellow;
}

// What both kinds of rows have.
template <typename Stats>
void fill_traffic(const Stats& stats, bool rates, std::array<std::string, kColumns>& cells) {
  const v1::Traffic& traffic = stats.traffic();
  cells[kBusy] = std::to_string(traffic.busy());
  cells[kRate] = rates ? number_text(traffic.requests_per_second()) : "-";
  cells[kErrors] = rates ? number_text(traffic.errors_per_second()) : "-";
  cells[kP50] = latency_text(traffic.has_p50(), traffic.p50());
  cells[kP99] = latency_text(traffic.has_p99(), traffic.p99());
  cells[kCpu] = rates ? percent_text(stats.cpu()) : "-";
  cells[kMemory] =
      stats.memory() > 0 ? bytes_text(static_cast<std::uint64_t>(stats.memory())) : "-";
}

}  // namespace

struct TopView::Row {
  std::string name;  // of the app or worker, as the API has it
  bool is_app = true;
  std::array<std::string, kColumns> cells;
  Colour colour = Colour::Plain;
};

std::string latency_text(bool known, const google::protobuf::Duration& latency) {
  if (!known) return "-";
  const double seconds = seconds_of(latency);
  std::array<char, 32> text{};
  if (seconds < 0.01) {
    std::snprintf(text.data(), text.size(), "%.1fms", seconds * 1000);
  } else if (seconds < 1) {
    std::snprintf(text.data(), text.size(), "%.0fms", seconds * 1000);
  } else {
    std::snprintf(text.data(), text.size(), seconds < 10 ? "%.1fs" : "%.0fs", seconds);
  }
  return text.data();
}

void TopView::take(v1::WatchStatsResponse stats) {
  stats_ = std::move(stats);
  any_ = true;
  for (const v1::AppStats& app : stats_.apps()) {
    const auto asked = asked_.find(app_of(app.name()));
    if (asked != asked_.end() && asked->second == app.wanted_workers()) asked_.erase(asked);
  }
}

void TopView::set_sort(TopSort sort, bool workers) {
  sort_ = sort;
  workers_ = workers;
}

std::vector<TopView::Row> TopView::rows() const {
  const bool rates = stats_.has_over();
  // What is largest comes first; of names, what is first in the alphabet.
  const auto key = [this](const auto& stats) {
    const v1::Traffic& traffic = stats.traffic();
    switch (sort_) {
      case TopSort::Name:
        return 0.0;
      case TopSort::Busy:
        return -static_cast<double>(traffic.busy());
      case TopSort::Rate:
        return -traffic.requests_per_second();
      case TopSort::P99:
        return -seconds_of(traffic.p99());
      case TopSort::Cpu:
        return -stats.cpu();
      case TopSort::Memory:
        return -static_cast<double>(stats.memory());
    }
    return 0.0;
  };
  const auto sorted = [&](const auto& list) {
    std::vector<const std::decay_t<decltype(list[0])>*> out;
    for (const auto& each : list) out.push_back(&each);
    std::stable_sort(out.begin(), out.end(),
                     [&](const auto* a, const auto* b) { return key(*a) < key(*b); });
    if (reverse_) std::reverse(out.begin(), out.end());
    return out;
  };
  const auto workers = sorted(stats_.workers());
  std::vector<Row> rows;
  for (const v1::AppStats* app : sorted(stats_.apps())) {
    Row row{app->name(), true, {}, colour_of(app->state())};
    const std::string id = app_of(app->name());
    row.cells[kName] = id;
    row.cells[kState] = words(v1::AppObserved::State_Name(app->state()));
    row.cells[kClass] = app->worker_class().empty() ? "-" : app->worker_class();
    row.cells[kWorkers] =
        std::to_string(app->ready_workers()) + "/" + std::to_string(app->wanted_workers());
    row.cells[kThreads] = "-";
    row.cells[kQueue] = app->has_queue() ? std::to_string(app->queue()) : "-";
    row.cells[kRestarts] = std::to_string(app->unexpected_exits() + app->recycled_workers());
    fill_traffic(*app, rates, row.cells);
    const std::size_t place = rows.size();
    rows.push_back(std::move(row));
    for (const v1::WorkerStats* worker : workers) {
      if (app_of(worker->name()) != id) continue;
      if (worker->threads() > 0) rows[place].cells[kThreads] = std::to_string(worker->threads());
      if (!workers_) continue;
      Row own{worker->name(), false, {}, Colour::Plain};
      if (worker->state() != v1::Worker::READY) own.colour = Colour::Yellow;
      own.cells[kName] = "  " + worker->name().substr(worker->name().rfind('/') + 1) + " pid " +
                         std::to_string(worker->pid());
      own.cells[kState] = worker->recycling().empty()
                              ? words(v1::Worker::State_Name(worker->state()))
                              : "recycling";
      own.cells[kClass] = worker->worker_class();
      own.cells[kThreads] = worker->threads() > 0 ? std::to_string(worker->threads()) : "-";
      fill_traffic(*worker, rates, own.cells);
      rows.push_back(std::move(own));
    }
  }
  return rows;
}

TopLine TopView::sums(int width) const {
  double rate = 0;
  double cpu = 0;
  std::int64_t memory = 0;
  std::int64_t busy = 0;
  for (const v1::AppStats& app : stats_.apps()) {
    rate += app.traffic().requests_per_second();
    cpu += app.cpu();
    memory += app.memory();
    busy += app.traffic().busy();
  }
  std::string text =
      std::to_string(stats_.apps_size()) + (stats_.apps_size() == 1 ? " app, " : " apps, ") +
      std::to_string(stats_.workers_size()) +
      (stats_.workers_size() == 1 ? " worker, " : " workers, ") + std::to_string(busy) + " busy";
  if (stats_.has_over()) {
    text += "  " + number_text(rate) + " req/s  cpu " + percent_text(cpu);
  }
  text += "  memory " + bytes_text(static_cast<std::uint64_t>(std::max<std::int64_t>(memory, 0)));
  text += "  " + where_;
  TopLine line{escape_line(text), Colour::Bold, false};
  if (!connected_)
    line = {"no connection to appd, waiting for it; what is below is old", Colour::Red};
  if (width > 0) line.text = truncate(line.text, static_cast<std::size_t>(width));
  return line;
}

std::vector<TopLine> TopView::lines_of(const std::vector<Row>& rows, int width, bool marked) const {
  std::array<std::string, kColumns> headers;
  std::array<std::size_t, kColumns> widths{};
  for (std::size_t i = 0; i < kColumns; ++i) {
    headers[i] = kTable[i].header;
    if (marked && kTable[i].sort == sort_) headers[i] += reverse_ ? "↑" : "↓";
    widths[i] = display_width(headers[i]);
    for (const Row& row : rows) widths[i] = std::max(widths[i], display_width(row.cells[i]));
  }
  std::array<bool, kColumns> shown{};
  shown.fill(true);
  const auto total = [&] {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < kColumns; ++i) sum += shown[i] ? widths[i] + 2 : 0;
    return sum - 2;
  };
  const auto room = static_cast<std::size_t>(std::max(width, 0));
  while (width > 0 && total() > room) {
    std::size_t least = kName;
    for (std::size_t i = 0; i < kColumns; ++i) {
      if (shown[i] && kTable[i].worth < kTable[least].worth) least = i;
    }
    if (least == kName) break;
    shown[least] = false;
  }
  if (width > 0 && total() > room) widths[kName] = room;
  const auto join = [&](const std::array<std::string, kColumns>& cells) {
    std::string line;
    for (std::size_t i = 0; i < kColumns; ++i) {
      if (!shown[i]) continue;
      const std::string cell = truncate(escape_line(cells[i]), widths[i]);
      const std::string pad(widths[i] - display_width(cell), ' ');
      line += (line.empty() ? "" : "  ") + (kTable[i].right ? pad + cell : cell + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
  };
  std::vector<TopLine> lines{{join(headers), Colour::Bold, false}};
  for (const Row& row : rows) lines.push_back({join(row.cells), row.colour, false});
  return lines;
}

std::vector<TopLine> TopView::table(int width) const {
  std::vector<TopLine> lines{sums(width)};
  for (TopLine& line : lines_of(rows(), width, false)) lines.push_back(std::move(line));
  return lines;
}

std::vector<TopLine> TopView::help(int width) const {
  std::vector<TopLine> lines;
  for (const char* text : {
           "↑ ↓ j k   select an app or worker; PgUp, PgDn, Home, End: further",
           "+ -       one worker more, or fewer, of the selected app",
           "r         reload the selected app: bad code never replaces good",
           "w         show the workers too, or not",
           "s S       sort by the next column; the other way round",
           "q         quit; what was begun goes on",
           "",
           "BUSY      requests inside the app",
           "QUEUE     connections that no worker has accepted yet",
           "P50 P99   latency, known to within a factor of two",
           "CPU       100% is one processor",
           "MEMORY    resident; what processes share is in each",
           "RESTARTS  deaths that nobody asked for, and recycling",
           "",
           "any key goes back",
       }) {
    lines.push_back({truncate(text, static_cast<std::size_t>(width)), Colour::Plain, false});
  }
  return lines;
}

std::vector<TopLine> TopView::screen(int width, int height) const {
  const auto room = static_cast<std::size_t>(std::max(height, 1));
  std::vector<TopLine> lines{sums(width)};
  const std::size_t body = room > 2 ? room - 2 : 0;  // between the sums and the note
  std::vector<TopLine> middle;
  if (helping_) {
    middle = help(width);
  } else if (!any_) {
    middle = {{"waiting for the first figures", Colour::Dim, false}};
  } else {
    const std::vector<Row> all = rows();
    middle = lines_of(all, width, true);
    std::size_t chosen = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].name == chosen_) chosen = i;
    }
    if (!all.empty()) middle[chosen + 1].selected = true;
    // Below the headers, a window that the selection is in.
    const std::size_t window = body > 1 ? body - 1 : 1;
    const std::size_t first = chosen >= window ? chosen - window + 1 : 0;
    middle.erase(middle.begin() + 1, middle.begin() + 1 + static_cast<std::ptrdiff_t>(first));
    if (all.empty()) middle.push_back({"no apps; see appctl create --help", Colour::Dim, false});
  }
  middle.resize(body);
  for (TopLine& line : middle) lines.push_back(std::move(line));
  const std::string bottom = note_.empty() ? kKeys : escape_line(note_);
  lines.push_back({truncate(bottom, static_cast<std::size_t>(std::max(width, 1))),
                   note_.empty() ? Colour::Dim : Colour::Yellow, false});
  lines.resize(room);
  return lines;
}

void TopView::move(std::ptrdiff_t by) {
  const std::vector<Row> all = rows();
  if (all.empty()) return;
  std::ptrdiff_t at = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == chosen_) at = static_cast<std::ptrdiff_t>(i);
  }
  at = std::clamp<std::ptrdiff_t>(at + by, 0, static_cast<std::ptrdiff_t>(all.size()) - 1);
  chosen_ = all[static_cast<std::size_t>(at)].name;
}

const v1::AppStats* TopView::chosen_app() const {
  const std::vector<Row> all = rows();
  if (all.empty()) return nullptr;
  const auto row = std::find_if(all.begin(), all.end(),
                                [this](const Row& each) { return each.name == chosen_; });
  const std::string id = app_of(row == all.end() ? all.front().name : row->name);
  for (const v1::AppStats& app : stats_.apps()) {
    if (app_of(app.name()) == id) return &app;
  }
  return nullptr;
}

std::optional<TopWish> TopView::scale(std::int32_t by) {
  const v1::AppStats* app = chosen_app();
  if (app == nullptr) return std::nullopt;
  const std::string id = app_of(app->name());
  const auto asked = asked_.find(id);
  const std::int32_t wanted = (asked != asked_.end() ? asked->second : app->wanted_workers()) + by;
  if (app->state() == v1::AppObserved::STOPPED) {
    note(id + " is stopped; start it with appctl start " + id);
    return std::nullopt;
  }
  if (wanted < 1) {
    note(id + " has one worker, the fewest there can be; appctl stop " + id + " ends it");
    return std::nullopt;
  }
  asked_[id] = wanted;
  note(id + ": scaling to " + std::to_string(wanted) + (wanted == 1 ? " worker" : " workers"));
  return TopWish{TopWish::Kind::Scale, id, wanted};
}

std::optional<TopWish> TopView::press(TopKey key) {
  constexpr std::ptrdiff_t kPage = 10;
  constexpr std::ptrdiff_t kFar = 1'000'000;
  note_.clear();
  if (key == TopKey::Quit) {
    quitting_ = !helping_;
    helping_ = false;
    return std::nullopt;
  }
  if (helping_) {
    helping_ = false;
    return std::nullopt;
  }
  switch (key) {
    case TopKey::Up:
      move(-1);
      break;
    case TopKey::Down:
      move(1);
      break;
    case TopKey::PageUp:
      move(-kPage);
      break;
    case TopKey::PageDown:
      move(kPage);
      break;
    case TopKey::First:
      move(-kFar);
      break;
    case TopKey::Last:
      move(kFar);
      break;
    case TopKey::More:
      return scale(1);
    case TopKey::Fewer:
      return scale(-1);
    case TopKey::Reload:
      if (const v1::AppStats* app = chosen_app()) {
        const std::string id = app_of(app->name());
        note(id + ": reloading");
        return TopWish{TopWish::Kind::Reload, id, 0};
      }
      break;
    case TopKey::Workers:
      workers_ = !workers_;
      break;
    case TopKey::Sort:
      sort_ = static_cast<TopSort>((static_cast<int>(sort_) + 1) % kTopSorts);
      break;
    case TopKey::Reverse:
      reverse_ = !reverse_;
      break;
    case TopKey::Help:
      helping_ = true;
      break;
    case TopKey::Quit:  // above
    case TopKey::Other:
      break;
  }
  return std::nullopt;
}

}  // namespace appd::ctl
