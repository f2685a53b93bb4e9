// The views of apps, workers and operations. Events are in render_event.cc.
#include "ctl/render.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <map>

#include "ctl/duration.h"

namespace appd::ctl {
namespace {

using google::protobuf::Timestamp;
using google::protobuf::util::TimeUtil;
using enum Column::Align;

std::chrono::seconds age(const Timestamp& since, WallTime now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
  return std::max(seconds - std::chrono::seconds(since.seconds()), std::chrono::seconds(0));
}

std::string state_text(const v1::App& app) {
  const auto state = app.observed().state();
  if (state == v1::AppObserved::STATE_UNSPECIFIED) return "unknown";
  return words(v1::AppObserved::State_Name(state));
}

Colour state_colour(v1::AppObserved::State state) {
  switch (state) {
    case v1::AppObserved::ACTIVE:
      return Colour::Green;
    case v1::AppObserved::FAILING:
      return Colour::Red;
    case v1::AppObserved::STOPPED:
      return Colour::Dim;
    default:
      return Colour::Yellow;
  }
}

std::string worker_state_text(v1::Worker::State state) {
  return state == v1::Worker::STATE_UNSPECIFIED ? "unknown" : words(v1::Worker::State_Name(state));
}

Colour worker_state_colour(v1::Worker::State state) {
  switch (state) {
    case v1::Worker::READY:
      return Colour::Green;
    case v1::Worker::EXITED:
      return Colour::Red;
    default:
      return Colour::Yellow;
  }
}

std::string ready_of_wanted(const v1::App& app) {
  const v1::AppSpec spec = with_defaults(app.spec());
  return std::to_string(app.observed().ready_workers()) + "/" + std::to_string(spec.workers());
}

// "sync→gthread" where threads make the class another; auto is no class, what it came to be is.
std::string class_text(const std::string& asked, const std::string& effective) {
  if (asked == "auto" && !effective.empty()) return effective;
  return effective.empty() || effective == asked ? asked : asked + "→" + effective;
}

std::string class_text(const v1::App& app) {
  return class_text(with_defaults(app.spec()).worker_class(), app.observed().worker_class());
}

std::string count(std::int64_t value) { return std::to_string(value); }

// "ModuleNotFoundError: No module named 'x' (import failed, 12s ago; next try in 4s)"
std::string failure_line(const v1::AppObserved& observed, WallTime now) {
  const v1::Failure& failure = observed.last_failure();
  std::string line = escape_line(failure.message());
  line += " (" + cause_text(failure.cause());
  if (failure.has_time()) line += ", " + format_age(age(failure.time(), now)) + " ago";
  if (observed.has_retry_time()) {
    const auto until = -(std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()) -
                         std::chrono::seconds(observed.retry_time().seconds()));
    line += until.count() > 0 ? "; next try in " + format_age(until) : "; next try now";
  }
  return line + ")";
}

// "12 lines (345 bytes), which could not be written"
std::string lost_text(const v1::AppObserved& observed) {
  return count(observed.log_lost_lines()) + " lines (" + count(observed.log_lost_bytes()) +
         " bytes), which could not be written";
}

std::string render_spec(const v1::App& app, const Style& style) {
  const v1::AppSpec spec = with_defaults(app.spec());
  std::string out = paint(style, Colour::Bold, "Spec") + " (generation " + count(app.generation()) +
                    ", etag " + escape_line(app.etag()) + ")\n";
  for (const SpecField& field : spec_fields()) {
    std::string value = escape_line(text_of(spec, field));
    if (value.empty() && !is_set(spec, field)) continue;
    if (value.empty()) value = "\"\"";
    const bool is_default = value == field.default_value;
    out += label_line(field.name,
                      is_default ? paint(style, Colour::Dim, value + "  (default)") : value);
  }
  return out;
}

std::string render_observed(const v1::App& app, WallTime now, const Style& style) {
  const v1::AppObserved& observed = app.observed();
  std::string out = paint(style, Colour::Bold, "Observed") + " (generation " +
                    count(observed.generation()) +
                    (observed.reconciling() ? ", still changing)\n" : ")\n");
  out += label_line("state", paint(style, state_colour(observed.state()), state_text(app)));
  out += label_line("process", paint(style, process_colour(observed.process_state()),
                                     process_text(observed.process_state())));
  out += label_line("ready workers", ready_of_wanted(app));
  out += label_line("rollout", observed.rollout() == 0 ? "none serves" : count(observed.rollout()));
  out += label_line("worker class", escape_line(class_text(app)));
  std::string preload = observed.preloaded() ? "yes" : "no";
  if (!observed.preload_note().empty()) preload += ": " + escape_line(observed.preload_note());
  out += label_line("preloaded", preload);
  if (!observed.limits_note().empty()) {
    out += label_line("limits", paint(style, Colour::Yellow,
                                      "of memory, CPU or pids are not kept: " +
                                          escape_line(observed.limits_note())));
  }
  if (!observed.python_version().empty()) {
    out += label_line("python version", escape_line(observed.python_version()));
  }
  out += label_line("unexpected exits", count(observed.unexpected_exits()));
  out += label_line("drained exits", count(observed.drained_exits()));
  out += label_line("recycled workers", count(observed.recycled_workers()));
  if (!observed.last_death().empty()) {
    out += label_line("last death", escape_line(observed.last_death()) + ": " +
                                        escape_line(observed.last_death_reason()));
  }
  if (!observed.log_path().empty()) out += label_line("log", escape_line(observed.log_path()));
  if (with_defaults(app.spec()).access_log() && !observed.access_log_path().empty()) {
    out += label_line("access log", escape_line(observed.access_log_path()));
  }
  if (observed.log_lost_bytes() > 0) {
    out += label_line("lost of its logs", paint(style, Colour::Yellow, lost_text(observed)));
  }
  if (app.has_create_time()) {
    out += label_line("created", format_age(age(app.create_time(), now)) + " ago");
  }
  if (app.has_update_time()) {
    out += label_line("updated", format_age(age(app.update_time(), now)) + " ago");
  }
  if (!app.operation().empty()) out += label_line("last operation", escape_line(app.operation()));
  if (observed.has_last_failure()) {
    out += paint(style, Colour::Bold, "Last failure");
    if (observed.last_failure().rollout() != 0) {
      out += " (rollout " + count(observed.last_failure().rollout()) + ")";
    }
    out += "\n  " + paint(style, Colour::Red, failure_line(observed, now)) + "\n";
    out += indent(escape_block(observed.last_failure().traceback()), "    ");
  }
  return out;
}

// What the workers of one app add up to.
struct Totals {
  std::int64_t requests = 0;
  std::int64_t errors = 0;
  std::int32_t busy = 0;
};

// "2 requests cut; release 42"
std::string note_of(const v1::Operation& operation) {
  const std::string& note =
      operation.has_error() ? operation.error().message() : operation.reason();
  if (!operation.has_cut()) return note;
  return cut_text(operation.cut()) + " cut" + (note.empty() ? "" : "; " + note);
}

std::string app_of(const v1::Worker& worker) {
  const std::string& name = worker.name();
  return name.substr(0, name.find("/workers/"));
}

}  // namespace

std::string age_text(bool known, const Timestamp& since, WallTime now) {
  return known ? format_age(age(since, now)) : "-";
}

// Label and value in two columns, as `get` shows them; the label column fits the longest field
// name.
std::string label_line(std::string_view label, std::string_view value) {
  constexpr std::size_t kLabelWidth = 30;
  std::string line = "  " + std::string(label);
  line.resize(std::max(line.size() + 1, kLabelWidth), ' ');
  return line + std::string(value) + "\n";
}

std::string process_text(v1::ProcessState state) {
  return state == v1::PROCESS_STATE_UNSPECIFIED ? "-" : v1::ProcessState_Name(state);
}

Colour process_colour(v1::ProcessState state) {
  switch (state) {
    case v1::RUNNING:
      return Colour::Green;
    case v1::BACKOFF:
    case v1::FATAL:
    case v1::EXITED:
      return Colour::Red;
    case v1::STOPPED:
      return Colour::Dim;
    default:
      return Colour::Yellow;
  }
}

std::string_view short_name(std::string_view name) {
  constexpr std::string_view kApps = "apps/";
  if (name.substr(0, kApps.size()) == kApps) name.remove_prefix(kApps.size());
  return name;
}

std::string cause_text(v1::Failure::Cause cause) {
  return cause == v1::Failure::CAUSE_UNSPECIFIED ? "failed" : words(v1::Failure::Cause_Name(cause));
}

std::string phase_text(v1::Operation::Phase phase) {
  return phase == v1::Operation::PHASE_UNSPECIFIED ? "waiting"
                                                   : words(v1::Operation::Phase_Name(phase));
}

Colour phase_colour(v1::Operation::Phase phase) {
  switch (phase) {
    case v1::Operation::SUCCEEDED:
      return Colour::Green;
    case v1::Operation::ROLLED_BACK:
    case v1::Operation::FAILED:
      return Colour::Red;
    case v1::Operation::SUPERSEDED:
    case v1::Operation::CANCELLED:
      return Colour::Dim;
    default:
      return Colour::Yellow;
  }
}

std::string render_list(const v1::ListAppsResponse& apps, const Style& style) {
  if (apps.apps().empty()) return "no apps; add one with: appctl create NAME …\n";
  Table table({{"NAME"},
               {"STATE"},
               {"WORKERS", Right},
               {"THREADS", Right, false, 2},
               {"CLASS"},
               {"ROLLOUT", Right, false, 3},
               {"BIND", Left, true},
               {"DIRECTORY", Left, true, 1}});
  for (const v1::App& app : apps.apps()) {
    const v1::AppSpec spec = with_defaults(app.spec());
    table.add({{std::string(short_name(app.name()))},
               {state_text(app), state_colour(app.observed().state())},
               {ready_of_wanted(app)},
               {count(spec.threads())},
               {class_text(app)},
               {count(app.observed().rollout())},
               {text_of(spec, *find_spec_field("bind"))},
               {spec.directory()}});
  }
  return table.render(style);
}

std::string render_app(const v1::App& app, WallTime now, const Style& style) {
  return paint(style, Colour::Bold, escape_line(short_name(app.name()))) + "  " +
         paint(style, state_colour(app.observed().state()), state_text(app)) + "  " +
         ready_of_wanted(app) + " workers ready\n" + render_spec(app, style) +
         render_observed(app, now, style);
}

std::string render_status(const v1::ServerInfo& server, const v1::ListAppsResponse& apps,
                          const v1::ListWorkersResponse& workers, WallTime now,
                          const Style& style) {
  std::string out = paint(style, Colour::Bold, "appd " + escape_line(server.version())) + "  pid " +
                    count(server.pid()) + "  up " +
                    age_text(server.has_start_time(), server.start_time(), now) + "  revision " +
                    count(server.revision()) + "\n";
  out += "state in " + escape_line(server.state_dir()) + "\n";
  for (const std::string& address : server.listen())
    out += "listens on " + escape_line(address) + "\n";
  out += "\n";
  std::map<std::string, Totals> totals;
  for (const v1::Worker& worker : workers.workers()) {
    Totals& sum = totals[app_of(worker)];
    sum.requests += worker.requests();
    sum.errors += worker.errors();
    sum.busy += worker.busy();
  }
  if (apps.apps().empty()) return out + render_list(apps, style);
  Table table({{"APP"},
               {"STATE"},
               {"PROCESS", Left, false, 6},
               {"WORKERS", Right},
               {"CLASS"},
               {"THREADS", Right, false, 4},
               {"ROLLOUT", Right, false, 5},
               {"REQUESTS", Right, false, 3},
               {"ERRORS", Right, false, 1},
               {"BUSY", Right, false, 2}});
  std::string reasons;
  for (const v1::App& app : apps.apps()) {
    const Totals& sum = totals[app.name()];
    table.add({{std::string(short_name(app.name()))},
               {state_text(app), state_colour(app.observed().state())},
               {process_text(app.observed().process_state()),
                process_colour(app.observed().process_state())},
               {ready_of_wanted(app)},
               {class_text(app)},
               {count(with_defaults(app.spec()).threads())},
               {count(app.observed().rollout())},
               {count(sum.requests)},
               {count(sum.errors), sum.errors > 0 ? Colour::Yellow : Colour::Plain},
               {count(sum.busy)}});
    if (app.observed().log_lost_bytes() > 0) {
      reasons += paint(style, Colour::Yellow,
                       escape_line(short_name(app.name())) +
                           ": lost of its logs: " + lost_text(app.observed())) +
                 "\n";
    }
    if (!app.observed().limits_note().empty()) {
      reasons += paint(style, Colour::Yellow,
                       escape_line(short_name(app.name())) +
                           ": limits of memory, CPU or pids are not kept: " +
                           escape_line(app.observed().limits_note())) +
                 "\n";
    }
    if (!app.observed().has_last_failure()) continue;
    const bool serves = app.observed().state() != v1::AppObserved::FAILING;
    const std::string line = escape_line(short_name(app.name())) +
                             (serves ? ": the last rollout failed: " : ": ") +
                             failure_line(app.observed(), now);
    const auto room = static_cast<std::size_t>(style.width);
    reasons += paint(style, serves ? Colour::Yellow : Colour::Red,
                     room > 0 ? truncate(line, room) : line) +
               "\n";
  }
  return out + table.render(style) + (reasons.empty() ? "" : "\n" + reasons);
}

std::string render_workers(const v1::ListWorkersResponse& workers, bool several, WallTime now,
                           const Style& style) {
  if (workers.workers().empty()) return "no workers\n";
  std::vector<Column> columns = {{"ID", Right},
                                 {"PID", Right},
                                 {"STATE"},
                                 {"PROCESS", Left, false, 9},
                                 {"ROLLOUT", Right, false, 6},
                                 {"CLASS", Left, false, 4},
                                 {"THREADS", Right, false, 7},
                                 {"AGE", Right, false, 3},
                                 {"REQUESTS", Right, false, 1},
                                 {"ERRORS", Right, false, 2},
                                 {"BUSY", Right, false, 5},
                                 {"CONNECTIONS", Right, false, 8}};
  if (several) columns.insert(columns.begin(), Column{"APP"});
  Table table(std::move(columns));
  for (const v1::Worker& worker : workers.workers()) {
    std::vector<Cell> row = {
        {count(worker.id())},
        {count(worker.pid())},
        {worker_state_text(worker.state()), worker_state_colour(worker.state())},
        {process_text(worker.process_state()), process_colour(worker.process_state())},
        {count(worker.rollout())},
        {class_text(worker.worker_class(), worker.effective_worker_class())},
        {count(worker.threads())},
        {age_text(worker.has_start_time(), worker.start_time(), now)},
        {count(worker.requests())},
        {count(worker.errors()), worker.errors() > 0 ? Colour::Yellow : Colour::Plain},
        {count(worker.busy())},
        {count(worker.connections())}};
    if (several) row.insert(row.begin(), Cell{std::string(short_name(app_of(worker)))});
    table.add(std::move(row));
  }
  return table.render(style);
}

std::string render_operations(const v1::ListOperationsResponse& operations, WallTime now,
                              const Style& style) {
  if (operations.operations().empty()) return "no operations\n";
  Table table({{"APP"},
               {"KIND"},
               {"PHASE"},
               {"AGE", Right},
               {"TOOK", Right, false, 1},
               {"ROLLOUT", Right, false, 3},
               {"OPERATION", Left, false, 2},
               {"NOTE", Left, true}});
  for (const v1::Operation& operation : operations.operations()) {
    std::string took = "-";
    if (operation.has_end_time() && operation.has_create_time()) {
      took = format_elapsed(std::chrono::milliseconds(
          TimeUtil::DurationToMilliseconds(operation.end_time() - operation.create_time())));
    }
    table.add({{std::string(short_name(operation.app()))},
               {words(v1::Operation::Kind_Name(operation.kind()))},
               {phase_text(operation.phase()), phase_colour(operation.phase())},
               {age_text(operation.has_create_time(), operation.create_time(), now)},
               {took},
               {count(operation.rollout())},
               {operation.name()},
               {note_of(operation)}});
  }
  return table.render(style);
}

std::string render_diff(std::span<const FieldChange> changes, const Style& style) {
  std::string out;
  for (const FieldChange& change : changes) {
    if (change.hidden) {
      const bool both = change.from && change.to;
      out += paint(style,
                   both        ? Colour::Yellow
                   : change.to ? Colour::Green
                               : Colour::Red,
                   both        ? "  ~ "
                   : change.to ? "  + "
                               : "  - ") +
             escape_line(change.field) + (both ? ": changed\n" : "\n");
      continue;
    }
    const std::string field = escape_line(change.field) + ": ";
    if (change.from && change.to) {
      out += paint(style, Colour::Yellow, "  ~ ") + field + escape_line(*change.from) + " → " +
             escape_line(*change.to) + "\n";
    } else if (change.to) {
      out += paint(style, Colour::Green, "  + ") + field + escape_line(*change.to) + "\n";
    } else {
      out +=
          paint(style, Colour::Red, "  - ") + field + escape_line(change.from.value_or("")) + "\n";
    }
  }
  return out;
}

}  // namespace appd::ctl
