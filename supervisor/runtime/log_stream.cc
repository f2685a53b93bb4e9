// Beginnings, filters and the merge.
#include "supervisor/runtime/log_stream.h"

#include <algorithm>

namespace appd::runtime {
namespace {

constexpr std::size_t kStepBytes = 1024 * 1024;
constexpr std::size_t kReadAhead = 64;  // entries of a source
constexpr std::size_t kBatchEntries = 128;
constexpr std::size_t kBatchBytes = 128 * 1024;

constexpr std::string_view kKinds[] = {"app=", "access="};

std::string_view kind_text(core::LogSource kind) { return kKinds[static_cast<std::size_t>(kind)]; }

// "app=1.2.3;access=4.5.6"
std::optional<LogPosition> in_cursor(std::string_view cursor, core::LogSource kind) {
  while (!cursor.empty()) {
    const std::string_view part = cursor.substr(0, cursor.find(';'));
    cursor.remove_prefix(std::min(part.size() + 1, cursor.size()));
    if (part.starts_with(kind_text(kind))) {
      return LogPosition::parse(part.substr(kind_text(kind).size()));
    }
  }
  return std::nullopt;
}

}  // namespace

bool valid_cursor(std::string_view cursor) {
  return in_cursor(cursor, core::LogSource::App) || in_cursor(cursor, core::LogSource::Access);
}

LogStream::LogStream(const LogPaths& paths, core::LogQuery query) : query_(std::move(query)) {
  if (query_.app) add_source(core::LogSource::App, paths.app);
  if (query_.access) add_source(core::LogSource::Access, paths.access);
}

void LogStream::add_source(core::LogSource kind, const std::string& path) {
  auto source = std::make_unique<Source>(
      Source{kind, path, nullptr, LogFilesReader(path), {}, {}, std::nullopt, false});
  begin(*source);
  sources_.push_back(std::move(source));
}

void LogStream::begin(Source& source) {
  if (const auto position = in_cursor(query_.after, source.kind)) {
    source.reader.start_behind(*position);
  } else if (query_.tail) {
    source.finder = std::make_unique<LogTailFinder>(source.path, *query_.tail,
                                                    [this, &source](std::string_view line) {
                                                      core::LineOrigin origin;
                                                      return matches(source, line, origin);
                                                    });
    return;
  } else {
    begin_since(source);
  }
  source.given = source.reader.position();
}

// A file that was last written before that time has nothing for us.
void LogStream::begin_since(Source& source) {
  if (!query_.since) return source.reader.start_at_oldest();
  std::int32_t number = 0;
  for (std::int32_t next = 1;; ++next) {
    const auto found = stat_log(rotated_name(source.path, next));
    if (!found || found->modified < *query_.since) break;
    number = next;
  }
  source.reader.start_at(number);
}

// A line without a time was written after the one before it; where none has one, all count.
bool LogStream::matches(Source& source, std::string_view line, core::LineOrigin& origin) const {
  origin = source.kind == core::LogSource::App ? core::app_line(line) : core::access_line(line);
  if (origin.time) source.last_time = origin.time;
  if (query_.since && source.last_time && *source.last_time < *query_.since) return false;
  if (query_.worker && origin.worker != *query_.worker) return false;
  return !query_.wanted || query_.wanted(line.substr(origin.prefix));
}

void LogStream::take(Source& source, const LogFilesReader::Line& line) {
  core::LineOrigin origin;
  if (!matches(source, line.text, origin) && !line.gap) return;
  Pending pending;
  pending.entry.time = origin.time;
  pending.entry.source = source.kind;
  pending.entry.rollout = origin.rollout;
  pending.entry.worker = origin.worker;
  pending.entry.line = core::valid_utf8(line.text.substr(origin.prefix));
  pending.entry.truncated = line.truncated;
  pending.entry.gap = line.gap;
  pending.end = line.end;
  pending.order = source.last_time;
  source.pending.push_back(std::move(pending));
}

bool LogStream::find_beginnings() {
  std::int32_t found = 0;
  for (auto& source : sources_) {
    if (!source->finder) continue;
    if (!source->finder->step(kStepBytes)) return false;
    found += source->finder->found();
  }
  if (query_.tail) surplus_ = std::max(found - *query_.tail, 0);
  for (auto& source : sources_) {
    if (!source->finder) continue;
    source->finder->place(source->reader);
    source->finder.reset();
    source->last_time.reset();
    source->given = source->reader.position();
  }
  return true;
}

// True: some source has more than was read.
bool LogStream::read_sources() {
  bool more = false;
  for (auto& source : sources_) {
    if (source->pending.size() >= kReadAhead) {
      more = true;
      continue;
    }
    const auto into = [&](const LogFilesReader::Line& line) { take(*source, line); };
    source->at_end = source->reader.read(kStepBytes / 4, into) == LogFilesReader::Progress::End;
    if (source->at_end && !query_.follow) source->reader.take_partial(into);
    more = more || !source->at_end;
  }
  return more;
}

// The source with the oldest line; nullptr: it is not known yet, or there is none.
LogStream::Source* LogStream::next_source() {
  Source* oldest = nullptr;
  for (auto& source : sources_) {
    if (source->pending.empty()) {
      if (!source->at_end) return nullptr;
      continue;
    }
    const bool older =
        oldest == nullptr || source->pending.front().order.value_or(model::WallTime::min()) <
                                 oldest->pending.front().order.value_or(model::WallTime::min());
    if (older) oldest = source.get();
  }
  return oldest;
}

std::string LogStream::cursor() const {
  std::string text;
  for (const auto& source : sources_) {
    text.append(text.empty() ? "" : ";").append(kind_text(source->kind));
    text += source->given.text();
  }
  return text;
}

// True: the batch is full.
bool LogStream::give() {
  while (Source* source = next_source()) {
    Pending pending = std::move(source->pending.front());
    source->pending.pop_front();
    source->given = pending.end;
    if (surplus_ > 0) {
      --surplus_;
      continue;
    }
    pending.entry.cursor = cursor();
    batch_bytes_ += pending.entry.line.size();
    batch_.push_back(std::move(pending.entry));
    if (batch_.size() >= kBatchEntries || batch_bytes_ >= kBatchBytes) return true;
  }
  return false;
}

LogStream::Step LogStream::step() {
  if (!begun_ && !(begun_ = find_beginnings())) return Step::More;
  batch_bytes_ = 0;
  if (give()) return Step::Ready;
  const bool more = read_sources();
  if (give()) return Step::Ready;
  if (more) return Step::More;
  if (!query_.follow) return Step::Ended;
  return batch_.empty() ? Step::Wait : Step::Ready;
}

std::vector<int> LogStream::watched() const {
  std::vector<int> files;
  for (const auto& source : sources_) {
    if (source->reader.live() >= 0) files.push_back(source->reader.live());
    if (source->reader.late() >= 0) files.push_back(source->reader.late());
  }
  return files;
}

}  // namespace appd::runtime
