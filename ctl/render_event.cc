// One event as one line: time, revision, app, what happened.
#include <array>
#include <ctime>

#include "ctl/render.h"

namespace appd::ctl {
namespace {

std::string clock_text(const google::protobuf::Timestamp& time) {
  const std::time_t seconds = time.seconds();
  std::tm local{};
  ::localtime_r(&seconds, &local);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%H:%M:%S", &local);
  const std::string fraction = std::to_string(1000 + time.nanos() / 1'000'000);
  return std::string(text.data()) + "." + fraction.substr(1);
}

constexpr int kWithRevision = 76;  // on a narrower terminal it would be in the way

struct Line {
  std::string app;
  std::string text;
  Colour colour = Colour::Plain;
};

Line describe(const v1::App& app) {
  const v1::AppObserved& observed = app.observed();
  Line line{std::string(short_name(app.name())),
            words(v1::AppObserved::State_Name(observed.state())) + ", " +
                std::to_string(observed.ready_workers()) + " of " +
                std::to_string(with_defaults(app.spec()).workers()) + " workers ready",
            observed.state() == v1::AppObserved::FAILING ? Colour::Red : Colour::Plain};
  if (observed.rollout() != 0) line.text += ", rollout " + std::to_string(observed.rollout());
  if (observed.state() == v1::AppObserved::FAILING) {
    line.text += ": " + observed.last_failure().message();
  }
  return line;
}

Line describe(const v1::Worker& worker) {
  const std::string_view name = short_name(worker.name());
  Line line{std::string(name.substr(0, name.find('/'))),
            "worker " + std::to_string(worker.id()) + " " +
                words(v1::Worker::State_Name(worker.state())) + ", pid " +
                std::to_string(worker.pid()) + ", rollout " + std::to_string(worker.rollout()),
            Colour::Dim};
  if (!worker.exit_reason().empty()) {
    line.text += ": " + worker.exit_reason();
    line.colour = Colour::Plain;
  }
  return line;
}

Line describe(const v1::Operation& operation) {
  Line line{std::string(short_name(operation.app())),
            words(v1::Operation::Kind_Name(operation.kind())) + " " + phase_text(operation.phase()),
            Colour::Plain};
  if (!operation.done() && operation.progress().wanted_workers() > 0) {
    line.text += ", " + std::to_string(operation.progress().ready_workers()) + " of " +
                 std::to_string(operation.progress().wanted_workers()) + " workers ready";
  }
  if (operation.phase() == v1::Operation::SUCCEEDED) line.colour = Colour::Green;
  if (operation.has_error()) {
    line.text += ": " + operation.error().message();
    line.colour = phase_colour(operation.phase());
  }
  return line;
}

}  // namespace

std::string render_event(const v1::WatchResponse& event, const Style& style) {
  Line line;
  switch (event.event_case()) {
    case v1::WatchResponse::kApp:
      line = describe(event.app());
      break;
    case v1::WatchResponse::kWorker:
      line = describe(event.worker());
      break;
    case v1::WatchResponse::kOperation:
      line = describe(event.operation());
      break;
    case v1::WatchResponse::kRemoved: {
      const std::string_view name = short_name(event.removed().name());
      const std::size_t slash = name.find('/');
      line.app = std::string(name.substr(0, slash));
      line.text = slash == std::string_view::npos
                      ? "removed"
                      : std::string(name.substr(slash + 1)) + " removed";
      break;
    }
    case v1::WatchResponse::kNote:
      line = {std::string(short_name(event.note().app())), "note: " + event.note().text(),
              Colour::Yellow};
      break;
    case v1::WatchResponse::kSynced:
    case v1::WatchResponse::kProgress:
    case v1::WatchResponse::EVENT_NOT_SET:
      return "";
  }
  std::string head = clock_text(event.time());
  if (style.width == 0 || style.width >= kWithRevision) {
    head += "  " + std::to_string(event.revision());
    head.resize(std::max<std::size_t>(head.size(), 20), ' ');
  }
  const std::string text = head + "  " + escape_line(line.app) + "  " + escape_line(line.text);
  const auto room = static_cast<std::size_t>(style.width);
  return paint(style, line.colour, room > 0 ? truncate(text, room) : text) + "\n";
}

}  // namespace appd::ctl
