// What appd answers, as text for people: tables, one app in full, one line an event, the last line
// of a change. Pure: time, width and colour are passed in. Everything that came from appd is
// escaped.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>

#include "appd/v1/apps.pb.h"
#include "appd/v1/events.pb.h"
#include "appd/v1/logs.pb.h"
#include "appd/v1/operations.pb.h"
#include "appd/v1/system.pb.h"
#include "appd/v1/workers.pb.h"
#include "ctl/spec_fields.h"
#include "ctl/text.h"

namespace appd::ctl {

using WallTime = std::chrono::system_clock::time_point;

// "apps/web" → "web"; anything else unchanged.
std::string_view short_name(std::string_view name);
std::string render_list(const v1::ListAppsResponse& apps, const Style& style);
std::string render_app(const v1::App& app, WallTime now, const Style& style);
std::string render_status(const v1::ServerInfo& server, const v1::ListAppsResponse& apps,
                          const v1::ListWorkersResponse& workers, WallTime now, const Style& style);
// With an APP column when `several` apps are shown.
std::string render_workers(const v1::ListWorkersResponse& workers, bool several, WallTime now,
                           const Style& style);
// The certificates of workers that ended, as a table (render_death.cc), and one in full.
std::string render_deaths(const v1::ListDeathsResponse& deaths, bool several, WallTime now,
                          const Style& style);
std::string render_death(const v1::Death& death, WallTime now, const Style& style);
// render_cut.cc. "GET /slow, for 31.0s", "2 requests and 1 WebSocket"; several lines that name
// them.
std::string request_text(const v1::Death::Request& request);
std::string cut_text(const v1::Cut& cut);
std::string render_cut(const v1::Cut& cut, const Style& style);
// "3/1207" of a request in hand: its worker and its number.
std::string request_id_text(const v1::RequestInHand& request);
std::string render_requests(const v1::ListRequestsResponse& requests, bool several,
                            const Style& style);
std::string render_operations(const v1::ListOperationsResponse& operations, WallTime now,
                              const Style& style);
// One line; empty for events that say nothing to a person (Synced).
std::string render_event(const v1::WatchResponse& event, const Style& style);
// One line. With a prefix: the local time and the worker, where the line tells them.
std::string render_log_entry(const v1::LogEntry& entry, bool prefix, const Style& style);
// "  ~ workers: 4 → 17", a line for each change.
std::string render_diff(std::span<const FieldChange> changes, const Style& style);
// A table, newest first.
std::string render_history(const v1::ListRevisionsResponse& history, const Style& style);
// What a revision changed, in words: "workers 4 → 17". `before` is the next older one, or null.
std::string change_text(const v1::Revision& revision, const v1::Revision* before);
std::string render_revision_diff(std::string_view app, const v1::Revision& from,
                                 const v1::Revision& to, const Style& style);
// supervisord's name: "RUNNING".
std::string process_text(v1::ProcessState state);
Colour process_colour(v1::ProcessState state);
// How long ago, and label and value in two columns.
std::string age_text(bool known, const google::protobuf::Timestamp& since, WallTime now);
std::string label_line(std::string_view label, std::string_view value);
// "import failed", for causes and phases.
std::string cause_text(v1::Failure::Cause cause);
std::string phase_text(v1::Operation::Phase phase);
Colour phase_colour(v1::Operation::Phase phase);

}  // namespace appd::ctl
