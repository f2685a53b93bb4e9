// Rows of numbers with a name before them.
#include "supervisor/store/ledger.h"

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>

namespace appd::store {
namespace {

constexpr std::string_view kTitle = "appd-counters";

// Calls visit(name, first number, how many) for each row. Rows only grow at their ends.
template <typename Tally, typename Visit>
void visit_rows(Tally& tally, Visit visit) {
  visit("counts", tally.counts.cells().data(), tally.counts.cells().size());
  visit("log_lost_lines", &tally.log_lost_lines, std::size_t{1});
  visit("log_lost_bytes", &tally.log_lost_bytes, std::size_t{1});
  visit("recycled", &tally.recycled, std::size_t{1});
  visit("exits", tally.exits.data(), tally.exits.size());
  visit("failures", tally.failures.data(), tally.failures.size());
  for (std::size_t i = 0; i < tally.operations.size(); ++i) {
    visit("operations_" + std::to_string(i), tally.operations[i].data(),
          tally.operations[i].size());
  }
}

void put(const model::Tally& tally, std::ostream& out) {
  out << "cpu " << tally.cpu.count() << '\n';
  visit_rows(tally, [&out](const std::string& name, const auto* numbers, std::size_t count) {
    out << name;
    for (std::size_t i = 0; i < count; ++i) out << ' ' << numbers[i];
    out << '\n';
  });
}

void take(const std::string& name, std::istream& numbers, model::Tally& tally) {
  if (name == "cpu") {
    std::int64_t cpu = 0;
    if (numbers >> cpu) tally.cpu = std::chrono::nanoseconds(cpu);
    return;
  }
  visit_rows(tally, [&](const std::string& known, auto* to, std::size_t count) {
    if (known != name) return;
    for (std::size_t i = 0; i < count && numbers >> to[i]; ++i) {
    }
  });
}

std::string this_boot() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id;
}

}  // namespace

std::string encode(const Books& books, std::string_view boot) {
  std::ostringstream out;
  out << kTitle << ' ' << boot << '\n';
  for (const auto& [call, count] : books.calls) {
    out << "call " << call.first << ' ' << call.second << ' ' << count << '\n';
  }
  for (const auto& [uid, app] : books.apps) {
    out << "app " << uid << '\n';
    put(app.ended, out);
    for (const auto& [board, tally] : app.boards) {
      out << "board " << board << '\n';
      put(tally, out);
    }
  }
  return out.str();
}

Books decode(std::string_view text, std::string_view boot) {
  std::istringstream lines{std::string(text)};
  std::string line;
  std::string title = std::string(kTitle) + " " + std::string(boot);
  Books books;
  if (boot.empty() || !std::getline(lines, line) || line != title) return books;
  AppBooks* app = nullptr;
  model::Tally* tally = nullptr;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "call") {
      std::string method;
      std::string code;
      std::int64_t count = 0;
      if (words >> method >> code >> count) books.calls[{method, code}] = count;
    } else if (name == "app") {
      std::string uid;
      words >> uid;
      app = &books.apps[uid];
      tally = &app->ended;
    } else if (name == "board" && app != nullptr) {
      std::uint64_t board = 0;
      words >> board;
      tally = &app->boards[board];
    } else if (tally != nullptr) {
      take(name, words, *tally);
    }
  }
  return books;
}

Books load_books(const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return decode(text, this_boot());
}

Result<void> save_books(const std::string& path, const Books& books) {
  const std::string fresh = path + ".new";
  std::ofstream file(fresh, std::ios::trunc);
  file << encode(books, this_boot());
  file.close();
  if (!file || std::rename(fresh.c_str(), path.c_str()) != 0) {
    return sys_error("LEDGER_FAILED", "write " + path, errno);
  }
  return {};
}

}  // namespace appd::store
