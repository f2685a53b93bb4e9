// The history of an app: what changed in words, and which fields differ between two revisions.
// Values of environment variables are not shown: appd does not tell them.
#include <algorithm>
#include <array>
#include <ctime>

#include "ctl/render.h"

namespace appd::ctl {
namespace {

using enum Column::Align;

// Below so many columns, what changed and why need the room of year and seconds.
constexpr int kNarrow = 110;

std::string time_text(const google::protobuf::Timestamp& time, const Style& style) {
  const bool narrow = style.width > 0 && style.width < kNarrow;
  const std::time_t seconds = time.seconds();
  std::tm local{};
  ::localtime_r(&seconds, &local);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), narrow ? "%m-%d %H:%M" : "%Y-%m-%d %H:%M:%S", &local);
  return text.data();
}

std::string who(const v1::Revision& revision) {
  if (revision.method().empty() && !revision.has_caller()) return "appd";
  if (!revision.caller().identity().empty()) return revision.caller().identity();
  if (!revision.caller().user().empty()) return revision.caller().user();
  return revision.caller().has_uid() ? "uid " + std::to_string(revision.caller().uid()) : "-";
}

// The program itself; the libraries that it calls with come behind.
std::string client(const v1::Revision& revision) {
  const std::string& agent = revision.caller().client();
  return agent.empty() ? "-" : agent.substr(0, agent.find(' '));
}

// "workers 4 → 17, env.TOKEN changed"
std::string in_words(const std::vector<FieldChange>& changes) {
  std::string text;
  for (const FieldChange& change : changes) {
    text += (text.empty() ? "" : ", ") + change.field;
    if (change.hidden) {
      text += !change.from ? " added" : !change.to ? " removed" : " changed";
    } else {
      text += " " + change.from.value_or("none") + " → " + change.to.value_or("none");
    }
  }
  return text;
}

std::string outcome_text(const v1::Revision& revision) {
  if (revision.outcome() < v1::Operation::SUCCEEDED) {
    return "under way: " + phase_text(revision.outcome());
  }
  // "cancelled by alice: the wrong branch"
  const bool says_all =
      revision.outcome() == v1::Operation::CANCELLED && !revision.outcome_message().empty();
  if (says_all) return revision.outcome_message();
  std::string text = phase_text(revision.outcome());
  if (revision.has_cut()) text += ", " + cut_text(revision.cut()) + " cut";
  if (revision.cause() != v1::Failure::CAUSE_UNSPECIFIED) {
    text += " (" + cause_text(revision.cause()) + ")";
  }
  const bool says_more =
      !revision.outcome_message().empty() && revision.outcome() != v1::Operation::SUPERSEDED;
  return says_more ? text + ": " + revision.outcome_message() : text;
}

std::string number(std::int64_t value) { return std::to_string(value); }

}  // namespace

std::string change_text(const v1::Revision& revision, const v1::Revision* before) {
  std::string list;
  if (before != nullptr) {
    list = in_words(diff(*before, revision));
    // What lies between is not kept any more.
    if (!list.empty() && before->number() + 1 != revision.number()) {
      list = "since " + number(before->number()) + ": " + list;
    }
  }
  std::string deed;
  if (revision.method().empty()) {
    deed = "taken back";
    if (revision.restores() != 0) deed += " to " + number(revision.restores());
  } else if (revision.method() == "RollbackApp") {
    deed = "rolled back to " + number(revision.restores());
  } else if (revision.method() == "ReloadApp") {
    deed = "reloaded";
  } else if (revision.method() == "RestoreState") {
    deed = "restored from a backup";
  } else if (before == nullptr) {
    // Without a caller it is what an appd without a history left.
    deed = revision.number() == 1 && revision.has_caller() ? "created" : "the first that is kept";
  }
  if (deed.empty()) return list;
  return list.empty() ? deed : deed + ": " + list;
}

std::string render_history(const v1::ListRevisionsResponse& history, const Style& style) {
  Table table({{"REV", Right},
               {"WHEN"},
               {"WHO", Left, true, 1},
               {"CLIENT", Left, true, 3},
               {"CHANGE", Left, true},
               {"WHY", Left, true, 2},
               {"ENDED", Left, true}});
  for (int i = 0; i < history.revisions_size(); ++i) {
    const v1::Revision& revision = history.revisions(i);
    const v1::Revision* before =
        i + 1 < history.revisions_size() ? &history.revisions(i + 1) : nullptr;
    table.add({{number(revision.number())},
               {time_text(revision.create_time(), style)},
               {who(revision)},
               {client(revision)},
               {change_text(revision, before)},
               {revision.reason().empty() ? "-" : revision.reason()},
               {outcome_text(revision), phase_colour(revision.outcome())}});
  }
  return table.render(style);
}

std::string render_revision_diff(std::string_view app, const v1::Revision& from,
                                 const v1::Revision& to, const Style& style) {
  std::string left = "revision " + number(from.number());
  std::string right = number(to.number());
  if (from.rollout() != to.rollout()) {
    left += " (rollout " + number(from.rollout()) + ")";
    right += " (rollout " + number(to.rollout()) + ")";
  }
  const std::vector<FieldChange> changes = diff(from, to);
  return paint(style, Colour::Bold, escape_line(app)) + ": " + left + " → " + right + "\n" +
         (changes.empty() ? "  no setting differs\n" : render_diff(changes, style));
}

}  // namespace appd::ctl
