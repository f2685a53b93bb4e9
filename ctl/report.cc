// The words for every way in which a call or a change can end.
#include "ctl/report.h"

#include <array>

#include "ctl/duration.h"
#include "ctl/render.h"
#include "ctl/spec_fields.h"
#include "ctl/surroundings.h"

namespace appd::ctl {
namespace {

struct Hint {
  std::string_view reason;
  std::string_view text;  // APP stands for the app's id
};

// What to do next, by ErrorInfo.reason.
constexpr auto kHints = std::to_array<Hint>({
    {"APP_NOT_FOUND", "`appctl list` shows the apps that appd knows."},
    {"DEATH_NOT_FOUND", "`appctl workers APP --dead` shows those that are kept."},
    {"WORKER_NOT_FOUND", "`appctl workers APP` shows the workers."},
    {"WORKER_NOT_READY", "`appctl workers APP` shows what it is at."},
    {"BACKUP_FAILED", "Name a new file in a directory of appd's host that appd's user may write."},
    {"BACKUP_UNUSABLE", "Take another backup, or the appd that wrote it."},
    {"REQUEST_NOT_FOUND", "`appctl requests APP` shows what is in hand now."},
    {"REQUEST_NOT_CANCELLABLE",
     "`appctl stacks APP` shows where threads are; `appctl recycle APP WORKER` replaces a worker. "
     "For all: timeout, request_timeout; for slow clients: client_body_timeout, send_timeout."},
    {"STACKS_NOT_TAKEN", "Try again; `appctl workers APP` shows whether it is still there."},
    {"OPERATION_NOT_FOUND", "`appctl operations` shows those that are kept."},
    {"OPERATION_DONE", "See how it ended: `appctl operations`."},
    {"APP_EXISTS", "Change it with `appctl set APP …` or `appctl apply`, or delete it first."},
    {"ETAG_MISMATCH", "It was changed meanwhile. Look with `appctl get APP`, then use its etag."},
    {"APP_DELETING", "Wait until it is gone (`appctl events APP -f`), then create it anew."},
    {"APP_STOPPED", "Start it first: `appctl start APP`."},
    {"BIND_FAILED", "Choose another --bind, or stop what holds the address (`ss -ltnp` shows it)."},
    {"REQUEST_ID_REUSED", "Every change needs a --request-id of its own; without one it gets one."},
    {"REVISION_NOT_FOUND", "`appctl history APP` shows those that are kept."},
    {"SUPERSEDED", "See what it is now: `appctl get APP`."},
    {"STORE_FAILED", "Nothing was changed. `appctl status` shows the state directory: is it full?"},
    {"TOKEN_NOT_FOUND", "`appctl token list` shows those that there are."},
    {"SHUTTING_DOWN", "appd is stopping; try again when it is back."},
});

constexpr std::size_t kIndent = 2;

std::string hint_for(const std::string& reason, const std::string& app) {
  for (const Hint& hint : kHints) {
    if (hint.reason != reason) continue;
    std::string text(hint.text);
    const std::string name = app.empty() ? "NAME" : escape_line(app);
    constexpr std::string_view kPlaceholder = "APP";
    for (std::size_t at = text.find(kPlaceholder); at != std::string::npos;
         at = text.find(kPlaceholder, at + name.size())) {
      text.replace(at, kPlaceholder.size(), name);
    }
    return text;
  }
  return "";
}

std::string headline(const Style& style, const std::string& text) {
  constexpr std::string_view kName = "appctl:";
  const std::string line = wrapped(std::string(kName) + " " + text, kIndent, style.width);
  return paint(style, Colour::Red, kName) + line.substr(kName.size()) + "\n";
}

std::string detail(const Style& style, const std::string& text) {
  return std::string(kIndent, ' ') + wrapped(text, kIndent, style.width) + "\n";
}

std::string workers(std::int32_t number) {
  return std::to_string(number) + (number == 1 ? " worker" : " workers");
}

std::string kind_text(v1::Operation::Kind kind) {
  return kind == v1::Operation::KIND_UNSPECIFIED ? "change" : words(v1::Operation::Kind_Name(kind));
}

// "Rollout 6 serves on with 4 workers"
std::string serving_text(const v1::Operation& operation, const v1::App* now) {
  if (now == nullptr || now->observed().rollout() == 0) {
    return "The old code serves on with " + workers(operation.progress().ready_workers());
  }
  return "Rollout " + std::to_string(now->observed().rollout()) + " serves on with " +
         workers(now->observed().ready_workers());
}

std::string with_reason(const std::string& message, const std::string& reason) {
  std::string text = escape_line(message);
  if (!reason.empty()) text += (text.empty() ? "" : " ") + ("[" + escape_line(reason) + "]");
  return text;
}

}  // namespace

std::string render_call_error(const CallError& error, const ErrorContext& context,
                              const Style& style) {
  if (!error.unreachable.empty()) {
    return headline(style, "cannot reach appd at " + escape_line(context.address) + ": " +
                               escape_line(error.unreachable)) +
           detail(style,
                  is_unix_address(context.address)
                      ? "Start it (`systemctl start appd`, or run `appd`), or say where it "
                        "listens with --address or APPD_ADDRESS."
                      : "See where it listens (appd's --listen), and --address, --ca, --cert and "
                        "--key here.");
  }
  // The message repeats the first violation of a field, and is repeated by that of a state.
  std::vector<FieldViolation> violations = error.violations;
  std::erase_if(violations, [&](const auto& each) { return each.description == error.message; });
  const std::string message = violations.empty() ? error.message : "";
  std::string out =
      headline(style, "cannot " + escape_line(context.doing) + (message.empty() ? " " : ": ") +
                          with_reason(message, error.reason));
  for (const FieldViolation& violation : violations) {
    const std::string place =
        context.place ? context.place(violation.field) : flag_of(violation.field);
    out += detail(style, escape_line(place) + ": " + escape_line(violation.description));
  }
  // Some messages name the command that helps themselves.
  const bool helps = error.message.find("appctl") != std::string::npos;
  const std::string hint = helps ? "" : hint_for(error.reason, context.app);
  if (!hint.empty()) out += detail(style, hint);
  return out;
}

std::string render_success(const v1::Operation& operation, const ChangeSummary& summary) {
  std::string out = escape_line(short_name(operation.app())) + ": ";
  if (!summary.what.empty()) out += escape_line(summary.what) + ", ";
  const std::int32_t ready = operation.progress().ready_workers();
  // Not after a stop or a deletion, which want none.
  if (ready > 0 || operation.progress().wanted_workers() > 0) {
    out += workers(ready) + " ready";
    if (summary.ready_before && *summary.ready_before != ready) {
      out += " (was " + std::to_string(*summary.ready_before) + ")";
    }
    if (operation.rollout() != 0) out += ", rollout " + std::to_string(operation.rollout());
    out += ", ";
  } else if (summary.what.empty() && operation.kind() == v1::Operation::SCALE) {
    out += "stopped, for when it starts, ";
  }
  return out + format_elapsed(summary.elapsed) + "\n";
}

std::string render_failure(const v1::Operation& operation, const v1::App* now, const Style& style) {
  const std::string app = escape_line(short_name(operation.app()));
  const std::string kind = kind_text(operation.kind());
  const v1::Failure& failure = operation.failure();
  const CallError error = decode_status(operation.error());

  std::string why = escape_line(failure.message().empty() ? error.message : failure.message());
  if (operation.has_failure()) why += " (" + cause_text(failure.cause()) + ")";
  std::string out = escape_block(failure.traceback());
  if (!out.empty() && out.back() != '\n') out += '\n';
  if (!out.empty() && failure.cause() == v1::Failure::PROBE_FAILED) {
    out = "The health check was answered with\n\n" + out + "\n";
  }
  switch (operation.phase()) {
    case v1::Operation::ROLLED_BACK:
      out += headline(style, kind + " of " + app + " was rolled back: " + why);
      out += detail(style, serving_text(operation, now) + ". Put the cause right and try again.");
      break;
    case v1::Operation::CANCELLED:
      out += headline(style, kind + " of " + app + " was " + why);
      out += "  " + serving_text(operation, now) + ".\n";
      break;
    case v1::Operation::SUPERSEDED:
      out += headline(style, kind + " of " + app + " was superseded by a later change");
      out += detail(style, hint_for("SUPERSEDED", app));
      break;
    default:
      out += headline(style, kind + " of " + app + " failed: " + why);
      if (now != nullptr && now->observed().ready_workers() > 0) {
        out += detail(style, serving_text(operation, now) + ".");
      }
      if (operation.kind() != v1::Operation::DELETE) {
        out += detail(style, "appd keeps what was asked for; `appctl get " + app +
                                 "` shows what it does about it.");
      }
      if (const std::string hint = hint_for(error.reason, app); !hint.empty()) {
        out += detail(style, hint);
      }
  }
  return out;
}

std::string follow_hint(const v1::Operation& operation) {
  const std::string name = escape_line(operation.name());
  std::string hint = "The change goes on without this command; follow it with: appctl wait " + name;
  // Others can be taken back by nothing but another change, if at all.
  const bool may_be_cancelled =
      operation.rollout() != 0 && operation.kind() != v1::Operation::CREATE;
  if (may_be_cancelled) hint += "\n  As long as it has not taken over: appctl cancel " + name;
  return hint;
}

}  // namespace appd::ctl
