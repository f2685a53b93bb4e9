// history, diff and rollback: what an app was, and the way back.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/commands/options.h"
#include "ctl/json.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

using Clock = std::chrono::steady_clock;

ExitCode history(Session& session, const std::string& id) {
  Outcome<v1::ListRevisionsResponse> found = session.client().list_revisions("apps/" + id);
  if (!found) return session.fail(found.error(), {"show the history of " + id, id, "", {}});
  if (session.json()) return session.print_json(*found);
  session.print(render_history(*found, session.io().out_style));
  return ExitCode::Done;
}

struct DiffOptions {
  std::string id;
  std::int64_t from = 0;  // 0: not given
  std::int64_t to = 0;
};

CallError not_found(std::string message) {
  CallError error;
  error.code = Code::NotFound;
  error.reason = "REVISION_NOT_FOUND";
  error.message = std::move(message);
  return error;
}

Outcome<v1::Revision> numbered(const v1::ListRevisionsResponse& history, std::int64_t number) {
  for (const v1::Revision& each : history.revisions()) {
    if (each.number() == number) return each;
  }
  return not_found("there is no revision " + std::to_string(number) + " any more, or not yet");
}

// What `to` is compared with when nothing is named: the last good one before it, else the one
// before.
Outcome<v1::Revision> before(const v1::ListRevisionsResponse& history, const v1::Revision& to) {
  const auto& all = history.revisions();
  const auto older = std::find_if(all.begin(), all.end(), [&to](const v1::Revision& each) {
    return each.number() < to.number();
  });
  if (older == all.end()) {
    return not_found("there is no revision before " + std::to_string(to.number()));
  }
  const auto good =
      std::find_if(older, all.end(), [](const v1::Revision& each) { return each.good(); });
  return good == all.end() ? *older : *good;
}

// [{"field": "workers", "change": "changed", "from": "4", "to": "17"}]
std::string changes_json(const std::vector<FieldChange>& changes) {
  auto list = nlohmann::ordered_json::array();
  for (const FieldChange& change : changes) {
    auto& entry = list.emplace_back();
    entry["field"] = change.field;
    entry["change"] = !change.from ? "added" : !change.to ? "removed" : "changed";
    if (change.hidden) continue;
    if (change.from) entry["from"] = *change.from;
    if (change.to) entry["to"] = *change.to;
  }
  return list.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

ExitCode show_diff(Session& session, const DiffOptions& options) {
  const ErrorContext context{"compare revisions of " + options.id, options.id, "", {}};
  Outcome<v1::ListRevisionsResponse> history =
      session.client().list_revisions("apps/" + options.id);
  if (!history) return session.fail(history.error(), context);
  if (history->revisions().empty()) return session.fail(not_found("there is no history"), context);
  Outcome<v1::Revision> to = options.to == 0 ? Outcome<v1::Revision>(history->revisions(0))
                                             : numbered(*history, options.to);
  if (!to) return session.fail(to.error(), context);
  Outcome<v1::Revision> from =
      options.from == 0 ? before(*history, *to) : numbered(*history, options.from);
  if (!from) return session.fail(from.error(), context);
  if (!session.json()) {
    session.print(render_revision_diff(options.id, *from, *to, session.io().out_style));
    return ExitCode::Done;
  }
  const JsonPart parts[] = {{"from", to_json(*from, true)},
                            {"to", to_json(*to, true)},
                            {"changes", changes_json(diff(*from, *to))}};
  return session.print_json(join_json(parts));
}

struct RollbackOptions {
  std::string id;
  std::int64_t to = 0;
  ChangeOptions change;
};

// "rolled back to revision 3": of the revision that appd has chosen, it tells in its history.
std::string rolled_back(Session& session, const RollbackOptions& options,
                        const v1::Operation& operation) {
  std::int64_t target = options.to;
  if (target == 0 && !session.json() && !options.change.no_wait) {
    Outcome<v1::ListRevisionsResponse> history =
        session.client().list_revisions("apps/" + options.id);
    if (history) {
      Outcome<v1::Revision> own = numbered(*history, operation.revision());
      if (own) target = own->restores();
    }
  }
  return target == 0 ? "rolled back" : "rolled back to revision " + std::to_string(target);
}

ExitCode rollback(Session& session, const RollbackOptions& options) {
  const std::string doing = "roll back " + options.id;
  v1::RollbackAppRequest request;
  request.set_name("apps/" + options.id);
  request.set_revision(options.to);
  request.set_etag(options.change.etag);
  request.set_request_id(options.change.request_id);
  request.set_reason(options.change.reason);
  const Clock::time_point began = Clock::now();
  Outcome<v1::Operation> operation = session.client().rollback_app(request);
  if (!operation) return session.fail(operation.error(), {doing, options.id, "", {}});
  Change change{doing,        options.id, rolled_back(session, options, *operation),
                std::nullopt, began,      std::nullopt};
  if (!operation->done()) change.ready_before = operation->progress().ready_workers();
  return finish_change(session, change, options.change, *std::move(operation));
}

CLI::Option* add_revision(CLI::App& command, const std::string& flag, std::int64_t& number,
                          const std::string& help) {
  return command.add_option(flag, number, help)->type_name("REVISION")->check(positive());
}

}  // namespace

void add_history(CLI::App& command, Action& action) {
  auto id = std::make_shared<std::string>();
  add_name(command, *id)->required();
  command.callback(
      [id, &action] { action = [id](Session& session) { return history(session, *id); }; });
}

void add_diff(CLI::App& command, Action& action) {
  auto options = std::make_shared<DiffOptions>();
  add_name(command, options->id)->required();
  add_revision(command, "--from", options->from,
               "the older side (default: the last good one before the other side)");
  add_revision(command, "--to", options->to, "the newer side (default: the present)");
  command.callback([options, &action] {
    action = [options](Session& session) { return show_diff(session, *options); };
  });
}

void add_rollback(CLI::App& command, Action& action) {
  auto options = std::make_shared<RollbackOptions>();
  add_name(command, options->id)->required();
  add_revision(command, "--to", options->to,
               "the revision to go back to, see history (default: the last good one that differs)");
  add_change_options(command, options->change);
  command.callback([options, &action] {
    action = [options](Session& session) { return rollback(session, *options); };
  });
}

}  // namespace appd::ctl
